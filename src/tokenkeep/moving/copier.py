"""Copy every row of one store to another, as often as one likes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from tokenkeep import saving
from tokenkeep.backends.base import WIDTH
from tokenkeep.clock import Clock
from tokenkeep.errors import (
    ConfigurationError,
    KeyMissing,
    StaleToken,
    StoreConflict,
    StoreError,
    TokenKeepError,
    UnknownName,
)
from tokenkeep.importing.row import Action
from tokenkeep.moving.judging import Verdict, had_login, judge, meets
from tokenkeep.moving.settled import CLOCKS, expect_settled, finish_moves
from tokenkeep.swapping import OF_THE_STORE, attempts
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tokenkeep.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    What was done with one row, or with an id that leads to one.

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

    Ids, statuses, histories and the state of renewals go along, and what the
    provider has still to revoke of deleted rows; claims, and first logins that
    have not ended, do not. Nothing is doubled, and nothing newer is
    overwritten (`tokenkeep.moving.judging`), so it can be run again, also
    while both stores are in use. Each row is written whole or not at all.

    Args:
        source: What to copy; it is only read.
        target: Where to. It seals under keys of its own.
        replace: Whether another login of a user takes the place of the target's.
        clock: The time. None means the operating system's.

    Raises:
        ConfigurationError: Both are the same store.
    """

    def __init__(
        self, source: Vault, target: Vault, *, replace: bool = False, clock: Clock | None = None
    ) -> None:
        where = source.backend.describe()
        if (source.store_id, where) == (target.store_id, target.backend.describe()):
            raise ConfigurationError(f"Both stores are {where}", hint="Name two different ones")
        self._source = source
        self._target = target
        self._replace = replace
        self._clock = clock or Clock()
        # Where ids are made of owners, a row gets another one: its own can't conflict.
        self._asks_by_id = target.backend.id_for("0" * WIDTH) is not None

    def steps(self, *, dry_run: bool = False) -> Generator[Step]:
        """
        Copy, and yield what was done with each row, in the order of their ids.

        A row that does not open, or that the target does not take, is told and
        passed over. Deleted ones with something to revoke come last, then ids
        that can't lead where they lead in the source.

        Args:
            dry_run: Only say what would be done.

        Raises:
            StoreError: Answers of the provider wait to be saved in the source,
                before or after.
            StoreUnavailable: A store can't be read or written.
        """
        now = self._clock.now()
        expect_settled(self._source)
        errors: list[TokenKeepError] = []
        rows = self._source.iter_tokens(on_error=errors.append)
        if finish_moves(self._source, now):
            due = self._source.due(now + CLOCKS, errors.append)
            rows = chain(rows, (row for row in due if row.ended))
        told: set[str | None] = set()
        for row in rows:
            yield from _failed(errors, told)
            yield self._step(row, dry_run=dry_run)
        yield from _failed(errors, told)
        yield from self._ids(dry_run=dry_run)
        expect_settled(self._source)

    # Rows

    def _step(self, row: Token, *, dry_run: bool) -> Step:
        try:
            verdict = self._copied(row, dry_run=dry_run)
        except OF_THE_STORE:
            raise
        except (KeyMissing, UnknownName, StoreError) as exc:
            verdict = Verdict(action=Action.FAILED, reason=_told(exc, row.id))
        claim = row.renewal.claim
        alive = claim is not None and self._clock.now() < claim.taken_at + claim.length
        return Step(
            token_id=str(row.id),
            user=row.user,
            action=verdict.action,
            reason=verdict.reason,
            in_flight=alive,
        )

    def _copied(self, row: Token, *, dry_run: bool) -> Verdict:
        """Judge a row and do it, anew as often as somebody else writes in between."""
        told = None
        for number, _ in enumerate(attempts(row.id, row.user)):
            try:
                verdict = self._tried(row, sure=number > 0, dry_run=dry_run)
            except StaleToken:
                action = Action.NOTHING if row.ended else Action.SKIP
                return Verdict(action=action, reason=None if row.ended else _HAD)
            except StoreConflict:
                continue
            if verdict is not None:
                return told if told and verdict.action is Action.NOTHING else verdict
            told = _NAMED
        raise AssertionError  # attempts() has raised

    def _tried(self, row: Token, *, sure: bool, dry_run: bool) -> Verdict | None:
        """
        Judge a row by what the target has now, and do it.

        Args:
            row: Of the source.
            sure: Whether to ask for its id too where nothing else is found: of most
                rows of most copies there is nothing, and a conflict tells if there is.
            dry_run: Only judge.

        Returns:
            None if two rows of the target have become one: judge again.

        Raises:
            StaleToken: The target had its login, and has it no more.
            StoreConflict: Somebody wrote meanwhile.
        """
        met, leads = self._met(row, by_id=sure or self._asks_by_id)
        if not met:
            return self._adopted(row, sure=sure, dry_run=dry_run)
        is_dead = row.ended or row.status is Status.REVOKED
        own = [each for each in met if row.user and each.user == row.user]
        others = [each for each in met if each not in own]
        in_the_way = [each for each in met if not saving.same_thing(each, row)]
        if not is_dead:
            in_the_way += [*own[1:], *others[1:]]
        if in_the_way:
            return _in_the_way(in_the_way[0])
        if is_dead or not (own and others):
            return self._done(row, [*others, *own], leads=leads, dry_run=dry_run)
        verdict = self._judged(row, own[0])
        if verdict.action is Action.SKIP or others[0].status is Status.REVOKED:
            judged = own if verdict.action is Action.SKIP else others
            return self._done(row, judged, leads=leads, dry_run=dry_run)
        if dry_run:
            return verdict if verdict.action is Action.UPDATE else _NAMED
        # The login of a row without a name goes into its user's, as in any save.
        became_one = self._named(others[0], own[0]).id == own[0].id
        return None if became_one else _in_the_way(others[0])

    def _met(self, row: Token, *, by_id: bool) -> tuple[list[Token], bool]:
        """Return what a row meets in the target, and whether its id leads to one of those."""
        try:
            _, rows = self._target.look(row.but(id=None))
        except UnknownName:
            rows = []  # of a provider that is not configured here
        known = next((each for each in rows if each.id == row.id), None)
        if known is None and (rows or by_id):
            known = self._target.reread(str(row.id))
        met = {known.id: known} if known is not None else {}
        met |= {each.id: each for each in rows if each.id not in met and meets(row, each)}
        return list(met.values()), known is not None

    def _judged(self, row: Token, there: Token | None) -> Verdict:
        verdict = judge(row, there, replace=self._replace, habits=self._target.habits(row))
        is_named = there is not None and _is_named_by(row, there)
        return _NAMED if is_named and verdict.action is Action.NOTHING else verdict

    def _adopted(self, row: Token, *, sure: bool, dry_run: bool) -> Verdict:
        verdict = self._judged(row, None)
        if dry_run or verdict.row is None:
            return verdict
        try:
            stored = self._target.adopt(verdict.row)
        except StoreConflict:
            if not sure:
                raise
            # Only a deleted row is in the way and is not found.
            action = Action.NOTHING if row.ended else Action.SKIP
            return Verdict(action=action, reason=None if row.ended else _DELETED)
        self._lead(row, stored)
        return verdict

    def _done(self, row: Token, met: list[Token], *, leads: bool, dry_run: bool) -> Verdict:
        """Judge a row beside each of these, and write those; return what is to be told."""
        verdicts = [self._judged(row, there) for there in met]
        if not dry_run:
            stored = [self._write(row, *each) for each in zip(met, verdicts, strict=True)]
            if not leads:
                self._lead(row, stored[0])
        return next((each for each in verdicts if each.action is Action.UPDATE), verdicts[0])

    def _write(self, row: Token, there: Token, verdict: Verdict) -> Token:
        if verdict.row is not None:
            there = self._target.swap(verdict.row)
            if row.last_used_at is not None:
                # What is only for clearing up is not worth a failure.
                with suppress(StoreError):
                    self._target.touch(str(there.id), row.last_used_at)
        if _is_named_by(row, there) and verdict.action is Action.UPDATE:
            return self._named(there, row)
        return there

    def _lead(self, row: Token, there: Token) -> None:
        """Let the id of a row lead to what stands for it in the target."""
        if there.id != row.id and not row.ended:
            with suppress(StoreConflict):  # as long as the target ends a row that had it
                self._target.add_id(str(row.id), there)

    def _named(self, there: Token, like: Token) -> Token:
        """Save a row without a name for the user of another one, and return what it is in then."""
        fixed = {name: getattr(there, name) or getattr(like, name) for name in saving.FIXED}
        return self._target.save_token(there.but(**fixed))

    # Ids

    def _ids(self, *, dry_run: bool) -> Iterator[Step]:
        """Let ids that callers brought, or former rows had, lead where they lead in the source."""
        for token_id, to in self._source.iter_added_ids():
            row = self._source.reread(to)  # it may lead there by way of another id
            there = None if row is None else self._target.reread(str(row.id))
            led = self._target.reread(token_id)
            if there is None or (led is not None and led.id == there.id):
                continue
            try:
                if self._led(token_id, there, led=led, dry_run=dry_run):
                    continue
                action, reason = Action.SKIP, f"the target has this id for token {led and led.id}"
            except OF_THE_STORE:
                raise
            except StoreError as exc:
                is_taken = isinstance(exc, StoreConflict)
                action = Action.SKIP if is_taken else Action.FAILED
                reason = _told(exc, token_id)
            yield Step(token_id=token_id, user=None, action=action, reason=reason)

    def _led(self, token_id: str, there: Token, *, led: Token | None, dry_run: bool) -> bool:
        """
        Let an id lead to a row, from now on.

        Args:
            token_id: The id.
            there: The row.
            led: What the id leads to now. None if that is nothing.
            dry_run: Only look.

        Returns:
            False if it stays as it is.
        """
        is_copy = led is not None and led.user is None and there.user and had_login(there, led)
        if led is not None and not is_copy:
            return False
        if dry_run:
            pass
        elif led is None:
            self._target.add_id(token_id, there)
        # A copy from when the id was a row's, whose login has gone into the other row since.
        elif there.status is Status.OK:
            self._target.save_token(there.but(id=token_id, version=None))
        elif there.status is Status.REVOKED and led.status is not there.status:
            self._target.swap(saving.died(led, Status.REVOKED, self._clock.now()))
        return True


_NAMED = Verdict(action=Action.UPDATE, reason="gets its user")
_HAD = "the target had this login, and has ended or replaced it"
_DELETED = "deleted in the target, and the provider is still being told"


def _is_named_by(row: Token, there: Token) -> bool:
    return row.user is not None and there.user is None and there.status is Status.OK


def _in_the_way(there: Token) -> Verdict:
    whose = f" of {there.user}" if there.user else ""
    reason = f"the target has its refresh token, or its id, in token {there.id}{whose}"
    return Verdict(action=Action.SKIP, reason=reason)


def _told(error: TokenKeepError, token_id: str | None = None) -> str:
    return f"{error.what} (token {error.token_id or token_id})"


def _failed(errors: list[TokenKeepError], told: set[str | None]) -> Iterator[Step]:
    """Yield what did not open, once: a row that is due as well is met twice."""
    while errors:
        exc = errors.pop(0)
        if exc.token_id not in told:
            told.add(exc.token_id)
            reason = _told(exc)
            yield Step(
                token_id=str(exc.token_id), user=exc.user, action=Action.FAILED, reason=reason
            )
