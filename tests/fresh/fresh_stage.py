"""A stage for renewals ahead: hosts that share a store, and a provider that counts its calls."""

from __future__ import annotations

import json
import threading
import time
from itertools import count

from tokenkeep import Keeper, KeyRing, Policies, Policy, Token, Vault, errors
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.journal import Journal
from tokenkeep.providers import Answer, Place, Profile, Provider, Providers, Reply
from tokenkeep.testing import FakeClock

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
NOON = 1_800_014_400.0 - 1_800_014_400.0 % DAY + 12 * HOUR
ISSUER = "https://provider.example/token"


class Counting(Provider):
    """
    Renews what it is asked to, tells its time, and remembers all calls, in order.

    Attributes:
        trouble: What each call raises. None: it is answered.
        takes: How long a call takes, in real seconds.
        during: Called in the midst of each call, with the token.
    """

    name = "counting"

    def __init__(self, clock, **profile):
        self.clock = clock
        self.profile = Profile(**{"mandatory": 60.0, "advisory": 300.0} | profile)
        self.calls, self.revoked = [], []
        self.trouble, self.takes, self.during = None, 0.0, None
        self.at_once, self._now, self._lock = 0, 0, threading.Lock()
        self._numbers = count(1)

    def refresh(self, token):
        with self._lock:
            self.calls.append(token.user)
            self._now += 1
            self.at_once = max(self.at_once, self._now)
        try:
            if self.during:
                self.during(token)
            time.sleep(self.takes)
            if self.trouble:
                raise self.trouble
            number = next(self._numbers)
            new = f"{token.refresh_token}.{number}" if self.profile.rotates else None
            return Answer(
                access_token=f"new-{number}",
                refresh_token=new,
                expires_in=HOUR,
                clock_offset=self.offset(),
            )
        finally:
            with self._lock:
                self._now -= 1

    def offset(self):
        """Return this provider's clock minus the caller's; hosts put their own clock here."""
        return 0.0

    def probe(self, issuer):  # noqa: ARG002  # the interface's
        return Reply(status=400, body=b"{}", clock_offset=self.offset())

    def revoke(self, token):
        self.revoked.append(token.refresh_token or token.access_token)

    def exchange(self, token, *, code_verifier=None):
        raise NotImplementedError

    def place(self, api_domain):
        return Place("here", "production") if api_domain else None

    def issuer(self, place):  # noqa: ARG002  # the interface's
        return ISSUER


class OfOne(Providers):
    """Every token is this provider's, but for users in ``unknown``."""

    def __init__(self, provider):
        super().__init__(provider.name)
        self.one, self.unknown = provider, set()

    def of(self, token):
        if token.user in self.unknown:
            raise errors.UnknownName("There is no provider 'gone'")
        return self.one

    def named(self, name):  # noqa: ARG002  # the interface's
        return self.one


class Stage:
    """One store and one provider; ``here`` is a keeper of them, with the true time."""

    def __init__(self, backend=None, **profile):
        self.clock = FakeClock(NOON)
        self.backend, self.ring = backend or MemoryBackend(), KeyRing([b"k" * 32])
        self.provider = Counting(self.clock, **profile)
        self.providers = OfOne(self.provider)
        self.here = self.host()
        self.rule()

    def host(self, clock=None):
        """Return a keeper of another host, which has its own journal."""
        clock = clock or self.clock
        vault = Vault(self.backend, self.ring, providers=self.providers, clock=clock)
        vault.journal = Journal()
        return Keeper(vault, clock=clock)

    def rule(self, **settings):
        """Let all be kept fresh, and whatever else."""
        policy = Policy(**{"name": "fresh", "keep_fresh": True} | settings)
        self.here.store.set_policies(Policies([policy]))

    def login(self, user="ana", *, left=100.0, **fields):
        """Log a user in, whose access token has so many seconds left."""
        token = Token(
            user=user,
            client_id="client",
            refresh_token=f"r-{user}",
            access_token=f"a-{user}",
            grant_token=f"g-{user}",
            issuer=ISSUER,
            expires_at=self.clock.now() + HOUR,
        )
        saved = self.here.store.save_token(token.but(**fields))
        left_at = self.clock.now() + left
        return self.here.store.swap(
            saved.but(expires_at=left_at).with_renewal(lifetime=HOUR, mints=())
        )

    def stored(self, token):
        return self.here.store.reread(token.id)


def of_another_host(holder):
    """Return what a holder says, as if it were on another host."""
    return json.dumps({**json.loads(holder), "boot": "another", "namespace": "another"})
