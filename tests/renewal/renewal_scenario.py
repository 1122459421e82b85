"""
A stage for one renewal: other actors enter at chosen points of it.

The provider is the one of the exhaustive model: families of refresh tokens
that live or are dead, with or without rotation and reuse detection. The store
is a real vault in memory; every host has its own eyes (vault, journal,
keeper) on the same records. Time stands still until somebody moves it.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque

from tokenkeep import (
    Claim,
    Keeper,
    KeyRing,
    Status,
    StoreUnavailable,
    Token,
    Vault,
    errors,
    holder,
)
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.header import Header
from tokenkeep.journal import FolderJournal, Journal
from tokenkeep.providers import Answer, Place, Profile, Provider, Providers, Reply
from tokenkeep.store import Store
from tokenkeep.testing import FakeClock

USER = "ana@example.com:1"
ELSEWHERE = json.dumps(
    {"host": "far", "pid": 1, "started": "1", "boot": "another boot", "namespace": "another"}
)
"""A holder on another host: nobody here can tell whether it lives."""


def dead_holder():
    """Describe a process of this host that is gone: its number belongs to another one now."""
    return json.dumps({**json.loads(holder.me()), "started": "1"})


def failing(trouble):
    """Return what fails whenever it is called."""

    def fails(*_, **__):
        raise trouble

    return fails


NEWER = ("newer", "login-2/0")
"""What is stored after "log in"."""

_GOOD = {"left": 3600, "scope": "wider"}
STEPS = {
    "log in": lambda world: world.login("login-2", "newer", **_GOOD),
    # An access token alone, as an import does; a login that answers no refresh token.
    "save": lambda world: world.login(None, "saved", **_GOOD),
    "log in without": lambda world: world.login(None, "saved", grant_token="a code", **_GOOD),
    "write": lambda world: world.write(scope="wider"),
    "reject": lambda world: world.write(scope="wider", status=Status.LOGIN_NEEDED),
    "revoke": lambda world: world.there.keeper.revoke(world.id),
    "delete": lambda world: world.there.keeper.delete(world.id),
    "log out": lambda world: world.there.keeper.end(world.id),
    "renew": lambda world: world.get(world.there),
    "claim": lambda world: world.claim(),
    "pause": lambda world: world.clock.advance(15.0),
    "consent withdrawn": lambda world: world.provider.dead.add("login-1"),
    "provider down": lambda world: world.down(),
    "odd answer": lambda world: setattr(world.provider, "odd", 1),
    "throttled": lambda world: world.provider.trouble.append(errors.CoolingDown("Slow")),
    "store down": lambda world: world.here.store.goes_down(),
    "no answer": lambda _: away(),
}
"""What others do, and what happens to the store; see `World.step`."""


def landed():
    """Wait until the attempts of this process have ended, those without a caller too."""
    for thread in threading.enumerate():
        if thread.name == "tokenkeep-renewal":
            thread.join(20)


away = failing(StoreUnavailable("The database did not answer"))
"""A step before a write: it is not committed. After it: nobody is told that it is."""


class ByOwner(MemoryBackend):
    """A backend with nothing unique but names, as AWS Secrets Manager."""

    def id_for(self, owner):
        return owner


class ScriptedProvider(Provider):
    """
    Families of refresh tokens; ``login-1/3`` is the fourth of family ``login-1``.

    A call runs the next step of ``before``, raises the next of ``trouble``, or takes effect,
    runs the next step of ``during``, and is answered; the next ``odd`` answers can't be read
    before it has ``learnt`` to. ``places`` are what it knows of API domains.
    """

    name = "scripted"

    def __init__(self, *, rotates=False, kills=False, **profile):
        self.profile = Profile(rotates=rotates, **profile)
        self.rotates, self.kills = rotates, kills
        self.dead, self.current, self.made = set(), defaultdict(int), 0
        self.sent, self.secrets, self.revoked = [], [], []
        self.before, self.during, self.trouble = deque(), deque(), deque()
        self.extra, self.places = {}, {}
        self.unreachable, self.odd, self.learnt = False, 0, False

    def accepts(self, refresh_token):
        """Tell whether a refresh token would work now."""
        family, number = refresh_token.split("/")
        is_current = int(number) == self.current[family] or not self.rotates
        return is_current and family not in self.dead

    def refresh(self, token):
        self.sent.append(token.refresh_token)
        self.secrets.append(token.client_secret)
        _next(self.before)
        if self.trouble:
            raise self.trouble.popleft()
        family = token.refresh_token.split("/")[0]
        accepted = self.accepts(token.refresh_token)
        if accepted:
            self.made += 1
            self.current[family] += self.rotates
        elif self.kills:
            self.dead.add(family)
        answer = {"access_token": f"access-{self.made + 1}", "expires_in": 3600.0}
        if self.rotates:
            answer["refresh_token"] = f"{family}/{self.current[family]}"
        _next(self.during)
        if not accepted:
            raise errors.GrantRejected("The provider rejects the grant", error="invalid")
        if self.odd and not self.learnt:
            self.odd -= 1
            reply = Reply(status=200, body=json.dumps(answer).encode(), content_type="text/odd")
            raise errors.ProviderUnavailable("scripted answered nothing usable", unread=reply)
        return Answer(**{**answer, **self.extra})

    def answer_in(self, reply):
        readable = self.learnt and reply.content_type == "text/odd"
        return Answer(**json.loads(reply.body)) if readable else None

    def revoke(self, token):
        if self.unreachable:
            raise errors.ProviderUnavailable("provider.example did not answer")
        self.revoked.append(token.refresh_token or token.access_token)
        if token.refresh_token and self.accepts(token.refresh_token):
            self.dead.add(token.refresh_token.split("/")[0])

    def exchange(self, token, *, code_verifier=None):
        raise NotImplementedError

    def place(self, api_domain):
        return Place(*self.places[api_domain]) if api_domain in self.places else None

    def issuer(self, place):  # noqa: ARG002  # the interface's
        return None


def _next(steps):
    """Run the next one of some steps, if there is one."""
    if steps:
        steps.popleft()()


class OneProvider(Providers):
    """Every token is this provider's, but for the ids in ``unknown``."""

    def __init__(self, provider):
        super().__init__(provider.name)
        self.one, self.unknown = provider, set()

    def of(self, token):
        if token.id in self.unknown:
            raise errors.ConfigurationError("There is no provider 'gone'")
        return self.one


