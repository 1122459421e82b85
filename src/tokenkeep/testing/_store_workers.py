"""What threads and processes of `SwapContract` do; without pytest, which they need not load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenkeep.errors import StoreConflict
from tokenkeep.token import Token

if TYPE_CHECKING:
    from tokenkeep.store import TokenStore

_SAVES = 10
"""How many users of its own `save` saves."""


def swap_first_version(store: TokenStore, number: int, first: Token) -> bool:
    """Try to write over the version that all have read; say whether this one won."""
    try:
        store.swap(first.but(access_token=f"of {number}"))
    except StoreConflict:
        return False
    return True


def swap_only_token(store: TokenStore, number: int) -> bool:
    """Note a mint in the only token there is; say whether nobody wrote in between."""
    (token,) = store.get_tokens()
    try:
        store.swap(token.with_renewal(mints=(*token.renewal.mints, float(number))))
    except StoreConflict:
        return False
    return True


def save(store: TokenStore, number: int) -> bool:
    """Save the user and the nameless token that all save, and users of one's own; find these."""
    store.save_token(Token(user="ana", client_id="client", refresh_token=f"r{number}"))
    store.save_token(Token(client_id="client", refresh_token="shared"))  # noqa: S106  # made up
    for turn in range(_SAVES):
        user = f"{number}-{turn}"
        store.save_token(Token(user=user, client_id="client", refresh_token=user))
        saved = store.save_token(Token(user=user, client_id="client", access_token=user))
        if store.find_token(Token(user=user)) != saved or saved.refresh_token != user:
            return False
    return True


def users(count: int) -> list[str]:
    """Return the users, of one token each, after so many runs of `save`, in order."""
    mine = [f"{number}-{turn}" for number in range(count) for turn in range(_SAVES)]
    return sorted([*mine, "ana", str(None)])
