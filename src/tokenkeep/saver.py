"""
Saver: the one way in. Look once, decide in `tokenkeep.saving`, write once.

After a login was written, look once more: two who save one refresh token at
the same time see each other, at least the later one. Whoever dies in between
leaves it to the login's first renewals.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from tokenkeep import records, saving
from tokenkeep.aliases import Aliases
from tokenkeep.errors import (
    StaleToken,
    StoreConflict,
    StoreUnavailable,
    letting_go,
)
from tokenkeep.lookup import FIXED, credentials
from tokenkeep.records import Alias
from tokenkeep.swapping import attempts
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenkeep.backends.base import Mark
    from tokenkeep.records import Kept

UNDER_WAY = 60.0
"""How long whoever wrote a login may take to look for others with it, in seconds, or is gone."""


class Saver(Aliases):
    """Write tokens into rows."""

    def save(self, token: Token, login: str) -> Token:
        """
        See `TokenStore.save_token`; of a token that is cleaned, and with its place.

        *login* is a nonce, which the row has then if this was a login.
        """
        for _ in attempts(token.id, token.user):
            by_id, rows = self.look(token)
            plan = saving.plan(
                token,
                rows,
                by_id=by_id,
                login=login,
                now=self._clock.now(),
                revokes_grant=self._revokes_grant(token),
            )
            try:
                saved = self._carry_out(plan)
                is_login = saved is not None and saved.renewal.login == login
                if saved is not None and (is_login or plan.source is not None):
                    saved = self._look_again(saved, plan)
            except StoreConflict:
                continue
            if saved is None:  # not again: what was deleted by its user does not come back
                raise saving.conflict(token, "This token was deleted meanwhile")
            if token.id and by_id is None:
                self.make(token.id, saved)
            return saved
        raise AssertionError  # attempts() has raised

    def swap(self, token: Token) -> Token:
        """
        See `TokenStore.swap`. Where it is valid may have been learnt since it was read.

        Where another row is for just that, it stays as it was: two logins are two rows.
        """
        if token.version is None:
            raise saving.conflict(token, "This token was handed out unsaved")
        owner = self._rows.owner(token) if token.user and not token.ended else token.owner
        if owner is not None and owner != token.owner:
            if self._rows.may_become(records.record_id(token.id), owner):
                with suppress(StoreConflict):  # the owner may be another row's
                    changed = token.but(owner=owner)
                    return self._rows.put(changed, replaces=token.version)
            stored = self._rows.read(records.record_id(token.id))
            if isinstance(stored, Token):
                token = token.but(**{name: getattr(stored, name) for name in FIXED})
        return self._rows.put(token, replaces=token.version)

    def look(self, token: Token) -> tuple[Token | None, list[Token]]:
        """Return the row that a token's id leads to, and those that a save of it may touch."""
        by_id = self.read(token.id) if token.id else None
        known = by_id is not None and not saving.fills(by_id, token)
        if by_id is not None and known and not saving.is_login(by_id, token):
            return by_id, []  # it brings nothing that another row could have
        marks = self._marks(saving.filled(token, by_id) if by_id else token)
        found = self._rows.find(marks, inserts=True)
        carrying = [kept for kept in found if isinstance(kept, Alias) and kept.carries]
        for alias in carrying:
            self.finish(alias)
        if carrying:  # what it carried may have been ended
            found = self._rows.find(marks, inserts=True)
        for kept in found:
            if (
                isinstance(kept, Token)
                and kept.ended
                and (("owner", kept.owner) in marks or saving.is_ended_with(kept, token))
            ):
                raise StaleToken(
                    "This login was ended here, and the provider is still being told",
                    token_id=kept.id,
                    user=kept.user,
                    hint="Log in anew",
                )
        return by_id, self._rows_of(found)

    def look_each(self, tokens: Sequence[Token]) -> list[list[Token] | None]:
        """Return the rows that a save of each may touch, in one trip; None where to `look`."""
        ids = [{("id", self._rows.record_id(each.id))} if each.id else set() for each in tokens]
        wanted = [{*self._marks(each), *its} for each, its in zip(tokens, ids, strict=True)]
        asked: set[Mark] = set().union(*wanted)
        seen: set[Mark] = set()
        found = self._rows.find(asked, inserts=True)
        having = [(kept, self._rows.its(kept, asked)) for kept in found]
        looks: list[list[Token] | None] = []
        for marks in wanted:
            met = [kept for kept, its in having if not its.isdisjoint(marks)]
            rows = [kept for kept in met if isinstance(kept, Token) and not kept.ended]
            # Not if it has something in common with another one, or with what is no row any more.
            looks.append(rows if rows == met and seen.isdisjoint(marks) else None)
            seen |= marks
        return looks

    def having(self, marks: Sequence[Mark]) -> list[Token]:
        """Return the rows that have one of these marks, by way of aliases too."""
        return self._rows_of(self._rows.find(marks))

    def owners(self, token: Token) -> list[Mark]:
        """Return the owners a token's row may have: its user's, and those without one."""
        named = [("owner", self._rows.owner(token))] if token.user else []
        return named + [("owner", self._rows.owner(token, each)) for each in credentials(token)]

    def make_sole(self, row: Token) -> bool:
        """
        See `Store.make_sole`: whoever wrote it may have died before it looked, or listed late.

        Of two rows that contradict the earlier keeps the login.
        """
        now = self._clock.now()
        if not row.refresh_token or _was_looked_at(row) or _is_under_way(row, now):
            return True
        others = self._twins(row)
        for other in others:
            if saving.same_thing(other, row):
                self._merge(row, other)
                return False
        if any(_is_under_way(other, now) for other in others):
            return True  # it may be taken back yet: for the next renewal
        if any(_was_looked_at(other) or _made(other) < _made(row) for other in others):
            self._rows.put(saving.withdrawn(row, now), replaces=row.version)
            return False
        return True

    # Finding

    def _marks(self, token: Token) -> list[Mark]:
        """Return what the rows are found by that a save of a token may touch."""
        given = dict(credentials(token))
        if len(given) > 1:
            given.pop("access", None)
        if token.user:
            given["user"] = token.user  # a deleted row of theirs may have to be revoked yet
        return [*self.owners(token), *(self._rows.mark(*each) for each in given.items())]

    def _twins(self, row: Token) -> list[Token]:
        """Return the other rows that have a row's refresh token, or had it."""
        # No refresh token in a local variable: crash reports show those of each frame.
        marks = [self._rows.mark("refresh", str(row.refresh_token)), *self.owners(row)]
        others = (other for other in self.having(marks) if other.id != row.id)
        return [other for other in others if saving.had_login(other, row)]

    def _rows_of(self, found: list[Kept]) -> list[Token]:
        """Return the rows among what was found, and those that aliases among it lead to."""
        rows: dict[str | None, Token] = {}
        # Aliases last: one that carries a login changes the row it leads to.
        for kept in sorted(found, key=lambda each: isinstance(each, Alias)):
            row = self.lead(kept)
            if row is not None:
                rows[row.id] = row
            elif isinstance(kept, Alias):
                with suppress(StoreConflict):  # its row is gone, and it is in the way of a new one
                    self._rows.delete(kept.id, replaces=kept.version)
        return list(rows.values())

    # Writing

    def _carry_out(self, plan: saving.Plan) -> Token | None:
        """Do what a save has to. Return the row; None if it was deleted in the midst of it."""
        stored, row = plan.stored, plan.row
        if stored is row:
            return row
        if stored is not None and plan.source is not None and plan.carried is not None:
            return self.move(plan.source, plan.carried, stored)
        owner = self._rows.owner(row) if stored is None or row.user else str(stored.owner)
        if stored is not None and (
            owner == stored.owner or self._rows.may_become(records.record_id(stored.id), owner)
        ):
            return self._put(row.but(owner=owner), stored)
        new_id = records.token_id(self._rows.new_id(owner))
        if stored is None:
            return self._put(row.but(id=new_id, owner=owner), None)
        return self.move(stored, row, None, new_id)

    def _put(self, row: Token, stored: Token | None) -> Token:
        """Write a row; if nobody can tell whether it was written, look."""
        replaces = stored.version if stored else None
        try:
            return self._rows.put(row, replaces=replaces)
        except StoreUnavailable:
            with letting_go():  # what went wrong before is what is said
                there, login = self.read(str(row.id)), row.renewal.login
                if there is not None and there.version != replaces:
                    is_new = stored is None or stored.renewal.login != login
                    is_mine = there.but(version=row.version) == row
                    if is_mine or (is_new and there.renewal.login == login):
                        return there
            raise

    def _look_again(self, saved: Token, plan: saving.Plan) -> Token | None:
        """
        Look once more after a login was written: others may have saved it meanwhile.

        If another row has its refresh token, it is taken back. Of two that see each other, both.
        """
        other = next(iter(self._twins(saved)), None) if saved.refresh_token else None
        if other is None:
            return saved
        if saving.same_thing(other, saved):
            return self._merge(saved, other)
        if plan.source is not None:
            return saved  # it moved a row, so it was here first: who sees that takes back
        self._take_back(saved, plan.stored)
        raise saving.duplicate_of(other)

    def _take_back(self, saved: Token, stored: Token | None) -> None:
        """Put back what was *stored* before a login; somebody may have written it since."""
        for _ in attempts(saved.id, saved.user):
            row = self.read(str(saved.id))
            if row is None or row.renewal.login != saved.renewal.login:
                return
            with suppress(StoreConflict):
                if row.version != saved.version:
                    self._rows.put(saving.withdrawn(row, self._clock.now()), replaces=row.version)
                elif stored is None:
                    self._rows.delete(records.record_id(row.id), replaces=row.version)
                else:
                    self._rows.put(stored, replaces=row.version)
                return

    def _merge(self, saved: Token, other: Token) -> Token | None:
        """Let one row be left of a login that was saved twice at the same time, for the same."""
        if Status.REVOKED not in (saved.status, other.status):
            source, target = (other, saved) if saved.user and not other.user else (saved, other)
            return self.move(source, source, target)
        for row in (saved, other):
            dead = saving.died(row, Status.REVOKED, self._clock.now())
            if dead is not row:
                self._rows.put(dead, replaces=row.version)
        return self.read(str(saved.id))


def _is_under_way(row: Token, now: float) -> bool:
    return now - (row.logged_in_at or 0.0) < UNDER_WAY


def _was_looked_at(row: Token) -> bool:
    renewed_at = row.renewal.renewed_at
    return renewed_at is not None and renewed_at >= (row.logged_in_at or 0.0) + UNDER_WAY


def _made(row: Token) -> tuple[float, str]:
    return row.created_at or 0.0, str(row.id)