@Store.register
class ScriptedStore:
    """
    A vault that others get in the way of: ``before`` and ``after`` a point its next step runs.

    The points are ``claim``, ``save``, ``release``, ``login_needed``, ``revoke``; and ``read``.
    """

    def __init__(self, vault):
        self.vault = vault
        self.before, self.after = defaultdict(deque), defaultdict(deque)
        self.down, self.written, self._claimed = False, [], None

    def __getattr__(self, name):
        return getattr(self.vault, name)

    def goes_down(self):
        self.down = True

    def swap(self, token):
        point = self._point(token)
        _next(self.before[point])
        if self.down:
            away()
        written = self.vault.swap(token)
        self.written.append(point)
        _next(self.after[point])
        return written

    def reread(self, token_id):
        _next(self.before["read"])
        if self.down:
            away()
        return self.vault.reread(token_id)

    def _point(self, token):
        if token.status is not Status.OK:
            return "revoke" if token.status is Status.REVOKED else "login_needed"
        if token.renewal.claim is not None:
            self._claimed = token.pair
            return "claim"
        return "release" if token.pair == self._claimed else "save"


class Actor:
    """A process: its own vault and keeper; processes of one host share a journal."""

    def __init__(self, world, journal=None):
        self.events, self.listeners = [], []
        self.journal = journal or Journal()
        self.providers = OneProvider(world.provider)
        vault = Vault(world.backend, world.ring, providers=self.providers, clock=world.clock)
        self.store = ScriptedStore(vault)
        self.store.journal = self.journal
        self.keeper = Keeper(
            self.store,
            providers=self.providers,
            clock=world.clock,
            on_event=self._told,
        )

    def _told(self, event):
        self.events.append(event)
        for each in self.listeners:
            each(event)

    def names(self):
        return [event.name for event in self.events]


