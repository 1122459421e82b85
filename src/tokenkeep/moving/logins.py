"""The rows of a store that hold the logins of rows on their way there, under other ids."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tokenkeep.lookup import SECRETS
from tokenkeep.moving.judging import ended
from tokenkeep.rows import Rows
from tokenkeep.saving import is_same_login, same_thing
from tokenkeep.token import Status

if TYPE_CHECKING:
    from tokenkeep.backends.base import Record
    from tokenkeep.clock import Clock
    from tokenkeep.token import Token
    from tokenkeep.vault import Vault


class Logins:
    """
    Keep a login from living in two rows of a store.

    Args:
        target: The store.
        clock: The time.
    """

    def __init__(self, target: Vault, clock: Clock) -> None:
        self._target = target
        self._rows = Rows(target.backend, target.ring)
        self._clock = clock
        self._known: dict[str, list[Record]] = {}

    def look(self, rows: list[Token]) -> None:
        """Look for the logins of rows, in a trip for each kind of secret."""
        self._known = self._sharing(rows)

    def others(self, row: Token) -> list[Token]:
        """Return the other rows that hold the login of a row that was looked for."""
        found = [self._rows.open(record) for record in self._known.get(str(row.id), ())]
        return [
            each
            for each in found
            if each.status is not Status.PENDING
            and same_thing(each, row)
            and is_same_login(each, row)
        ]

    def dead_as(self, row: Token, others: list[Token]) -> Token | None:
        """Return a row as revoked if its login is revoked in one of the others. None if not."""
        for other in others:
            if other.status is Status.REVOKED:
                return ended(row, other.renewal.to_revoke, self._clock.now())
        return None

    def become_one(self, row: Token, others: list[Token]) -> None:
        """
        Let one row be left of a login, or none that lives if it was revoked.

        Args:
            row: As it came; it is stored by now, or what stands for it is.
            others: The rest.

        Raises:
            StoreConflict: Somebody wrote meanwhile.
        """
        if not others:
            return
        if row.status is not Status.REVOKED:
            self._gather(str(row.id))
            return
        for other in others:
            if other.status is not Status.REVOKED:
                also = row.renewal.to_revoke
                self._rows.swap(ended(other, also, self._clock.now()))

    def look_again(self, rows: list[Token]) -> None:
        """See to logins that were saved there while these rows were on their way."""
        for row_id in self._sharing(rows).keys() - self._known.keys():
            self._gather(row_id)

    def _gather(self, row_id: str) -> None:
        stored = self._rows.read(row_id)
        if stored is not None and stored.status is not Status.PENDING:
            self._target.gather(stored)

    def _sharing(self, rows: list[Token]) -> dict[str, list[Record]]:
        """Return the records that have one of the rows' secrets, for the id of each row."""
        found: dict[str, dict[str, Record]] = defaultdict(dict)
        for field, name in SECRETS.items():
            whose = defaultdict(list)
            for row in rows:
                if getattr(row, name):
                    for digest in self._target.ring.digests(field, getattr(row, name)):
                        whose[digest].append(str(row.id))
            for record in self._target.backend.find(field, list(whose)) if whose else ():
                for row_id in whose[getattr(record, field)]:
                    if record.id != row_id:
                        found[row_id][record.id] = record
        return {row_id: list(records.values()) for row_id, records in found.items()}
