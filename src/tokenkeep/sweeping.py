"""Sweeping: what crashes left over, what providers have not confirmed, what policies end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenkeep.errors import TokenKeepError, telling
from tokenkeep.telling import Round

if TYPE_CHECKING:
    from tokenkeep.ending import Endings
    from tokenkeep.journal import Journal
    from tokenkeep.renewal import Renewer
    from tokenkeep.revoking import Revocations
    from tokenkeep.store import Store
    from tokenkeep.telling import Teller
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
        ended: Tokens that a policy has ended now.
        postponed: Tokens that a policy would have ended by this host's clock, which the
            provider's does not confirm.
        purged: Tokens that worked no more, and that a policy has deleted now.
        revoked: Tokens all of whose revocations the provider confirmed now.
        unconfirmed: Tokens with revocations that it has still not confirmed.
        deleted: Leases and notes that are over.
        told: Deaths, recoveries and outages that were told now (docs/notices.md).
        untold: Those that nobody has taken yet.
    """

    saved: int = 0
    discarded: int = 0
    unread: int = 0
    ended: int = 0
    postponed: int = 0
    purged: int = 0
    revoked: int = 0
    unconfirmed: int = 0
    deleted: int = 0
    told: int = 0
    untold: int = 0


def sweep(
    store: Store,
    journal: Journal,
    now: float,
    *,
    renewer: Renewer,
    revocations: Revocations,
    endings: Endings,
    teller: Teller,
    note: _Note,
) -> Swept:
    """See `Keeper.sweep`; one bad row or file holds no other up: it is told to *note*."""
    counts: Counter[str] = Counter()
    for entry in list(journal.entries(on_error=note)):
        with telling(note):  # its row does not open, or its provider is gone
            counts[renewer.settle(entry)] += 1
    counts["deleted"] = store.tidy(now, note)
    store.apply_policies(note)
    left = _ended(store, endings, now, counts, note)
    for asked in revocations.confirm_each(left, note):
        if asked.had_some:
            counts["unconfirmed" if asked.token.renewal.to_revoke else "revoked"] += 1
        with telling(note):
            _purge(asked.token, endings, counts)
    a_round = Round()
    teller.tell_all(now, a_round, note)  # last: nothing waits for a webhook
    return Swept(**counts, told=a_round.told, untold=a_round.untold)


def _ended(
    store: Store, endings: Endings, now: float, counts: Counter[str], note: _Note
) -> Iterator[Token]:
    """Hold what is due to its policies, and yield what has something to revoke."""
    for due in store.due(now, note):
        row = None
        with telling(note):
            # Read again: with a slow provider its page was read minutes ago, and its user
            # may have logged in since.
            row = due if due.ended else store.reread(str(due.id))
            if row is not None:
                row = _by_policy(row, store, endings, now, counts)
                if not (row.ended or row.renewal.to_revoke):
                    _purge(row, endings, counts)
        if row is not None and (row.ended or row.renewal.to_revoke):
            yield row


def _by_policy(
    row: Token, store: Store, endings: Endings, now: float, counts: Counter[str]
) -> Token:
    """Return a row as it is once its policies were held to."""
    end = store.policies.ending(row)
    if end is None or now < end.at:
        store.put_off(row, now)  # it was used since it was written
        return row
    ended = endings.end(row)
    counts["postponed" if ended is None else "ended"] += 1
    return ended or row


def _purge(row: Token, endings: Endings, counts: Counter[str]) -> None:
    if not row.ended and endings.purge(row):
        counts["purged"] += 1
