"""Who and what the emulated accounts server knows: users, clients, codes, tokens."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENTS = ("production", "sandbox", "developer")
DEFAULT_SCOPE = (
    "ZohoCRM.modules.ALL,ZohoCRM.settings.ALL,ZohoCRM.users.ALL,ZohoCRM.org.ALL,"
    "AaaServer.profile.READ"
)


def new_secret() -> str:
    """Make a code or token that looks like one of Zoho's."""
    return f"1000.{secrets.token_hex(16)}.{secrets.token_hex(16)}"


class OAuthError(Exception):
    """
    An error answer of the accounts server.

    Args:
        name: Zoho's value of ``error``.
        description: Value of ``error_description``; None means there is none.
        status: HTTP status; None means what the options say.
        details: More fields of the answer; None means there are none.
    """

    def __init__(
        self,
        name: str,
        description: str | None = None,
        *,
        status: int | None = None,
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name)
        self.name = name
        self.description = description
        self.status = status
        self.details: dict[str, str] = dict(details or {})


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


@dataclass(frozen=True)
class Client:
    """
    A registered application.

    Attributes:
        home: The data centre it was registered in.
        secrets: Client secret by data centre; those absent don't know the client.
        public: Whether it has no secret and must use PKCE.
    """

    client_id: str
    name: str
    home: str
    redirect_uris: tuple[str, ...]
    secrets: Mapping[str, str] = field(repr=False)
    public: bool = False

    @property
    def client_secret(self) -> str:
        """The secret at home."""
        return self.secrets[self.home]


@dataclass(eq=False)
class Grant:
    """A grant code and what it stands for."""

    code: str = field(repr=False)
    user: User
    client: Client
    scope: str
    environment: str
    expires_at: float
    redirect_uri: str | None = None
    offline: bool = True
    challenge: str | None = None
    challenge_method: str = "plain"
    used: bool = False
    made: RefreshToken | None = None


@dataclass(eq=False)
class RefreshToken:
    """
    A login: one refresh token, whose value changes if the provider rotates.

    Attributes:
        id: Name in counters and listings; no secret.
        value: The value in force.
        previous: Earlier values, oldest first.
        status: ``"active"``, ``"revoked"`` or ``"evicted"``.
        mints: When its access tokens were made, epoch seconds, oldest first.
        blocked_until: End of the block it is under, epoch seconds.
    """

    id: str
    value: str = field(repr=False)
    user: User
    client: Client
    scope: str
    environment: str
    issued_at: float
    previous: list[str] = field(default_factory=list, repr=False)
    status: str = "active"
    mints: list[float] = field(default_factory=list)
    blocked_until: float = 0.0
    access_tokens: list[AccessToken] = field(default_factory=list, repr=False)


@dataclass(eq=False)
class AccessToken:
    """
    An access token.

    Attributes:
        active: False once evicted, revoked or expired by hand.
        refresh_token: None for client credentials.
    """

    value: str = field(repr=False)
    user: User
    client: Client
    scope: str
    environment: str
    issued_at: float
    expires_at: float
    refresh_token: RefreshToken | None = field(default=None, repr=False)
    active: bool = True


def describe_user(user: User) -> dict[str, Any]:
    """A user, ready for JSON."""
    names = ("email", "zgid", "data_center", "zuid", "first_name", "last_name")
    return {name: getattr(user, name) for name in names}


def describe_client(client: Client) -> dict[str, Any]:
    """A client with its made-up secrets, ready for JSON."""
    return {
        "client_id": client.client_id,
        "name": client.name,
        "home": client.home,
        "redirect_uris": list(client.redirect_uris),
        "secrets": dict(client.secrets),
        "public": client.public,
    }


def describe_login(login: RefreshToken) -> dict[str, Any]:
    """A login without its secrets, ready for JSON."""
    return {
        "id": login.id,
        "user": login.user.name,
        "client_id": login.client.client_id,
        "scope": login.scope,
        "environment": login.environment,
        "status": login.status,
        "issued_at": login.issued_at,
        "generation": len(login.previous),
        "access_tokens": len(login.access_tokens),
        "mints": len(login.mints),
        "blocked_until": login.blocked_until,
    }
