"""Where the servers of a data centre are."""

from __future__ import annotations

from dataclasses import dataclass


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
        urls = {
            "production": self.api_url,
            "sandbox": self.sandbox_url,
            "developer": self.developer_url,
        }
        return urls[environment]
