"""Compare and write, and again while others write in between: the one loop for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenkeep.errors import StoreForeign, StoreTooNew, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

OF_THE_STORE = (StoreUnavailable, StoreForeign, StoreTooNew)
"""What the next row would meet as well; other errors of a store are of one row."""

_TRIES = 100


def attempts(token_id: str | None = None, user: str | None = None) -> Iterator[None]:
    """
    Yield for each try to read, decide and write; whoever has written leaves the loop.

    Each lost try means that somebody else got on, so a few are enough in life.

    Raises:
        StoreUnavailable: Others kept writing it.
    """
    for _ in range(_TRIES):
        yield
    raise StoreUnavailable(
        f"Others kept writing this token; gave up after {_TRIES} tries",
        token_id=token_id,
        user=user,
        hint="Try again; nothing was written",
    )
