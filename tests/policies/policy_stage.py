"""
A stage for policies: hosts with clocks of their own, one store, a provider that tells the time.

All is in memory; time stands still until somebody moves it.
"""

from __future__ import annotations

from itertools import count

from tokenkeep import Keeper, KeyRing, Policies, Policy, Token, Vault, errors
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.providers import Answer, Place, Profile, Provider, Providers, Reply
from tokenkeep.testing import FakeClock

ANA, BEN = "ana@example.com:1", "ben@example.com:1"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
NOON = 1_800_014_400.0 - 1_800_014_400.0 % DAY + 12 * HOUR
ISSUER = "https://provider.example/token"


def ruled(**settings):
    """Return policies of one rule."""
    return Policies([Policy(**{"name": "rule"} | settings)])


class TimelyProvider(Provider):
    """
    Renews whatever it is asked to, and tells its time with each answer and probe.

    Attributes:
        unreachable: Whether nobody answers.
        probes: How often it was asked for nothing.
        revoked: What it was asked to revoke, and has.
    """

    name = "timely"
    profile = Profile(rotates=False, revokes_grant=False)

    def __init__(self, stage, clock):
        self._stage, self._clock = stage, clock

    @property
    def _offset(self):
        return self._stage.clock.now() - self._clock.now() if self._stage.says_time else None

    def _reach(self):
        if self._stage.unreachable:
            raise errors.ProviderUnavailable("provider.example did not answer", answered=False)

    def refresh(self, token):
        self._reach()
        access = f"{token.refresh_token}/{next(self._stage.numbers)}"
        return Answer(access_token=access, expires_in=HOUR, clock_offset=self._offset)

    def probe(self, issuer):
        assert issuer == ISSUER
        self._stage.probes += 1
        self._reach()
        return Reply(status=400, body=b"{}", clock_offset=self._offset)

    def revoke(self, token):
        self._reach()
        self._stage.revoked.append(token.refresh_token or token.access_token)

    def exchange(self, token, *, code_verifier=None):
        raise NotImplementedError

    def place(self, api_domain):
        return Place(api_domain.rpartition(".")[2], "production") if api_domain else None

    def issuer(self, place):  # noqa: ARG002  # the interface's
        return ISSUER


class OfOne(Providers):
    """Every token is this provider's."""

    def __init__(self, provider):
        super().__init__(provider.name)
        self.one = provider

    def of(self, token):  # noqa: ARG002  # the interface's
        return self.one

    def named(self, name):  # noqa: ARG002  # the interface's
        return self.one


class Host:
    """A process on a host of its own, whose clock it has."""

    def __init__(self, stage, clock):
        self.clock, self.events = clock, []
        providers = OfOne(TimelyProvider(stage, clock))
        self.vault = Vault(stage.backend, stage.ring, providers=providers, clock=clock)
        self.keeper = Keeper(self.vault, clock=clock, on_event=self.events.append)

    def get(self, token):
        """Return how asking for a token goes: "ok", or the error."""
        try:
            self.keeper.get(id=token.id)
        except errors.TokenKeepError as exc:
            return exc
        return "ok"

    def login(self, user=ANA, *, client_id="client", refresh_token=None, **fields):
        """Log a user in."""
        number = next(numbers)
        return self.vault.save_token(
            Token(
                user=user,
                client_id=client_id,
                refresh_token=refresh_token or f"r{number}",
                access_token=f"a{number}",
                grant_token=f"g{number}",
                expires_at=self.clock.now() + HOUR,
                issuer=ISSUER,
                api_domain="https://api.example",
            ).but(**fields)
        )


numbers = count(1)


class Stage:
    """
    One store, and any number of hosts; ``here`` is the one that is watched.

    Attributes:
        clock: The true time, which is the provider's, and that of hosts that have it right.
        unreachable: Whether the provider does not answer.
        says_time: Whether its answers say what time it is.
    """

    def __init__(self):
        self.clock = FakeClock(NOON)
        self.backend, self.ring = MemoryBackend(), KeyRing([b"k" * 32])
        self.unreachable, self.says_time = False, True
        self.probes, self.revoked, self.numbers = 0, [], count(1)
        self.here = self.host()

    def host(self, *, off=None):
        """Start a process on another host; None: with the true time, else so far off."""
        if off is None:
            return Host(self, self.clock)
        clock = FakeClock(self.clock.now() + off)
        self.clock.advance = self._both(clock)
        return Host(self, clock)

    def _both(self, clock):
        advance = self.clock.advance

        def both(seconds):
            clock.advance(seconds)
            return advance(seconds)

        return both

    def rule(self, **settings):
        """Set a policy, and let everybody take it up."""
        self.here.vault.set_policies(ruled(**settings))

    def settle(self):
        """Let every process take up what was set, and a sweep look at each token."""
        self.clock.advance(121)
        return self.here.keeper.sweep()
