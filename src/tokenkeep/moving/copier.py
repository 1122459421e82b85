"""Copy every row of one store to another, as often as one likes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from tokenkeep.clock import Clock
from tokenkeep.errors import ConfigurationError, KeyMissing, StoreError, TokenKeepError
from tokenkeep.moving.judging import (
    STAYS_REVOKED,
    Action,
    Verdict,
    judge,
    pointer,
    without_claim,
)
from tokenkeep.moving.logins import Logins
from tokenkeep.moving.settled import expect_settled
from tokenkeep.rows import Rows
from tokenkeep.swapping import OF_THE_STORE, judged_anew
from tokenkeep.token import Status, Token
from tokenkeep.vault import whereabouts

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tokenkeep.backends.base import Backend, Record
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


@dataclass(slots=True, kw_only=True)
class _Pass:
    """
    What is done with the rows of a page.

    Args:
        dry_run: Only say what would be done.
        waiting: Takes the ids of pointers whose place is taken, for later. None: it is later.
    """

    dry_run: bool
    waiting: list[str] | None = None

    def puts_off(self, row: Token) -> bool:
        """Put a row off until the others are there. False if they are."""
        if self.waiting is not None:
            self.waiting.append(str(row.id))
        return self.waiting is not None


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
        if _is_one_store(source.backend, target.backend):
            raise ConfigurationError(
                f"Both stores are {source.backend.describe()}", hint="Name two different ones"
            )
        self._source = source
        self._from = Rows(source.backend, source.ring)
        self._backend = target.backend
        self._to = Rows(target.backend, target.ring)
        self._replace = replace
        self._clock = clock or Clock()
        self._logins = Logins(target, self._clock)

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
        waiting: list[str] = []
        while page := list(islice(records, _PAGE)):
            yield from self._page(page, _Pass(dry_run=dry_run, waiting=waiting))
        for token_id in waiting:
            if (record := self._source.backend.read(token_id)) is not None:
                yield from self._page([record], _Pass(dry_run=dry_run))
        expect_settled(self._source)

    def _records(self) -> Iterator[Record]:
        after = None
        while page := self._source.backend.scan(after, _PAGE):
            yield from page
            after = page[-1].id

    def _page(self, page: list[Record], doing: _Pass) -> Iterator[Step]:
        there = {
            record.identity: record
            for record in self._backend.find("identity", [record.identity for record in page])
        }
        opened = [self._opened(record) for record in page]
        rows = [row for row in opened if isinstance(row, Token)]
        self._logins.look(rows)
        new: list[Token] = []
        for record, row in zip(page, opened, strict=True):
            try:
                if isinstance(row, Exception):
                    raise row
                step = self._step(row, there.get(record.identity), doing)
            except OF_THE_STORE:
                raise
            except (KeyMissing, StoreError) as exc:
                step = _failed(record.id, record.user, exc)
            if step is not None:
                yield step
            if step is not None and step.action is Action.NEW and isinstance(row, Token):
                new.append(row)
        if not doing.dry_run:
            yield from self._saved_meanwhile(new)

    def _saved_meanwhile(self, new: list[Token]) -> Iterator[Step]:
        """See to logins that were saved in the target while these rows were on their way."""
        for row in self._logins.joined_by_others(new):
            try:
                judged_anew(partial(self._joined, row), row)
            except OF_THE_STORE:
                raise
            except (KeyMissing, StoreError) as exc:
                yield _failed(str(row.id), row.user, exc)

    def _joined(self, row: Token, _: int) -> None:
        self._logins.become_one(row)

    def _opened(self, record: Record) -> Token | TokenKeepError:
        try:
            return self._from.open(record)
        except (KeyMissing, StoreError) as exc:
            return exc

    def _step(self, row: Token, known: Record | None, doing: _Pass) -> Step | None:
        """
        Copy a row; *known* is what had its identity in the target a moment ago.

        Returns:
            None if it has to wait until the others are there.
        """
        verdict = judged_anew(
            lambda attempt: self._copied(row, None if attempt else known, attempt, doing), row
        )
        if verdict is None:
            return None
        claim = row.renewal.claim
        alive = claim is not None and self._clock.now() < claim.taken_at + claim.length
        return Step(
            token_id=str(row.id),
            user=row.user,
            action=verdict.action,
            reason=verdict.reason,
            in_flight=alive,
        )

    def _copied(
        self, row: Token, known: Record | None, attempt: int, doing: _Pass
    ) -> Verdict | None:
        """
        Judge a row and do it.

        Returns:
            None if it has to wait until the others are there.

        Raises:
            StoreConflict: Somebody wrote meanwhile; nothing was done.
        """
        if attempt:
            self._logins.look_anew(row)
        others = self._logins.others(row)
        if not (known or attempt or others or row.moved_to or doing.dry_run) and _is_kept(row):
            # Most rows of most copies: one trip, and a conflict tells if there is one.
            self._to.adopt(without_claim(row))
            return judge(row, None, replace=self._replace)
        there, leads = self._counterpart(row, known, others)
        if there is None and leads:
            return Verdict(action=Action.SKIP, reason="deleted in the target since it moved there")
        leads_to = self._to.read(row.moved_to) if row.moved_to else None
        if row.moved_to and doing.dry_run:
            leads_to = leads_to or self._from.read(row.moved_to)  # as it will be
        if there and row.moved_to and not (there.moved_to or leads_to) and doing.puts_off(row):
            return None
        verdict = judge(row, there, replace=self._replace, leads_to=leads_to)
        if there is None and verdict.row is not None:
            came = self._logins.as_one_of(verdict.row, others)
            is_dead = came.status is not verdict.row.status
            verdict = replace(
                verdict, row=came, reason=STAYS_REVOKED if is_dead else verdict.reason
            )
        if not doing.dry_run:
            self._do(verdict, row, there, leads=leads)
            # Or a row of this id that is not its user's: the login may be in there.
            if [each for each in others if not _is(each, there)] or (
                leads and not _is(row, there)
            ):
                self._logins.become_one(row)
        return verdict

    def _do(self, verdict: Verdict, row: Token, there: Token | None, *, leads: bool) -> None:
        if verdict.row is not None:
            self._write(verdict.row, there)
        taken = there is not None and there.status is not Status.PENDING
        if there is not None and taken and not leads and _is_kept(row):
            self._to.adopt(pointer(row, there, self._clock.now()))

    def _counterpart(
        self, row: Token, known: Record | None, others: list[Token]
    ) -> tuple[Token | None, bool]:
        """
        Return what the target has of a row's token or user, and whether the row's id leads there.

        None and True: the id leads to a row that is gone.
        """
        if known is not None and known.id == row.id:
            return self._to.open(known), True
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
        if at is None and others and self._may_stand_for(others[0], row):
            return others[0], False  # with a name, if there is such a one
        return at, at is not None

    def _may_stand_for(self, other: Token, row: Token) -> bool:
        """Tell whether a row can be written over with another one's user."""
        is_named = other.user is not None or row.user is None
        return is_named or self._to.may_become(other, str(row.identity))

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


def _failed(row_id: str, user: str | None, error: TokenKeepError) -> Step:
    reason = f"{error.what} (token {error.token_id or row_id})"
    return Step(token_id=row_id, user=user, action=Action.FAILED, reason=reason)


def _is(one: Token, other: Token | None) -> bool:
    return other is not None and one.id == other.id


def _is_one_store(one: Backend, other: Backend) -> bool:
    if one.embedded and one.home is None:
        return one is other  # in memory: all of them are called alike
    return whereabouts(one) == whereabouts(other)
