"""Who and what the emulated Zoho knows: places, users, clients, codes, tokens."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

ENVIRONMENTS = ("production", "sandbox", "developer")
DEFAULT_SCOPE = (
    "ZohoCRM.modules.ALL,ZohoCRM.settings.ALL,ZohoCRM.users.ALL,ZohoCRM.org.ALL,"
    "AaaServer.profile.READ"
)


def new_secret() -> str:
    """Make a code or token that looks like one of Zoho's."""
    return f"1000.{secrets.token_hex(16)}.{secrets.token_hex(16)}"


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
    """
    What a user granted to a client; a code and all tokens made of it stand for the same.

    Attributes:
        scope: Separated by commas or spaces.
        environment: One of :data:`ENVIRONMENTS`.
    """

    user: User
    client: Client
    scope: str
    environment: str


@dataclass(eq=False)
class Grant:
    """
    A grant code.

    Attributes:
        expires_at: Epoch seconds.
        redirect_uri: What the exchange has to name. None means nothing.
        offline: Whether it gives a refresh token.
        challenge: Of PKCE, as S256 makes it. None means that there is none.
        exchanged_at: Epoch seconds. None as long as it was not used.
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
        value: The value in force.
        previous: Earlier values, oldest first.
        status: ``"active"``, ``"revoked"`` or ``"evicted"``.
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
    """
    An access token.

    Attributes:
        active: False once evicted or revoked.
        expires_at: Epoch seconds.
    """

    value: str = field(repr=False)
    access: Access
    expires_at: float
    active: bool = True
