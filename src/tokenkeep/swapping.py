"""Compare and write: which stores can, and again until nobody else writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tokenkeep.errors import StoreConflict, StoreForeign, StoreTooNew, StoreUnavailable
from tokenkeep.store import TokenStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.token import Token

_Result = TypeVar("_Result")

OF_THE_STORE = (StoreUnavailable, StoreForeign, StoreTooNew)
"""What the next row would meet as well; other errors of a store are of one row."""

_TRIES = 20
"""How often a row is judged anew when others keep writing it."""


def can_swap(store: TokenStore) -> bool:
    """Tell whether a store brings its own `TokenStore.swap`."""
    return type(store).swap is not TokenStore.swap


def judged_anew(work: Callable[[int], _Result], token: Token) -> _Result:
    """
    Judge a row and write what follows from it, again while others write it in between.

    Args:
        work: Called with the number of the try, from 0. Raises `StoreConflict`
            if what it has judged is not what is stored any more.
        token: Whose row, for the error.

    Returns:
        What *work* does.

    Raises:
        StoreUnavailable: Others kept writing it.
    """
    for attempt in range(_TRIES):
        try:
            return work(attempt)
        except StoreConflict:
            continue
    raise StoreUnavailable(
        f"Others kept writing this token; gave up after {_TRIES} tries",
        token_id=token.id,
        user=token.user,
        hint="Try again",
    )
