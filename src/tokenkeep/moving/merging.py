"""Bring every row of a source into a store, as often as one likes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

from tokenkeep.clock import Clock
from tokenkeep.errors import (
    ConfigurationError,
    KeyMissing,
    StoreConflict,
    StoreError,
    StoreTampered,
    UnknownName,
)
from tokenkeep.moving.judging import Action, Verdict, arrived, judge
from tokenkeep.moving.sources import Row, Source, StoreSource
from tokenkeep.swapping import OF_THE_STORE
from tokenkeep.token import Status

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from tokenkeep.token import Token
    from tokenkeep.vault import Vault

_PAGE = 50
"""How many rows are looked for at once, and inserted if nothing like them is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    What was done with one row, or with an id that leads to one; what would be, in a dry run.

    Args:
        row: As the source has it.
        action: What was done.
        reason: Why, without a secret. None if there is nothing to say.
        stored: What stands for it in the target now. None if nothing does.
    """

    row: Row
    action: Action
    reason: str | None = None
    stored: Token | None = None


class Merge:
    """
    Bring the rows of a source into a store.

    Ids, statuses, histories and the state of renewals go along; claims, deleted
    rows, and first logins that have not ended, do not. Nothing is doubled, and nothing newer is
    overwritten (`tokenkeep.moving.judging`), so it can be run again, also
    while both are in use. Each row is written whole or not at all, over what it
    was judged by and nothing else: one that others go on writing is skipped.

    Args:
        source: Where the rows are; it is only read.
        target: Where they go. It seals under keys of its own.
        replace: Whether another login of a user takes the place of the target's.
        clock: The time. None means the operating system's.

    Attributes:
        policies: Whose policies the target has, where the source has some and they are not the
            same: the ``source``'s, if the target was never given any, else the ``target``'s. None
            where there is no question, or before `steps`.

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
        self.policies: Literal["source", "target"] | None = None

    def steps(self, *, dry_run: bool = False) -> Generator[Step]:
        """
        Do it, and yield what was done with each row, in the order of the source.

        A row that does not open, or that the target does not take, is told and
        passed over.

        Args:
            dry_run: Only say what would be done.

        Raises:
            ConfigurationError: As `Source.rows`; or the target can't hold to the source's
                policies: nothing is written then.
            StoreError: As `Source.rows`, before or after; or the target can't
                be read or written.
        """
        self._rule(dry_run=dry_run)
        rows = self._source.rows(self._clock.now(), self._target.providers)
        counts = Counter[str]()
        try:
            while page := list(islice(rows, _PAGE)):
                for step in self._steps(page, dry_run=dry_run):
                    counts[step.action.value] += 1
                    yield step
        finally:
            if counts and not dry_run:
                self._target.audit.note("merged", source=self._source.describe(), rows=counts)

    def _rule(self, *, dry_run: bool) -> None:
        """Give the target the source's policies: before the rows, or some would live for ever."""
        theirs = self._source.policies
        if not theirs or theirs == (ruled := self._target.ruled).policies:
            return
        # Who has taken them away there, or has others, meant it.
        self.policies = "target" if ruled.serial else "source"
        if self.policies == "source" and not dry_run:
            self._target.set_policies(theirs)

    def _steps(self, page: list[Row], *, dry_run: bool) -> Iterator[Step]:
        """Insert what nothing is like, in one trip; see to all others one by one."""
        plain = [n for n, row in enumerate(page) if row.problem is None and row.to is None]
        found = dict(zip(plain, self._looks([page[n].token for n in plain]), strict=True))
        new = [] if dry_run else [n for n in plain if found[n] == []]
        taken = self._target.adopt_each([arrived(page[n].token) for n in new]) if new else ()
        stored = dict(zip(new, taken, strict=True))
        for n, row in enumerate(page):
            try:
                step = self._step(row, found.get(n), stored.get(n), dry_run=dry_run)
            except OF_THE_STORE:
                raise
            except (KeyMissing, UnknownName, StoreError) as exc:
                action = Action.SKIP if isinstance(exc, StoreConflict) else Action.FAILED
                about = f" (token {exc.token_id})" if exc.token_id else ""
                step = Step(row=row, action=action, reason=exc.what + about)
            if step is not None:
                yield step

    def _looks(self, rows: Sequence[Token]) -> Sequence[list[Token] | None]:
        """Return what a save of each would look at; None where that takes a look of its own."""
        try:
            return self._target.look_each(rows) if rows else []
        except (KeyMissing, StoreTampered, UnknownName):
            return [None] * len(rows)  # it is one row's trouble

    def _step(
        self, row: Row, found: list[Token] | None, stored: Token | None, *, dry_run: bool
    ) -> Step | None:
        """See to a row, by what is known to be there, or as what it is *stored* already."""
        if row.token.ended and (ended := self._ended(row, dry_run=dry_run)) is not None:
            return ended
        if row.problem is not None:
            action = Action.FAILED if row.failed else Action.SKIP
            return Step(row=row, action=action, reason=row.problem)
        verdict = Verdict(Action.NEW)
        if row.to is not None:
            stored = self._target.reread(str(row.to.id))
        elif stored is None:
            verdict, stored = self._merge(row.token, found, dry_run=dry_run)
        taken = None
        if stored is not None and row.id not in (None, stored.id) and not dry_run:
            try:
                self._target.add_id(str(row.id), stored)
            except StoreConflict as exc:
                taken = f"its id leads to token {exc.token_id} already"
        if row.to is not None:
            return Step(row=row, action=Action.SKIP, reason=taken) if taken else None
        reason = "; ".join(filter(None, (verdict.reason, taken))) or None
        return Step(row=row, action=verdict.action, reason=reason, stored=stored)

    def _ended(self, row: Row, *, dry_run: bool) -> Step | None:
        """Revoke in the target, too, what was deleted in the source. None if it is not there."""
        gone = row.token.but(ended=False, status=Status.REVOKED)
        verdict = self._judged(gone, self._look(gone))
        if verdict.action is not Action.UPDATE:
            return None
        if not dry_run:
            self._write(verdict)
        reason = "deleted in the source"
        return Step(row=row, action=verdict.action, reason=reason, stored=verdict.there)

    def _merge(
        self, row: Token, found: Sequence[Token] | None, *, dry_run: bool
    ) -> tuple[Verdict, Token | None]:
        """
        Judge a row by what the target has, and do it; return what stands for it then, too.

        Raises:
            StoreConflict: Somebody else wrote first; or its login was ended there.
        """
        verdict = None if found is None else self._judged(row, found)
        if verdict is None or (verdict.action in (Action.NEW, Action.UPDATE) and not dry_run):
            # What was found for the page may have been written for a row before this one.
            verdict = self._judged(row, self._look(row))
        if dry_run:
            return verdict, verdict.there
        if verdict.action is Action.NEW:
            return verdict, self._target.adopt(arrived(row))
        written = self._write(verdict)
        return verdict, written[0] if written else verdict.there

    def _write(self, verdict: Verdict) -> list[Token]:
        written = [self._target.swap(each) for each in verdict.writes]
        for each in written:
            self._target.audit.note("updated", each, status=each.status.value)
        return written

    def _judged(self, row: Token, found: Sequence[Token]) -> Verdict:
        revokes_grant = self._target.revokes_grant(row)
        return judge(row, found, replace=self._replace, revokes_grant=revokes_grant)

    def _look(self, row: Token) -> list[Token]:
        """Return what a save of a row would look at, and what its id leads to."""
        by_id, rows = self._target.look(row)
        return list({each.id: each for each in (by_id, *rows) if each}.values())
