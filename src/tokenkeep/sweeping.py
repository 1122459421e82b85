"""Sweeping: what was left over by crashes and outages, and what the provider has not confirmed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenkeep.errors import StoreConflict, StoreUnavailable, TokenKeepError

if TYPE_CHECKING:
    from tokenkeep.journal import Journal
    from tokenkeep.renewal import Renewer
    from tokenkeep.revoking import Revocations
    from tokenkeep.store import Store
    from tokenkeep.token import Token

PART_AGE = 3600.0
"""After this long a half-written journal entry belongs to a writer that is gone, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """
    What a sweep did.

    Args:
        saved: Answers from the journal that were saved now.
        discarded: Answers from the journal that were out of date.
        revoked: Tokens all of whose revocations the provider confirmed now.
        unconfirmed: Tokens with revocations that it has still not confirmed.
        deleted: Leases that are over.
    """

    saved: int = 0
    discarded: int = 0
    revoked: int = 0
    unconfirmed: int = 0
    deleted: int = 0


class _Troubles:
    """What is raised last, so that one bad row or file holds no other up."""

    def __init__(self) -> None:
        self._first: TokenKeepError | None = None

    def note(self, error: TokenKeepError) -> None:
        """Keep an error for the end: the first, for there may be one for each row."""
        self._first = self._first or error

    def end(self) -> None:
        """Raise what was noted, if anything was."""
        if self._first is not None:
            raise self._first


def sweep(
    store: Store, journal: Journal, renewer: Renewer, revocations: Revocations, now: float
) -> Swept:
    """See `Keeper.sweep`."""
    saved = discarded = revoked = unconfirmed = 0
    journal.tidy(now - PART_AGE)
    troubles = _Troubles()
    for entry in list(journal.entries(on_error=troubles.note)):
        try:
            if renewer.settle(entry) is None:
                discarded += 1
            else:
                saved += 1
        except StoreUnavailable:
            raise  # the next ones' as well
        except TokenKeepError as exc:  # its row does not open, or its provider is gone
            troubles.note(exc)
    deleted = store.tidy(now, troubles.note)
    for due in store.due(now, troubles.note):
        # Read again: with a slow provider its page was read minutes ago, and its user
        # may have logged in since.
        try:
            row = due if due.ended else store.reread(str(due.id))
            if row is None:
                continue
            if _confirmed(row, store, revocations):
                revoked += bool(row.renewal.to_revoke)
            else:
                unconfirmed += 1
        except StoreUnavailable:
            raise
        except TokenKeepError as exc:  # as above
            troubles.note(exc)
    troubles.end()
    return Swept(
        saved=saved,
        discarded=discarded,
        revoked=revoked,
        unconfirmed=unconfirmed,
        deleted=deleted,
    )


def _confirmed(row: Token, store: Store, revocations: Revocations) -> bool:
    """Let the provider confirm what is to be revoked of a row; a deleted one goes after that."""
    after = revocations.confirm(row)
    done = not after.renewal.to_revoke
    if row.ended:
        try:
            if done:
                store.delete_version(str(row.id), str(row.version))
            elif after is not row:
                store.swap(after)
        except StoreConflict:
            pass  # somebody else is at it
    return done
