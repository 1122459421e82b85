"""What a user who was not found is stored as: the same e-mail address, written otherwise."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from tokenkeep.errors import TokenNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokenkeep.token import Token

_READ = 1_000
"""How many rows are looked at; in a larger store the name may be among the others."""

_NAMED = 5


def stored_otherwise(asked: Token, stored: Iterable[Token]) -> TokenNotFound | None:
    """
    Return an error that says how the user asked for is stored. None if nobody is like that.

    Args:
        asked: Whose *user* was not found where it was asked for.
        stored: The rows of the store.
    """
    address = _address(asked.user)
    like = [t for t in islice(stored, _READ) if t.user and _address(t.user) == address]
    if not like:
        return None
    named = "; ".join(map(_row, like[:_NAMED])) + ("; and others" if like[_NAMED:] else "")
    return TokenNotFound(
        f"Nobody is stored under this name in {_place(asked)}. There is {named}",
        user=asked.user,
        hint="Give the name as it is stored, with its environment, or the id; or log in with a "
        "grant or refresh token",
    )


def _address(user: str | None) -> str:
    """Return the e-mail address in a name as the SDK makes it, ``email:zgid``."""
    return (user or "").partition(":")[0].strip().casefold()


def _row(token: Token) -> str:
    return f"{token.user!r} in {_place(token)}, client {token.client_id}, id {token.id}"


def _place(token: Token) -> str:
    where = (token.environment or "any environment", token.data_center or "any data centre")
    return " of ".join(where)
