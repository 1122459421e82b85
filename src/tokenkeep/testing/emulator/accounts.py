"""What the provider knows: users, clients, who holds which token; how those are made and end."""

from __future__ import annotations

import itertools
import math
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from .calls import Counters
from .options import EmulatorClock, Options

ENVIRONMENTS = ("production", "sandbox", "developer")
SCOPE = "ZohoCRM.modules.ALL,ZohoCRM.settings.ALL,ZohoCRM.users.ALL,ZohoCRM.org.ALL"
CODE_LIFE = 60
"""Seconds a grant code is good for, unless its maker said otherwise."""

_LOOPBACK_PORT = re.compile(r"(?<=^http://)(127\.0\.0\.1|localhost|\[::1]):\d+(?=/)")


@dataclass(frozen=True)
class DataCenterEmulator:
    """
    The addresses of one data centre.

    Attributes:
        accounts_url: The accounts server, without a path; its endpoints follow.
        revoke_url: The revocation endpoint that the official SDK uses.
        api_url: The API server of production, without a path.
    """

    name: str
    accounts_url: str
    auth_url: str
    token_url: str
    revoke_url: str
    api_url: str
    sandbox_url: str
    developer_url: str

    def environment_url(self, environment: str) -> str:
        """The API server of ``"production"``, ``"sandbox"`` or ``"developer"``."""
        places = (self.api_url, self.sandbox_url, self.developer_url)
        return places[ENVIRONMENTS.index(environment)]


@dataclass(frozen=True)
class User:
    """A person in one organisation, *zgid*, which lives in a data centre."""

    email: str
    zgid: str
    data_center: str

    @property
    def name(self) -> str:
        """``email:zgid``, the form the official SDK gives to users."""
        return f"{self.email}:{self.zgid}"


@dataclass(frozen=True)
class Client:
    """A registered application."""

    client_id: str
    client_secret: str = field(repr=False)
    name: str
    redirect_uris: tuple[str, ...]

    def accepts(self, redirect_uri: str) -> bool:
        """Tell whether it is one of its own, on any loopback port (RFC 8252, 7.3)."""
        known = [_LOOPBACK_PORT.sub(r"\1", each) for each in self.redirect_uris]
        return _LOOPBACK_PORT.sub(r"\1", redirect_uri) in known


@dataclass(frozen=True)
class Access:
    """What a user granted to a client; a code and all tokens made of it stand for the same."""

    user: User
    client: Client
    environment: str
    scope: str = SCOPE

    def __post_init__(self) -> None:
        """Refuse a place that is not there."""
        if self.environment not in ENVIRONMENTS:
            known = ", ".join(ENVIRONMENTS)
            raise ValueError(f"environment is one of {known}, not {self.environment!r}")

    @property
    def parties(self) -> tuple[User, Client]:
        """Who granted, and to whom."""
        return self.user, self.client


@dataclass(eq=False)
class Grant:
    """
    A grant code, good until *expires_at* in epoch seconds, and once.

    Attributes:
        redirect_uri: What the exchange has to name. None means nothing.
        offline: Whether it gives a refresh token.
        challenge: Of PKCE, as S256 makes it. None means that there is none.
    """

    access: Access
    expires_at: float
    redirect_uri: str | None = None
    offline: bool = True
    challenge: str | None = None
    used: bool = False


@dataclass(eq=False)
class AccessToken:
    """
    An access token.

    Attributes:
        expires_at: Epoch seconds.
        status: ``"active"``, ``"revoked"`` or ``"evicted"``, by a newer one.
    """

    value: str
    access: Access
    expires_at: float = math.inf
    status: str = "active"


@dataclass(eq=False, kw_only=True)
class RefreshToken(AccessToken):
    """
    A login: one refresh token, whose value changes if the provider rotates.

    Attributes:
        id: Name in counters and listings; no secret.
        previous: The value before. None until the first rotation.
        mints: When the access tokens of this window were made, epoch seconds.
        access_tokens: Those made of it.
    """

    id: str
    previous: str | None = None
    mints: list[float] = field(default_factory=list)
    access_tokens: list[AccessToken] = field(default_factory=list)


