"""Whether what a store's rows hold is all there is of its tokens."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from tokenkeep import records
from tokenkeep.errors import KeyMissing, StoreError, StoreTampered

if TYPE_CHECKING:
    from tokenkeep.vault import Vault

_PAGE = 500
CLOCKS = 86_400.0
"""How far the clocks of other hosts may be ahead, in seconds."""


def expect_settled(store: Vault) -> None:
    """
    Refuse a store while answers of the provider wait to be saved in it.

    What is stored is out of date then: with a provider that rotates, its
    refresh tokens are spent. Only this host's answers can be seen.

    Raises:
        StoreError: There are some.
        KeyMissing: One was sealed under a key that is not in the ring.
        StoreTampered: One does not open.
    """
    waiting = sum(1 for _ in store.journal.entries())
    if waiting:
        raise StoreError(
            f"{waiting} of the provider's answers wait to be saved in {store.backend.describe()}: "
            "what is stored there is out of date",
            hint="Save them with: tokenkeep sweep --store …, then run this again",
        )


def finish_moves(store: Vault, now: float) -> bool:
    """
    Bring logins that were left on their way from one row to another there, as any lookup does.

    Args:
        store: Which one.
        now: Epoch seconds.

    Returns:
        Whether there are deleted rows with something to revoke.
    """
    after, ended = None, False
    while page := store.backend.due(now + CLOCKS, _PAGE, after=after):
        for record in page:
            ended |= record.kind == records.ENDED
            if record.kind == records.ALIAS:
                with suppress(KeyMissing, StoreTampered):
                    store.reread(records.token_id(record.id))
        after = page[-1].due_at or 0.0, page[-1].id
    return ended
