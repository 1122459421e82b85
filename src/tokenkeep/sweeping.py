"""Sweeping: what was left over by crashes and outages, and what the provider has not confirmed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenkeep.errors import StoreConflict, TokenKeepError, telling

if TYPE_CHECKING:
    from tokenkeep.journal import Journal
    from tokenkeep.renewal import Renewer
    from tokenkeep.revoking import Revocations, Whom
    from tokenkeep.store import Store
    from tokenkeep.token import Token

_Note = Callable[[TokenKeepError], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """
    What a sweep did.

    Args:
        saved: Answers from the journal that were saved now.
        discarded: Answers from the journal that were out of date.
        unread: Answers from the journal in which no token was found; kept while they may have
            one, see docs/providers.md.
        revoked: Tokens all of whose revocations the provider confirmed now, or that have ended.
        unconfirmed: Tokens with revocations that it has still not confirmed.
        deleted: Leases that are over.
    """

    saved: int = 0
    discarded: int = 0
    unread: int = 0
    revoked: int = 0
    unconfirmed: int = 0
    deleted: int = 0


def sweep(
    store: Store,
    journal: Journal,
    renewer: Renewer,
    revocations: Revocations,
    now: float,
    *,
    note: _Note,
) -> Swept:
    """See `Keeper.sweep`; one bad row or file holds no other up: it is told to *note*."""
    counts: Counter[str] = Counter()
    for entry in list(journal.entries(on_error=note)):
        with telling(note):  # its row does not open, or its provider is gone
            counts[renewer.settle(entry)] += 1
    counts["deleted"] = store.tidy(now, note)
    _confirm(store, revocations, now, counts, note)
    return Swept(**counts)


def _confirm(
    store: Store, revocations: Revocations, now: float, counts: Counter[str], note: _Note
) -> None:
    mute: set[Whom] = set()
    for due in store.due(now, note):
        with telling(note):
            # Read again: with a slow provider its page was read minutes ago, and its user
            # may have logged in since.
            row = due if due.ended else store.reread(str(due.id))
            if row is None:
                continue
            after = revocations.confirm(row, mute)
            if row.ended:
                _keep_what_is_left(store, row, after)
            if after.renewal.to_revoke:
                counts["unconfirmed"] += 1
            elif row.renewal.to_revoke:
                counts["revoked"] += 1


def _keep_what_is_left(store: Store, row: Token, after: Token) -> None:
    """Write what a deleted row has still to revoke; delete it for good once nothing is."""
    with suppress(StoreConflict):  # somebody else is at it
        if not after.renewal.to_revoke:
            store.delete_version(str(row.id), str(row.version))
        elif after is not row:
            store.swap(after)
