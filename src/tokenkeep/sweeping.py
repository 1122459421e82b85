"""Sweeping: what was left over by crashes and outages, and what the provider has not confirmed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenkeep.errors import TokenKeepError, telling

if TYPE_CHECKING:
    from tokenkeep.journal import Journal
    from tokenkeep.renewal import Renewer
    from tokenkeep.revoking import Revocations
    from tokenkeep.store import Store

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
        revoked: Tokens all of whose revocations the provider confirmed now.
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
    left = (row for row in store.due(now, note) if row.renewal.to_revoke or row.ended)
    for asked in revocations.confirm_each(left, note):
        if asked.had_some:
            counts["unconfirmed" if asked.token.renewal.to_revoke else "revoked"] += 1
    return Swept(**counts)