class World:
    """
    One record, one provider, and any number of processes.

    ``here`` is the process whose renewal is watched, ``there`` one on another
    host, ``beside`` another process on the host of ``here``.
    """

    def __init__(self, *, backend=None, **provider):
        self.clock = FakeClock(1_800_000_000.0)
        self.backend = backend or MemoryBackend()
        self.ring = KeyRing([b"k" * 32])
        self.header = Header(self.backend, self.ring, self.clock.monotonic)
        self.provider = ScriptedProvider(**provider)
        self.here, self.there = Actor(self), Actor(self)
        self.beside = Actor(self, self.here.journal)
        self.id = self.login().id
        # As after a while: the login's own access token does not count any more.
        self.write_renewal(mints=())

    def keep_in(self, folder):
        """Let the journal of this host be in a folder, not in memory."""
        self.here = Actor(self, FolderJournal(folder, self.header))
        self.beside = Actor(self, self.here.journal)

    def login(self, family="login-1", access_token="access-1", *, left=-1.0, user=USER, **fields):
        """Save what a login answered, as another process does it."""
        token = Token(
            user=user,
            client_id="client",
            client_secret="s3cret",
            access_token=access_token,
            refresh_token=family and f"{family}/0",
            expires_at=self.clock.now() + left,
            issuer="https://provider.example/token",
            api_domain="https://api.example",
        )
        return self.vault.save_token(token.but(**fields))

    def step(self, names):
        """Return what does these of STEPS, one after the other, when it is called."""
        return lambda: [STEPS[name](self) for name in names.split(", ")]

    def get(self, actor=None):
        """Ask for the token, as a caller does."""
        return (actor or self.here).keeper.get(id=self.id)

    def outcome(self, call=None):
        """Call, None is `get`; return a token's pair, what else comes, or an error's kind."""
        try:
            found = (call or self.get)()
            return found.pair if isinstance(found, Token) else found
        except errors.TokenKeepError as exc:
            return type(exc)

    def down(self, times=1):
        """Let the next renewals fail: each asks twice."""
        self.provider.trouble += [errors.ProviderUnavailable("It did not answer")] * 2 * times

    @property
    def vault(self):
        """The store as somebody else sees it, whom nobody gets in the way of."""
        return self.there.store.vault

    @property
    def stored(self):
        return self.vault.reread(self.id)

    @property
    def calls(self):
        """How often the provider was asked to renew."""
        return len(self.provider.sent)

    @property
    def kept(self):
        """The journal entries of this host."""
        return list(self.here.journal.entries())

    def write(self, **changes):
        """Write other fields, as somebody who has nothing to do with renewals."""
        return self.vault.swap(self.stored.but(**changes))

    def write_renewal(self, **changes):
        return self.vault.swap(self.stored.with_renewal(**changes))

    def claim(self, holder=ELSEWHERE, *, length=20.0, ago=0.0):
        """Claim the token, as somebody else."""
        nonce = f"nonce {self.calls} {self.clock.monotonic()} {ago}"
        taken_at = self.clock.now() - ago
        claim = Claim(nonce=nonce, holder=holder, taken_at=taken_at, length=length)
        return self.write_renewal(claim=claim)

    def free(self):
        """Let others find the claim free, as its time having passed on their clocks does."""
        return self.write_renewal(claim=None)

    def expire(self):
        self.clock.advance(3601.0)
