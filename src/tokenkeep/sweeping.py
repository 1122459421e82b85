"""Sweeping: what was left over by crashes, outages and first logins that never ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenkeep.errors import StoreConflict, StoreUnavailable, TokenKeepError
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.keeper import Keeper
    from tokenkeep.renewal import Renewer
    from tokenkeep.revoking import Revocations

PENDING_AGE = 60.0
"""After this long a first login counts as given up, in seconds."""

PART_AGE = 3600.0
"""After this long a half-written journal entry belongs to a writer that is gone, in seconds."""

POINTER_AGE = 30 * 86_400.0
"""How long an id goes on working after its row moved to its user's, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """
    What a sweep did.

    Args:
        saved: Answers from the journal that were saved now.
        discarded: Answers from the journal that were out of date.
        revoked: Revocations the provider confirmed now.
        unconfirmed: Revocations the provider has still not confirmed.
        deleted: Rows deleted: first logins given up, old pointers.
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


def sweep(keeper: Keeper, renewer: Renewer, revocations: Revocations, now: float) -> Swept:
    """See `Keeper.sweep`."""
    saved = discarded = revoked = unconfirmed = deleted = 0
    keeper.journal.tidy(now - PART_AGE)
    troubles = _Troubles()
    for entry in list(keeper.journal.entries(on_error=troubles.note)):
        try:
            if renewer.settle(entry) is None:
                discarded += 1
            else:
                saved += 1
        except StoreUnavailable:
            raise  # the next ones' as well
        except TokenKeepError as exc:  # its row does not open, or its provider is gone
            troubles.note(exc)
    for row in _rows(keeper, troubles):
        if row.renewal.to_revoke:
            if revocations.confirm(row).renewal.to_revoke:
                unconfirmed += 1
            else:
                revoked += 1
        elif _is_left_over(row, now):
            deleted += _delete(keeper, row)
    troubles.end()
    return Swept(
        saved=saved,
        discarded=discarded,
        revoked=revoked,
        unconfirmed=unconfirmed,
        deleted=deleted,
    )


def _rows(keeper: Keeper, troubles: _Troubles) -> Iterator[Token]:
    all_rows = getattr(keeper.store, "iter_rows", keeper.store.iter_tokens)
    rows: Iterator[Token] = iter(all_rows())
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except TokenKeepError as exc:
            troubles.note(exc)  # a Vault goes on behind a row that does not open
        else:
            yield row


def _is_left_over(row: Token, now: float) -> bool:
    age = now - (row.updated_at or row.created_at or 0.0)
    return (row.status is Status.PENDING and age > PENDING_AGE) or (
        row.status is Status.MOVED and age > POINTER_AGE
    )


def _delete(keeper: Keeper, row: Token) -> int:
    """Delete the version that was judged; a first login that ended meanwhile stays."""
    try:
        keeper.store.delete_token(str(row.id), replaces=row.version)  # type: ignore[call-arg]  # only a Vault has such rows
    except StoreConflict:
        return 0
    return 1
