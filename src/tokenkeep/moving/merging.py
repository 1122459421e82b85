"""Bring every row of a source into a store, as often as one likes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from tokenkeep import saving
from tokenkeep.clock import Clock
from tokenkeep.errors import (
    ConfigurationError,
    KeyMissing,
    StaleToken,
    StoreConflict,
    StoreError,
    StoreTampered,
    UnknownName,
)
from tokenkeep.moving.judging import Action, Verdict, arrived, had_login, judge, meets
from tokenkeep.moving.sources import Row, Source, StoreSource
from tokenkeep.swapping import OF_THE_STORE, attempts
from tokenkeep.token import Status, Token, new_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from tokenkeep.vault import Vault

_PAGE = 50
"""How many rows are looked for at once, and inserted if nothing like them is there."""

_HAD = Verdict(Action.SKIP, "the target had this login, and has ended or replaced it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    What was done with one row, or with an id that leads to one; what would be, in a dry run.

    Args:
        row: As the source has it.
        action: What was done.
        reason: Why, without a secret. None if there is nothing to say.
        stored: What stands for it in the target now. None if nothing does.
        in_flight: Whether it was being renewed: what comes of that is in the
            source only.
    """

    row: Row
    action: Action
    reason: str | None = None
    stored: Token | None = None
    in_flight: bool = False


