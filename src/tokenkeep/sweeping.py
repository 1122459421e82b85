"""Sweeping: what was left over by crashes and outages, and what the provider has not confirmed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenkeep.errors import TokenKeepError, telling
from tokenkeep.telling import Round

if TYPE_CHECKING:
    from tokenkeep.journal import Journal
    from tokenkeep.renewal import Renewer
    from tokenkeep.revoking import Revocations, Whom
    from tokenkeep.store import Store
    from tokenkeep.telling import Teller

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
        told: Deaths, recoveries and outages that were told now (docs/notices.md).
        untold: Those that nobody has taken yet.
    """

    saved: int = 0
    discarded: int = 0
    unread: int = 0
    revoked: int = 0
    unconfirmed: int = 0
    deleted: int = 0
    told: int = 0
    untold: int = 0


def sweep(
    store: Store,
    journal: Journal,
    renewer: Renewer,
    revocations: Revocations,
    now: float,
    *,
    teller: Teller,
    note: _Note,
) -> Swept:
    """See `Keeper.sweep`; one bad row or file holds no other up: it is told to *note*."""
    counts: Counter[str] = Counter()
    for entry in list(journal.entries(on_error=note)):
        with telling(note):  # its row does not open, or its provider is gone
            counts[renewer.settle(entry)] += 1
    counts["deleted"] = store.tidy(now, note)
    mute: set[Whom] = set()
    a_round = Round()
    for due in store.due(now, note):
        with telling(note):
            # Read again: with a slow provider its page was read minutes ago, and its user
            # may have logged in since.
            row = due if due.ended else store.reread(str(due.id))
            if row is not None:
                seen_to = revocations.confirm(row, mute)
                if row.renewal.to_revoke:
                    counts["unconfirmed" if seen_to.renewal.to_revoke else "revoked"] += 1
                teller.tell(seen_to, a_round)
    with telling(note):
        teller.tell_outages(a_round)
    counts |= {"told": a_round.told, "untold": a_round.untold}
    return Swept(**counts)
