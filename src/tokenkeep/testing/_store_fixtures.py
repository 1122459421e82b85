"""What the contracts of stores have in common: the fixtures, and tokens to test with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tokenkeep.token import Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokenkeep.store import TokenStore

    Factory = Callable[[], TokenStore]


GIVEN = (
    "user",
    "client_id",
    "client_secret",
    "access_token",
    "refresh_token",
    "grant_token",
    "redirect_uri",
    "expires_at",
    "scope",
    "provider",
    "issuer",
    "api_domain",
    "data_center",
    "environment",
)
"""The fields of a token that its caller gives; the others belong to the store."""

HARD_TEXTS = (
    " ",
    "a",
    "A",
    "a ",
    " a",
    "a\0",
    "a\0b",
    "\n\r\t",
    "1 or 1=1",
    "'; DROP TABLE token; --",
    '"quoted" \\ %s ? :id',
    "o'brien@example.com:1",
    "caf\u00e9",
    "cafe\u0301",
    "CAF\u00c9",
    "stra\u00dfe",
    "strasse",
    "\U0001f511 \U0001f469\u200d\U0001f4bb",
    "\ufeff\u202e",
    "x" * 65536,
)
"""Texts that look alike to a careless comparison, or break careless quoting."""


def full(user: str | None = "ana", **changes: Any) -> Token:
    """Return a token to save, with every field a caller may give."""
    values: dict[str, Any] = {
        "user": user,
        "client_id": "client",
        "client_secret": "client secret",
        "access_token": f"access of {user}",
        "refresh_token": f"refresh of {user}",
        "grant_token": f"grant of {user}",
        "redirect_uri": "https://example.com/back",
        "expires_at": 4102444800.0,
        "scope": "ZohoCRM.modules.ALL",
        "provider": "zoho",
        "issuer": "https://accounts.zoho.com/oauth/v2/token",
        "api_domain": "https://www.zohoapis.com",
        "data_center": "us",
        "environment": "production",
    }
    return Token(**(values | changes))


def given(token: Token) -> dict[str, object]:
    """Return the fields of a token that its caller gave."""
    return {name: getattr(token, name) for name in GIVEN}


class StoreFixtures:
    """The fixture to give, ``open_store``, and those made of it."""

    @pytest.fixture
    def open_store(self) -> Factory:
        """Return what opens the store once more. Every subclass overrides this."""
        raise NotImplementedError("give the fixture open_store: see StoreContract")

    @pytest.fixture
    def connect(self, open_store: Factory) -> Iterator[Factory]:
        """``open_store``, with every store closed at the end."""
        opened: list[TokenStore] = []

        def connect() -> TokenStore:
            opened.append(open_store())
            return opened[-1]

        yield connect
        for store in opened:
            store.close()

    @pytest.fixture
    def store(self, connect: Factory) -> TokenStore:
        """One opening of the store."""
        return connect()
