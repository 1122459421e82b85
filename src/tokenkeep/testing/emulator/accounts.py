"""What all accounts servers know: places, users, clients, who holds which token, what ends one."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from .calls import Counters
    from .options import EmulatorClock, Options

ENVIRONMENTS = ("production", "sandbox", "developer")
DEFAULT_SCOPE = (
    "ZohoCRM.modules.ALL,ZohoCRM.settings.ALL,ZohoCRM.users.ALL,ZohoCRM.org.ALL,"
    "AaaServer.profile.READ"
)
CODE_LIFE = 60
"""Seconds a grant code is good for, unless its maker said otherwise."""


@dataclass(frozen=True)
class DataCenterEmulator:
    """
    The addresses of one data centre.

    Attributes:
        name: Such as ``"us"``.
        accounts_url: The accounts server, without a path.
        api_url: The production API server.
        sandbox_url: The sandbox API server.
        developer_url: The developer API server.
    """

    name: str
    accounts_url: str
    api_url: str
    sandbox_url: str
    developer_url: str

    @property
    def auth_url(self) -> str:
        """The authorization endpoint."""
        return f"{self.accounts_url}/oauth/v2/auth"

    @property
    def token_url(self) -> str:
        """The token endpoint."""
        return f"{self.accounts_url}/oauth/v2/token"

    @property
    def revoke_url(self) -> str:
        """The revocation endpoint that the official SDK uses."""
        return f"{self.token_url}/revoke"

    def environment_url(self, environment: str) -> str:
        """The API server of ``"production"``, ``"sandbox"`` or ``"developer"``."""
        return (self.api_url, self.sandbox_url, self.developer_url)[
            ENVIRONMENTS.index(environment)
        ]


@dataclass(frozen=True)
class User:
    """
    A person in one organisation.

    Attributes:
        zgid: The organisation.
        data_center: Where that organisation lives.
        zuid: The person's number.
    """

    email: str
    zgid: str
    data_center: str
    zuid: str
    first_name: str = "Ana"
    last_name: str = "Example"

    @property
    def name(self) -> str:
        """``email:zgid``, the form the official SDK gives to users."""
        return f"{self.email}:{self.zgid}"

    @property
    def full_name(self) -> str:
        """Both names."""
        return f"{self.first_name} {self.last_name}"


@dataclass(frozen=True)
class Client:
    """
    A registered application.

    Attributes:
        public: Whether it has no secret and must use PKCE.
    """

    client_id: str
    client_secret: str = field(repr=False)
    name: str
    redirect_uris: tuple[str, ...]
    public: bool


@dataclass(frozen=True)
class Access:
    """What a user granted to a client; a code and all tokens made of it stand for the same."""

    user: User
    client: Client
    scope: str
    environment: str


@dataclass(eq=False)
class Grant:
    """
    A grant code; times are epoch seconds.

    Attributes:
        redirect_uri: What the exchange has to name. None means nothing.
        offline: Whether it gives a refresh token.
        challenge: Of PKCE, as S256 makes it. None means that there is none.
        exchanged_at: None as long as it was not used.
    """

    code: str = field(repr=False)
    access: Access
    expires_at: float
    redirect_uri: str | None = None
    offline: bool = True
    challenge: str | None = None
    exchanged_at: float | None = None


@dataclass(eq=False)
class RefreshToken:
    """
    A login: one refresh token, whose value changes if the provider rotates.

    Attributes:
        id: Name in counters and listings; no secret.
        previous: Earlier values, oldest first.
        status: ``"active"``, ``"revoked"`` or ``"evicted"``, by a newer one.
        mints: When its access tokens were made, epoch seconds, oldest first.
        blocked_until: End of the block it is under, epoch seconds.
    """

    id: str
    value: str = field(repr=False)
    access: Access
    previous: list[str] = field(default_factory=list, repr=False)
    status: str = "active"
    mints: list[float] = field(default_factory=list)
    blocked_until: float = 0.0
    access_tokens: list[AccessToken] = field(default_factory=list, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """The login without its secrets, ready for JSON."""
        return {
            "id": self.id,
            "user": self.access.user.name,
            "client_id": self.access.client.client_id,
            "scope": self.access.scope,
            "environment": self.access.environment,
            "status": self.status,
        }


@dataclass(eq=False)
class AccessToken:
    """An access token, until *expires_at* in epoch seconds; not *active* once it was ended."""

    value: str = field(repr=False)
    access: Access
    expires_at: float
    active: bool = True


class Accounts:
    """All that the accounts servers know. Whoever calls it holds the emulator's lock."""

    def __init__(self, clock: EmulatorClock, options: Options, counters: Counters) -> None:
        self.clock = clock
        self.options = options
        self.counters = counters
        self.users: dict[str, User] = {}
        self.clients: dict[str, Client] = {}
        self.grants: dict[str, Grant] = {}
        self.logins: list[RefreshToken] = []
        self.refresh_tokens: dict[str, RefreshToken] = {}
        self.access_tokens: dict[str, AccessToken] = {}
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

    def accepts_redirect(self, client: Client, uri: str) -> bool:
        """Tell whether *uri* is one of the client's, on any loopback port (RFC 8252, 7.3)."""
        if uri in client.redirect_uris:
            return True
        asked = urlsplit(uri)
        return (
            asked.scheme == "http"
            and asked.hostname in ("127.0.0.1", "localhost", "::1")
            and any(
                (asked.hostname, asked.path, asked.query) == (own.hostname, own.path, own.query)
                for own in map(urlsplit, client.redirect_uris)
            )
        )

    def access(
        self, user: User | str | None, client: Client | str | None, scope: str, environment: str
    ) -> Access:
        """What a user grants to a client, each of them checked."""
        if environment not in ENVIRONMENTS:
            raise ValueError(
                f"environment is one of {', '.join(ENVIRONMENTS)}, not {environment!r}"
            )
        return Access(self.user(user), self.client(client), scope, environment)

    # Making tokens

    def make_grant(self, access: Access, life: float = CODE_LIFE, **asked: object) -> Grant:
        """Make a grant code, good for *life* seconds; *asked* is what else it stands for."""
        grant = Grant(_new_secret(), access, self.clock.now() + life, **asked)  # type: ignore[arg-type]
        self.grants[grant.code] = grant
        return grant

    def make_refresh_token(self, access: Access) -> RefreshToken:
        """Make a login; the oldest one too many goes, with its access tokens."""
        limit = self.options.refresh_tokens
        mine = [
            each
            for each in self.logins
            if each.status == "active" and _parties(each.access) == _parties(access)
        ]
        surplus = 0 if limit is None else max(0, len(mine) + 1 - int(limit))
        for oldest in mine[:surplus]:
            self.end(oldest, "evicted")
        login = RefreshToken(f"rt-{next(self.numbers)}", _new_secret(), access)
        self.logins.append(login)
        self.refresh_tokens[login.value] = login
        return login

    def make_access_token(self, access: Access, login: RefreshToken | None = None) -> AccessToken:
        """Make an access token; of *login*'s live ones the oldest one too many goes."""
        token = AccessToken(
            _new_secret(), access, self.clock.now() + self.options.access_token_life
        )
        self.access_tokens[token.value] = token
        if login is not None:
            live = [each for each in login.access_tokens if self.is_live(each)]
            live.append(token)
            limit = self.options.active_access_tokens
            surplus = 0 if limit is None else max(0, len(live) - int(limit))
            for oldest in live[:surplus]:
                oldest.active = False
            login.access_tokens = live[surplus:]
        return token

    def rotate(self, login: RefreshToken) -> None:
        """Give *login* a new refresh token, keeping the old value for recognition."""
        login.previous.append(login.value)
        login.value = _new_secret()
        self.refresh_tokens[login.value] = login

    def has_consent(self, access: Access) -> bool:
        """Tell whether this user gave this client a refresh token for this environment before."""
        return any(
            _parties(each.access) == _parties(access)
            and each.access.environment == access.environment
            for each in self.logins
        )

    def logins_since(self, moment: float, access: Access) -> int:
        """Count the codes of this user and client that were exchanged since *moment*."""
        return sum(
            each.exchanged_at is not None
            and each.exchanged_at > moment
            and each.offline
            and _parties(each.access) == _parties(access)
            for each in self.grants.values()
        )

    # Ending them

    def is_live(self, token: AccessToken) -> bool:
        """Tell whether *token* works now."""
        return token.active and self.clock.now() < token.expires_at

    def end(self, login: RefreshToken, status: str = "revoked") -> None:
        """End a login and its access tokens."""
        login.status = status
        for token in login.access_tokens:
            token.active = False

    def revoke_value(self, value: str, data_center: str) -> bool:
        """Revoke a token of this data centre, access or refresh; tell whether one lived."""
        login, token = self.refresh_tokens.get(value), self.access_tokens.get(value)
        alive = False
        if login is not None and login.access.user.data_center == data_center:
            alive = login.status == "active"
            self.end(login)
        if token is not None and token.access.user.data_center == data_center:
            alive = self.is_live(token)
            token.active = False
        return alive


def _parties(access: Access) -> tuple[User, str]:
    return access.user, access.client.client_id


def _new_secret() -> str:
    """Make a code or token that looks like one of Zoho's."""
    return f"1000.{secrets.token_hex(16)}.{secrets.token_hex(16)}"
