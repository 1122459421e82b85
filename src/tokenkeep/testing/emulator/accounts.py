"""The accounts servers: users, clients, who holds which token; how those are made and end."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .calls import Counters
from .options import EmulatorClock, Options
from .server import Answer, Refused, as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .server import Request

ENVIRONMENTS = ("production", "sandbox", "developer")
SCOPE = "ZohoCRM.modules.ALL,ZohoCRM.settings.ALL,ZohoCRM.users.ALL,ZohoCRM.org.ALL"
CODE_LIFE = 60
"""Seconds a grant code is good for, unless its maker said otherwise."""

_WINDOW = 600
"""Seconds that a limit of access tokens is for; they start at the first and end as a whole."""

_TOO_MANY = "You have made too many requests continuously. Please try again after some time."
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

    @property
    def full_name(self) -> str:
        """As the CRM tells it: what stands before the ``@``."""
        return self.email.partition("@")[0]


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
    """An access token, good until *expires_at* in epoch seconds."""

    value: str
    access: Access
    expires_at: float = math.inf


@dataclass(eq=False, kw_only=True)
class RefreshToken(AccessToken):
    """
    A login: one refresh token, whose value changes if the provider rotates.

    Attributes:
        id: Name in listings; no secret.
        previous: The value before. None until the first rotation.
        mints: When the access tokens of this window were made, epoch seconds.
        access_tokens: Those made of it.
    """

    id: str
    previous: str | None = None
    mints: list[float] = field(default_factory=list)
    access_tokens: list[AccessToken] = field(default_factory=list)


def refused(error: str, http_status: int = 200, **more: str) -> Refused:
    """An error answer of the accounts server; most have the HTTP status 200, as Zoho's."""
    return Refused(error, as_json({"error": error, **more}, http_status))


class Accounts:
    """
    What all accounts servers know, and their answers; other providers' if the options say so.

    Whoever calls it holds the emulator's lock.

    Args:
        url: Tells the address of a data centre's environment.
    """

    def __init__(self, url: Callable[[str, str], str]) -> None:
        self._url = url
        self.clock: EmulatorClock = EmulatorClock()
        self.options: Options = Options()
        self.counters: Counters = Counters()
        self.users: dict[str, User] = {}
        self.clients: dict[str, Client] = {}
        self.grants: dict[str, Grant] = {}
        self.logins: list[RefreshToken] = []
        self.tokens: dict[str, AccessToken] = {}
        """Access and refresh tokens, dead ones among them, by all values they ever had."""

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

    # Making tokens, and ending them

    def make_grant(self, access: Access, life: float = CODE_LIFE, **asked: Any) -> str:
        """Make a grant code, good for *life* seconds; *asked* is what else it stands for."""
        code = _new_secret()
        self.grants[code] = Grant(access, self.clock.now() + life, **asked)
        return code

    def make_refresh_token(self, access: Access) -> RefreshToken:
        """Make a login."""
        login = RefreshToken(_new_secret(), access, id=f"rt-{len(self.logins) + 1}")
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

    def is_live(self, token: AccessToken) -> bool:
        """Tell whether *token* works now."""
        return self.clock.now() < token.expires_at

    def end(self, token: AccessToken) -> None:
        """End a token; a refresh token with its access tokens."""
        for each in (token, *(token.access_tokens if isinstance(token, RefreshToken) else ())):
            each.expires_at = -math.inf

    # What the endpoints answer

    def token(self, request: Request) -> Answer:
        """Answer one request for a token."""
        if request.method != "POST":
            raise refused("invalid_request", 400)
        form = request.form
        kinds = {"authorization_code": self._exchange, "refresh_token": self._refresh}
        kind = form.get("grant_type", "")
        if kind not in kinds:
            # Zoho's documents list a bad grant type under this name.
            raise refused("invalid_client", 200 if kind else 400)
        client = self.clients.get(form.get("client_id", ""))
        if client is None:
            raise refused("invalid_client")
        if form.get("client_secret", "") != client.client_secret:
            raise refused("invalid_client_secret")
        return as_json(kinds[kind](form, client, request.site.data_center))

    def revoke(self, request: Request) -> Answer:
        """Answer one request to revoke a token."""
        token = self.tokens.get(request.form.get("token", ""))
        home = request.site.data_center
        if token is None or token.access.user.data_center != home or not self.is_live(token):
            # RFC 7009, section 2.2, answers 200 for an unknown token; Zoho does not.
            raise refused("invalid_token", 400, status="failure")
        self.end(token)
        return as_json({"status": "success"})

    def _exchange(self, form: Mapping[str, str], client: Client, home: str) -> dict[str, Any]:
        grant = self.grants.get(form.get("code", ""))
        if grant is None or grant.access.client != client:
            raise refused("invalid_code")
        if grant.access.user.data_center != home:
            raise refused("invalid_client")
        if grant.used or self.clock.now() >= grant.expires_at:
            raise refused("invalid_code")
        if grant.redirect_uri not in (None, form.get("redirect_uri")):
            raise refused("invalid_redirect_uri")
        # RFC 7636, section 4.6
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if grant.challenge not in (None, challenge):
            raise refused("invalid_code")
        mints: list[float] = []
        self._count_mint(mints)
        grant.used = True
        if not grant.offline:
            return self._success(grant.access)
        login = self.make_refresh_token(grant.access)
        login.mints = mints
        return self._success(grant.access, login) | {"refresh_token": login.value}

    def _refresh(self, form: Mapping[str, str], client: Client, home: str) -> dict[str, Any]:
        value, rotation = form.get("refresh_token", ""), self.options.rotation
        login = self.tokens.get(value)
        if not isinstance(login, RefreshToken) or not self.is_live(login):
            raise refused("invalid_code")
        if (login.access.user.data_center, login.access.client) != (home, client):
            raise refused("invalid_code")
        in_grace = rotation == "rotate_grace" and value == login.previous
        if value != login.value and not in_grace:
            if rotation == "rotate_reuse_kills":
                self.end(login)
            raise refused("invalid_code")
        self._count_mint(login.mints)
        if rotation == "none":
            return self._success(login.access, login)
        if not in_grace:
            login.previous, login.value = value, _new_secret()
            self.tokens[login.value] = login
        return self._success(login.access, login) | {"refresh_token": login.value}

    def _count_mint(self, mints: list[float]) -> None:
        """Count one more in the window that the first began, or refuse it."""
        now, limit = self.clock.now(), self.options.mints_per_window
        if mints and now - mints[0] >= _WINDOW:
            mints.clear()
        if limit is not None and len(mints) >= limit:
            raise refused("Access Denied", 400, error_description=_TOO_MANY, status="failure")
        mints.append(now)

    def _success(self, access: Access, login: RefreshToken | None = None) -> dict[str, Any]:
        token = self.make_access_token(access, login)
        of_grant = self.options.api_domain == "environment"
        environment = access.environment if of_grant else "production"
        return {
            "access_token": token.value,
            "scope": " ".join(access.scope.replace(",", " ").split()),
            "api_domain": self._url(access.user.data_center, environment),
            "token_type": "Bearer",
            "expires_in": self.options.access_token_life,
        }


def _new_secret() -> str:
    """Make a code or token that looks like one of Zoho's."""
    return f"1000.{secrets.token_hex(16)}.{secrets.token_hex(16)}"
