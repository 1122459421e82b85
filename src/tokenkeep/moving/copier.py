"""Copy every row of one store to another, as often as one likes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from tokenkeep.clock import Clock
from tokenkeep.errors import (
    ConfigurationError,
    KeyMissing,
    StoreError,
)
from tokenkeep.moving.judging import Action, Verdict, judge, pointer, without_claim
from tokenkeep.moving.settled import expect_settled
from tokenkeep.rows import Rows
from tokenkeep.swapping import OF_THE_STORE, judged_anew
from tokenkeep.token import Status
from tokenkeep.vault import whereabouts

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tokenkeep.backends.base import Record
    from tokenkeep.token import Token
    from tokenkeep.vault import Vault

_PAGE = 100
"""Rows in memory at once; as many identities are asked for in one trip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    What was done with one row.

    Args:
        token_id: Its id in the source.
        user: Whose. None if not known.
        action: What was done; what would be, in a dry run.
        reason: Why, without a secret. None if there is nothing to say.
        in_flight: Whether it was being renewed: what comes of that is in the
            source only.
    """

    token_id: str
    user: str | None
    action: Action
    reason: str | None = None
    in_flight: bool = False


class Copier:
    """
    Copy the rows of a store.

    Ids, identities, statuses and the state of renewals go along; claims, and
    first logins that have not ended, do not. Nothing is doubled, and nothing
    newer is overwritten (`tokenkeep.moving.judging`), so it can be run again,
    also while both stores are in use. Each row is written whole or not at all.

    Args:
        source: What to copy; it is only read.
        target: Where to. It seals under its own newest key.
        replace: Whether another login of a user takes the place of the target's.
        clock: The time. None means the operating system's.

    Raises:
        ConfigurationError: Both are the same store.
    """

    def __init__(
        self, source: Vault, target: Vault, *, replace: bool = False, clock: Clock | None = None
    ) -> None:
        if whereabouts(source.backend) == whereabouts(target.backend):
            raise ConfigurationError(
                f"Both stores are {source.backend.describe()}", hint="Name two different ones"
            )
        self._source = source
        self._from = Rows(source.backend, source.ring)
        self._backend = target.backend
        self._to = Rows(target.backend, target.ring)
        self._replace = replace
        self._clock = clock or Clock()

    def steps(self, *, dry_run: bool = False) -> Generator[Step]:
        """
        Copy, and yield what was done with each row, in the order of their ids.

        A row that does not open, or that the target does not take, is told and
        passed over.

        Args:
            dry_run: Only say what would be done.

        Raises:
            StoreError: Answers of the provider wait to be saved in the source,
                before or after.
            StoreUnavailable: A store can't be read or written.
        """
        expect_settled(self._source)
        records = self._records()
        while page := list(islice(records, _PAGE)):
            yield from self._page(page, dry_run=dry_run)
        expect_settled(self._source)

    def _records(self) -> Iterator[Record]:
        after = None
        while page := self._source.backend.scan(after, _PAGE):
            yield from page
            after = page[-1].id

    def _page(self, page: list[Record], *, dry_run: bool) -> Iterator[Step]:
        there = {
            record.identity: record
            for record in self._backend.find("identity", [record.identity for record in page])
        }
        for record in page:
            try:
                row = self._from.open(record)
                step = self._step(row, there.get(record.identity), dry_run=dry_run)
            except OF_THE_STORE:
                raise
            except (KeyMissing, StoreError) as exc:
                reason = f"{exc.what} (token {exc.token_id or record.id})"
                step = Step(
                    token_id=record.id, user=record.user, action=Action.FAILED, reason=reason
                )
            yield step

    def _step(self, row: Token, known: Record | None, *, dry_run: bool) -> Step:
        """Copy a row; *known* is what had its identity in the target a moment ago."""
        verdict = judged_anew(
            lambda attempt: self._copied(
                row, None if attempt else known, attempt, dry_run=dry_run
            ),
            row,
        )
        claim = row.renewal.claim
        alive = claim is not None and self._clock.now() < claim.taken_at + claim.length
        return Step(
            token_id=str(row.id),
            user=row.user,
            action=verdict.action,
            reason=verdict.reason,
            in_flight=alive,
        )

    def _copied(self, row: Token, known: Record | None, attempt: int, *, dry_run: bool) -> Verdict:
        """
        Judge a row and do it.

        Raises:
            StoreConflict: Somebody wrote meanwhile; nothing was done.
        """
        if known is not None and known.id == row.id:
            there: Token | None = self._to.open(known)
            leads = True
        elif known is None and not attempt and not dry_run and _is_kept(row):
            # Most rows of most copies: one trip, and a conflict tells if there is one.
            self._to.adopt(without_claim(row))
            return judge(row, None, replace=self._replace)
        else:
            there, leads = self._counterpart(row)
        if there is None and leads:
            return Verdict(action=Action.SKIP, reason="deleted in the target since it moved there")
        verdict = judge(row, there, replace=self._replace)
        if dry_run:
            return verdict
        if verdict.row is not None:
            self._write(verdict.row, there)
        if there is not None and not leads and _is_kept(row):
            self._to.adopt(pointer(row, there, self._clock.now()))
        return verdict

    def _counterpart(self, row: Token) -> tuple[Token | None, bool]:
        """
        Return what the target has of a row's token or user, and whether the row's id leads there.

        None and True: the id leads to a row that is gone.
        """
        record = self._backend.read(str(row.id))
        at = None if record is None else self._to.open(record)
        if at is not None and at.moved_to and not row.moved_to:
            return self._to.read(str(at.id)), True
        owner = next(iter(self._to.taken([str(row.identity)])), None)
        if owner is not None and owner.moved_to and not row.moved_to:
            owner = self._to.read(str(owner.id))
        named_since = at is not None and row.user is not None and at.user is None
        if owner is not None and (at is None or named_since):
            return owner, at is not None
        return at, at is not None

    def _write(self, row: Token, there: Token | None) -> None:
        if there is None:
            self._to.adopt(row)
            return
        self._to.adopt(row, replaces=there.version)
        if row.last_used_at is not None:
            # What is only for clearing up is not worth a failure.
            with suppress(StoreError):
                self._backend.touch(str(row.id), row.last_used_at)


def _is_kept(row: Token) -> bool:
    """Tell whether a row is copied at all, if nothing is in the way."""
    return row.status is not Status.PENDING