class Merge:
    """
    Bring the rows of a source into a store.

    Ids, statuses, histories and the state of renewals go along, and what the
    provider has still to revoke of deleted rows; claims, and first logins that
    have not ended, do not. Nothing is doubled, and nothing newer is
    overwritten (`tokenkeep.moving.judging`), so it can be run again, also
    while both are in use. Each row is written whole or not at all, over what it
    was judged by and nothing else.

    Args:
        source: Where the rows are; it is only read.
        target: Where they go. It seals under keys of its own.
        replace: Whether another login of a user takes the place of the target's.
        clock: The time. None means the operating system's.

    Raises:
        ConfigurationError: Both are the same store.
    """

    def __init__(
        self, source: Source, target: Vault, *, replace: bool = False, clock: Clock | None = None
    ) -> None:
        if isinstance(source, StoreSource):
            mine, where = source.store, target.backend.describe()
            if (mine.store_id, mine.backend.describe()) == (target.store_id, where):
                hint = "Name two different ones"
                raise ConfigurationError(f"Both stores are {where}", hint=hint)
        self._source = source
        self._target = target
        self._replace = replace
        self._clock = clock or Clock()

    def steps(self, *, dry_run: bool = False) -> Generator[Step]:
        """
        Do it, and yield what was done with each row, in the order of the source.

        A row that does not open, or that the target does not take, is told and
        passed over.

        Args:
            dry_run: Only say what would be done.

        Raises:
            ConfigurationError: As `Source.rows`.
            StoreError: As `Source.rows`, before or after; or the target can't
                be read or written.
        """
        rows = self._source.rows(self._clock.now(), self._target.providers)
        while page := list(islice(rows, _PAGE)):
            yield from self._steps(page, dry_run=dry_run)
        self._source.settle(self._clock.now())

    def _steps(self, page: list[Row], *, dry_run: bool) -> Iterator[Step]:
        """Insert what meets nothing, in one trip; see to all others one by one."""
        looks = iter(self._looks([row.token for row in page if row.is_plain]))
        met = [next(looks) if row.is_plain else None for row in page]
        new = [] if dry_run else [n for n, rows in enumerate(met) if rows == []]
        taken = self._target.adopt_each([_arriving(page[n].token) for n in new]) if new else ()
        stored = dict(zip(new, taken, strict=True))
        for n, row in enumerate(page):
            step = self._step(row, met[n], stored.get(n), dry_run=dry_run)
            if step is not None:
                yield step

    def _looks(self, rows: Sequence[Token]) -> list[list[Token] | None]:
        """Return what each row meets; None where that takes a look of its own."""
        asked = [row if row.version else row.but(id=None) for row in rows]
        try:
            return self._target.look_each(asked) if asked else []
        except (KeyMissing, StoreTampered, UnknownName):
            return [None] * len(asked)  # it is one row's trouble

    def _step(
        self, row: Row, met: list[Token] | None, stored: Token | None, *, dry_run: bool
    ) -> Step | None:
        """See to a row, by what it is known to have *met*, or as what it is *stored* already."""
        if row.problem is not None:
            action = Action.FAILED if row.failed else Action.SKIP
            return Step(row=row, action=action, reason=row.problem)
        try:
            if row.to is not None:
                return self._lead_to(row, row.to, dry_run=dry_run)
            if stored is not None:
                verdict = self._led(row.token, Verdict(Action.NEW), stored)
            else:
                met = met if met or dry_run else None  # it met nothing, and was not taken
                verdict, stored = self._merge(row.token, met, dry_run=dry_run)
        except OF_THE_STORE:
            raise
        except (KeyMissing, UnknownName, StoreError) as exc:
            action = Action.SKIP if isinstance(exc, StoreConflict) else Action.FAILED
            about = f" (token {exc.token_id})" if exc.token_id else ""
            return Step(row=row, action=action, reason=exc.what + about)
        claim = row.token.renewal.claim
        return Step(
            row=row,
            action=verdict.action,
            reason=verdict.reason,
            stored=stored,
            in_flight=claim is not None and self._clock.now() < claim.taken_at + claim.length,
        )

    # Rows

    def _merge(
        self, row: Token, known: list[Token] | None, *, dry_run: bool
    ) -> tuple[Verdict, Token | None]:
        """Judge a row by what the target has and do it, anew whenever others write meanwhile."""
        revokes_grant, told = self._target.revokes_grant(row), None
        for number, _ in enumerate(attempts(row.id, row.user)):
            met, leads = list[Token](), False
            try:
                met, leads = self._meet(row, known)
                known = None
                verdict = judge(row, met, replace=self._replace, revokes_grant=revokes_grant)
                if dry_run:
                    return verdict, verdict.there
                stored = self._write(row, verdict)
            except StoreConflict as exc:
                if not isinstance(exc, StaleToken) and (met or not number):
                    continue
                # Its login was ended there, or a deleted row that nobody finds has its id.
                return (Verdict(Action.NOTHING) if row.ended else _HAD), None
            there = verdict.there if verdict.action is Action.UPDATE else None
            if there is not None and (len(met) > 1 or there.id != getattr(stored, "id", None)):
                told = told or verdict
                continue  # one of several is done with, or two have become one
            if told is not None and verdict.action is Action.NOTHING:
                verdict = told
            if stored is not None and not leads:
                verdict = self._led(row, verdict, stored)
            return verdict, stored
        raise AssertionError  # attempts() has raised

    def _meet(self, row: Token, known: list[Token] | None) -> tuple[list[Token], bool]:
        """
        Return what a row meets in the target, and whether its id leads to one of those.

        Raises:
            StaleToken: The target had its login, and has it no more.
        """
        rows = known or []
        if known is None:
            with suppress(UnknownName):  # of a provider that is not configured here
                _, rows = self._target.look(row.but(id=None))
        by_id = next((each for each in rows if each.id == row.id), None)
        if by_id is None and row.version and known is None:
            by_id = self._target.reread(str(row.id))
        met = [] if by_id is None else [by_id]
        met += [each for each in rows if each not in met and meets(row, each)]
        if row.status is Status.OK and not row.ended:
            met += [each for each in rows if each not in met and had_login(each, row)]
        return met, by_id is not None

    def _write(self, row: Token, verdict: Verdict) -> Token | None:
        """
        Do what is to be done with a row, and return what stands for it then.

        Raises:
            StoreConflict: Somebody wrote meanwhile.
        """
        there = verdict.there
        if there is None:
            return self._target.adopt(_arriving(row)) if verdict.action is Action.NEW else None
        if verdict.row is not None:
            there = self._target.swap(verdict.row)
            if row.last_used_at is not None:
                # What is only for clearing up is not worth a failure.
                with suppress(StoreError):
                    self._target.touch(str(there.id), row.last_used_at)
        if verdict.named is not None:
            others = [each for each in self._meet(row, None)[0] if each.id != there.id]
            if verdict.named is row and others:
                raise StoreConflict("The user has got a row of their own meanwhile")
            there = self._target.save_token(saving.filled(there, verdict.named))
        return there

    # Ids

    def _led(self, row: Token, verdict: Verdict, there: Token) -> Verdict:
        """Let the id of a row lead to what stands for it; say so if it leads elsewhere."""
        try:
            if row.id not in (None, there.id) and not row.ended:
                self._target.add_id(str(row.id), there)
        except StoreConflict as exc:
            # A row's own is taken only as long as the target ends a row that had it.
            if not row.version:
                taken = f"its id leads to token {exc.token_id} already"
                return replace(verdict, reason="; ".join(filter(None, (verdict.reason, taken))))
        return verdict

    def _lead_to(self, row: Row, to: Token, *, dry_run: bool) -> Step | None:
        """
        Let an id that a caller brought, or a former row had, lead where it does in the source.

        Returns:
            None if it does, or has nothing to lead to.
        """
        token_id = str(row.token.id)
        there, led = self._target.reread(str(to.id)), self._target.reread(token_id)
        if there is None or (led is not None and led.id == there.id):
            return None
        if led is not None and (led.user or not there.user or not had_login(there, led)):
            reason = f"the target has this id for token {led.id}"
            return Step(row=row, action=Action.SKIP, reason=reason)
        if dry_run:
            return None
        if led is None:
            self._target.add_id(token_id, there)
        # A copy from when the id was a row's, whose login has gone into the other row since.
        elif there.status is Status.OK:
            self._target.save_token(there.but(id=token_id, version=None))
        elif there.status is Status.REVOKED and led.status is not there.status:
            self._target.swap(saving.died(led, Status.REVOKED, self._clock.now()))
        return None


def _arriving(row: Token) -> Token:
    """Return a row as it is new in the target: with its id, if that is a store's own."""
    new = arrived(row)
    return new if new.version else new.but(id=new_id())
