"""Of several rows that are the same thing, the one that counts."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from tokenkeep.importing.source import changed
from tokenkeep.lookup import credentials

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokenkeep.token import Token

_KEEP_BEST = """
    INSERT INTO best VALUES (?, ?, ?) ON CONFLICT (thing) DO UPDATE
    SET rank = excluded.rank, name = excluded.name
    WHERE (excluded.rank, excluded.name) > (rank, name)
"""


class Best:
    """
    Remember for each thing the name of highest rank.

    In a temporary database of keyed digests, so memory does not grow with the
    number of things, and no secret is in it.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)
        # An empty name is a temporary database that spills to disk and has no file name.
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE best (thing BLOB PRIMARY KEY, rank, name)")
        self._db.execute("BEGIN")

    def add(self, thing: object, rank: float, name: Any) -> None:
        """Take a name into account; of those of one rank the greatest counts."""
        self._db.execute(_KEEP_BEST, (self._digest(thing), rank, name))

    def of(self, thing: object) -> Any:
        """Return the name that counts. None if none was added."""
        asked = "SELECT name FROM best WHERE thing = ?"
        with closing(self._db.execute(asked, (self._digest(thing),))) as found:
            return next(found, (None,))[0]

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def _digest(self, thing: object) -> bytes:
        return blake2b(json.dumps(thing).encode(), key=self._key, digest_size=16).digest()


class Clashes(Best):
    """
    Remember for each user, and for each credential, the row that counts.

    That is the last one with a refresh token, else the last one. Where one
    row names the user of a credential and another one does not, the one that
    does counts.
    """

    def add_row(self, number: int, token: Token) -> None:
        """
        Take a row into account.

        Args:
            number: Of the row; higher ones come later.
            token: What it holds, with its place.
        """
        rank = 2 * bool(token.user) + bool(token.refresh_token)
        for thing in _things(token, everything=True):
            self.add(thing, rank, number)

    def instead(self, number: int, token: Token) -> int | None:
        """
        Return the number of the row that counts instead of this one.

        Args:
            number: Of the row.
            token: As given to `add_row`.

        Returns:
            None if this one counts.

        Raises:
            ConfigurationError: Such a row was not added: others have written it since.
        """
        for thing in _things(token, everything=not token.user):
            counts: int | None = self.of(thing)
            if counts is None:
                raise changed("The source")
            if counts != number:
                return counts
        return None


def _things(token: Token, *, everything: bool) -> Iterator[Sequence[object]]:
    """Yield what a row is for: its user, and its credentials."""
    place = [token.provider, token.client_id, token.data_center, token.environment]
    if token.user:
        yield [*place, "user", token.user]
    if everything:
        yield from ([*place, *pair] for pair in credentials(token))
