"""The rows of a store that hold the logins of rows on their way there, under other ids."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tokenkeep.lookup import SECRETS
from tokenkeep.moving.judging import ended
from tokenkeep.rows import Rows
from tokenkeep.saving import inherited, is_same_login, same_thing
from tokenkeep.token import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        self._known: dict[str, dict[str, Record]] = {}

    def look(self, rows: list[Token]) -> None:
        """Look for the logins of a page of rows, in a trip for each kind of secret."""
        self._known = self._sharing(rows)

    def look_anew(self, row: Token) -> None:
        """Look for the login of one of these rows again."""
        self._known[str(row.id)] = self._sharing([row]).get(str(row.id), {})

    def others(self, row: Token) -> list[Token]:
        """Return the other rows that hold a row's login, a user's and renewable ones first."""
        found = map(self._rows.open, self._known.get(str(row.id), {}).values())
        others = [each for each in found if _holds(each, row)]
        return sorted(others, key=lambda each: (each.user is None, each.refresh_token is None))

    def as_one_of(self, row: Token, others: list[Token]) -> Token:
        """
        Return a row as it is stored beside others that hold its login.

        Revoked if one of them is; a renewal that is under way in one of them
        goes on in it.
        """
        for other in others:
            if other.status is Status.REVOKED:
                return ended(row, other.renewal.to_revoke, self._clock.now())
            row = inherited(row, other)
        return row

    def become_one(self, row: Token) -> None:
        """
        Let one row be left of a login, or none that lives if it was revoked.

        Args:
            row: As it came; what stands for it is stored by now.

        Raises:
            StoreConflict: Somebody wrote meanwhile.
        """
        self.look_anew(row)
        stored = self._rows.read(str(row.id))
        held = self.others(row)
        if stored is not None and _holds(stored, row):
            held = [stored, *(each for each in held if each.id != stored.id)]
        revoked = [each for each in (row, *held) if each.status is Status.REVOKED]
        if revoked:
            also = dict.fromkeys(x for each in revoked for x in each.renewal.to_revoke)
            for each in held:
                if each.status is not Status.REVOKED:
                    self._rows.swap(ended(each, also, self._clock.now()))
        elif held:
            self._target.gather(held[0])

    def joined_by_others(self, rows: list[Token]) -> list[Token]:
        """Return those of the rows whose logins others have by now that had not before."""
        again = self._sharing(rows)
        return [row for row in rows if _ids(again, row) - _ids(self._known, row)]

    def _sharing(self, rows: list[Token]) -> dict[str, dict[str, Record]]:
        """Return for the id of each row the records that may hold its login, by their ids."""
        whose: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for row in rows:
            for field, value in self._asked(row):
                whose[field][value].append(str(row.id))
        found: dict[str, dict[str, Record]] = defaultdict(dict)
        for field, by_value in whose.items():
            for record in self._target.backend.find(field, list(by_value)):
                for row_id in by_value[getattr(record, field)]:
                    if record.id != row_id:
                        found[row_id][record.id] = record
        return dict(found)

    def _asked(self, row: Token) -> Iterator[tuple[str, str]]:
        """Yield what a record with a row's login may have in which field; no secret."""
        for field, name in SECRETS.items():
            if getattr(row, name):
                for digest in self._target.ring.digests(field, getattr(row, name)):
                    yield field, digest
        if self._target.backend.finds_late:
            for identity in self._rows.identities(row):
                yield "identity", identity


def _ids(found: dict[str, dict[str, Record]], row: Token) -> set[str]:
    return set(found.get(str(row.id), {}))


def _holds(row: Token, login: Token) -> bool:
    """Tell whether a row holds the login of another one, and nobody else's."""
    is_there = row.status is not Status.PENDING
    return is_there and same_thing(row, login) and is_same_login(row, login)
