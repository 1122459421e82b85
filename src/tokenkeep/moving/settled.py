"""Whether what a store holds is all there is of its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenkeep.errors import StoreError

if TYPE_CHECKING:
    from tokenkeep.vault import Vault


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
