"""
Aliases: ids that lead to a row, and how the login of a row moves into another one.

A row that turns out to be for the same as another one is written once, first:
it turns into an alias that still **carries** its login. Then that goes into the
other row, then the alias is stripped. Whoever meets a carrying alias finishes
this before anything else. A crash between any two of these writes leaves one
login in one place.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from tokenkeep import records, saving
from tokenkeep.errors import StoreConflict
from tokenkeep.records import Alias
from tokenkeep.swapping import attempts
from tokenkeep.token import Status, Token, is_ours

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.clock import Clock
    from tokenkeep.records import Kept
    from tokenkeep.rows import Rows

_LONGEST = 4
"""How many aliases may lead from one to the next: a caller's id, a row that was nameless."""


class Aliases:
    """Follow, make and finish aliases; *revokes_grant* is the vault's."""

    def __init__(self, rows: Rows, revokes_grant: Callable[[Token], bool], clock: Clock) -> None:
        self._rows = rows
        self._revokes_grant = revokes_grant
        self._clock = clock

    def read(self, token_id: str) -> Token | None:
        """Return the row that an id leads to, ours or its caller's. None if there is none."""
        return self.lead(self._rows.read(self._rows.record_id(token_id)))

    def lead(self, kept: Kept | None, links: int = _LONGEST) -> Token | None:
        """Return the row that something leads to: itself, or an alias's. None if there is none."""
        if not isinstance(kept, Alias):
            return kept if isinstance(kept, Token) and not kept.ended else None
        if not links:
            return None  # a circle: no row is in it
        self.finish(kept)
        return self.lead(self._rows.read(records.record_id(kept.to)), links - 1)

    def move(
        self, source: Token, carried: Token, target: Token | None, to: str | None = None
    ) -> Token | None:
        """
        Turn a row into an alias that carries its login, and let that go into another row.

        The login is *carried* as it has to go into the *target*. None: that has to be
        made, with the id *to*. Return it; None if it is gone.
        """
        alias = Alias(
            id=records.record_id(source.id),
            owner=str(source.owner),
            to=to or str(target and target.id),
            at=self._clock.now(),
            carries=saving.filled(carried, target) if target else carried,
            seen_login=target.renewal.login if target else None,
            seen_status=target.status if target else None,
        )
        self.finish(self._rows.put(alias, replaces=source.version))
        return self.read(str(source.id))

    def finish(self, alias: Alias) -> None:
        """Let the login that an alias carries go where it belongs, and strip the alias."""
        current: Kept | None = alias
        for _ in attempts(records.token_id(alias.id)):
            with suppress(StoreConflict):
                if isinstance(current, Alias) and current.carries is not None:
                    self._finish(current, current.carries)
                return
            current = self._rows.read(alias.id)

    def make(self, token_id: str, row: Token) -> None:
        """See `tokenkeep.vault.Vault.add_id`."""
        record_id = self._rows.record_id(token_id)
        for _ in attempts(row.id, row.user):
            there = self._rows.read(record_id)
            led = self.lead(there)
            if led is not None and led.id == row.id:
                return
            if led is not None or (there is not None and not isinstance(there, Alias)):
                led = led or Token(id=token_id)  # a deleted token's yet
                raise saving.conflict(led, "This id is another token's")
            name, now = None if is_ours(token_id) else token_id, self._clock.now()
            alias = Alias(id=record_id, owner=record_id, to=str(row.id), name=name, at=now)
            with suppress(StoreConflict):
                self._rows.put(alias, replaces=there.version if there else None)
                return

    def of(self, row_id: str) -> list[Alias]:
        """Return the aliases of a row, and the aliases of those."""
        state = self._rows.mark("state", records.alias_state(row_id))
        found = [kept for kept in self._rows.find([state]) if isinstance(kept, Alias)]
        return found + [each for one in found for each in self.of(records.token_id(one.id))]

    def _finish(self, alias: Alias, carried: Token) -> None:
        there = self._rows.read(records.record_id(alias.to))
        # A row may have become an alias since, but what was deleted is seen as it is.
        row = self.lead(there) if isinstance(there, Alias) else there
        if isinstance(row, Token) and not row.ended:
            joined = self._joined(alias, carried, row)
            if joined is not row:
                self._rows.put(joined, replaces=row.version)
        elif alias.seen_status is None and not isinstance(there, Alias):
            made = carried.but(id=alias.to, owner=self._rows.owner(carried))
            self._rows.put(made, replaces=None)
        else:  # deleted meanwhile: what is left of its login is to be revoked
            ended = saving.died(carried, Status.REVOKED, self._clock.now())
            ended = ended.but(id=records.token_id(alias.id), owner=alias.owner, ended=True)
            self._rows.put(ended, replaces=alias.version)
            return
        self._rows.put(replace(alias, carries=None, at=self._clock.now()), replaces=alias.version)

    def _joined(self, alias: Alias, carried: Token, row: Token) -> Token:
        """Return a row with what an alias carries: as its login, or as one that came too late."""
        mine, revokes_grant = carried.renewal, self._revokes_grant(row)
        is_older = saving.is_older(row, carried.refresh_token)
        revoked_since = row.status is Status.REVOKED and alias.seen_status is not Status.REVOKED
        if row.renewal.login == alias.seen_login and not revoked_since and not is_older:
            return saving.taken(row, carried, revokes_grant=revokes_grant)
        if row.renewal.login == mine.login:
            return row  # it has gone in, and whoever let it in was not done
        # From an older one the row went on; what that had to see to goes along.
        late = (*mine.to_revoke, *mine.replaced) if is_older else saving.all_secrets_of(carried)
        return saving.superseded(row, late, revokes_grant=revokes_grant)