class Accounts:
    """All that the accounts servers know. Whoever calls it holds the emulator's lock."""

    def __init__(self) -> None:
        self.clock = EmulatorClock()
        self.options = Options()
        self.counters = Counters()
        self.users: dict[str, User] = {}
        self.clients: dict[str, Client] = {}
        self.grants: dict[str, Grant] = {}
        self.logins: list[RefreshToken] = []
        self.tokens: dict[str, AccessToken] = {}
        """Access and refresh tokens, dead ones among them, by all values they ever had."""
        self.numbers: itertools.count[int] = itertools.count(1)

    # Users and clients

    def user(self, user: User | str | None) -> User:
        """Find a user by ``email:zgid``, or by an address that one has; None means the first."""
        if user is None:
            return next(iter(self.users.values()))
        name = user.name if isinstance(user, User) else user
        found = [each for each in self.users.values() if name in (each.name, each.email)]
        if len(found) != 1:
            raise LookupError(f"{len(found)} users are called {name!r}; say email:zgid")
        return found[0]

    def client(self, client: Client | str | None) -> Client:
        """A registered client, by itself or its id; None means the first."""
        if client is None:
            return next(iter(self.clients.values()))
        client_id = client.client_id if isinstance(client, Client) else client
        if client_id not in self.clients:
            raise LookupError(f"no client {client_id!r} is registered")
        return self.clients[client_id]

    # Making tokens

    def make_grant(self, access: Access, life: float = CODE_LIFE, **asked: Any) -> str:
        """Make a grant code, good for *life* seconds; *asked* is what else it stands for."""
        code = _new_secret()
        self.grants[code] = Grant(access, self.clock.now() + life, **asked)
        return code

    def make_refresh_token(self, access: Access) -> RefreshToken:
        """Make a login; the oldest one too many goes, with its access tokens."""
        limit = self.options.refresh_tokens
        its = [each for each in self.logins if each.access.parties == access.parties]
        live = [each for each in its if self.is_live(each)]
        for oldest in () if limit is None else live[: max(0, len(live) + 1 - limit)]:
            self.end(oldest, "evicted")
        login = RefreshToken(_new_secret(), access, id=f"rt-{next(self.numbers)}")
        self.tokens[login.value] = login
        self.logins.append(login)
        return login

    def make_access_token(self, access: Access, login: RefreshToken | None = None) -> AccessToken:
        """Make an access token, which ends with *login*."""
        life = self.options.access_token_life
        token = AccessToken(_new_secret(), access, self.clock.now() + life)
        self.tokens[token.value] = token
        if login is not None:
            login.access_tokens.append(token)
        return token

    def rotate(self, login: RefreshToken) -> None:
        """Give *login* a new refresh token, keeping the old value for recognition."""
        login.previous, login.value = login.value, _new_secret()
        self.tokens[login.value] = login

    def may_mint(self, mints: list[float]) -> bool:
        """Tell whether one more fits into the window that the first began; if so, count it."""
        now, limit = self.clock.now(), self.options.mints_per_window
        if mints and now - mints[0] >= self.options.throttle_window:
            mints.clear()
        if limit is not None and len(mints) >= limit:
            return False
        mints.append(now)
        return True

    # Ending them

    def is_live(self, token: AccessToken) -> bool:
        """Tell whether *token* works now."""
        return token.status == "active" and self.clock.now() < token.expires_at

    def end(self, token: AccessToken, status: str = "revoked") -> None:
        """End a token; a refresh token with its access tokens."""
        token.status = status
        for each in token.access_tokens if isinstance(token, RefreshToken) else ():
            each.status = status


def _new_secret() -> str:
    """Make a code or token that looks like one of Zoho's."""
    return f"1000.{secrets.token_hex(16)}.{secrets.token_hex(16)}"
