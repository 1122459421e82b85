"""Rows of one source that are the same thing: which of them counts."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from hashlib import blake2b
from typing import TYPE_CHECKING

from tokenkeep.importing.source import changed
from tokenkeep.lookup import credentials

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from tokenkeep.token import Token

_KEEP_BEST = """
    INSERT INTO best VALUES (?, ?, ?) ON CONFLICT (thing) DO UPDATE
    SET rank = excluded.rank, number = excluded.number
    WHERE (excluded.rank, excluded.number) > (rank, number)
"""


class Clashes:
    """
    Remember for each user, and for each credential, the row that counts.

    That is the last one with a refresh token, else the last one. Where one
    row names the user of a credential and another one does not, the one that
    does counts. Kept in a temporary database of keyed digests, so memory does
    not grow with the number of rows.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)
        # An empty name is a temporary database that spills to disk and has no file name.
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE best (thing BLOB PRIMARY KEY, rank INT, number INT)")
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    def add(self, number: int, token: Token) -> None:
        """
        Take a row into account.

        Args:
            number: Of the row; higher ones come later.
            token: What it holds, with its place.
        """
        rank = 2 * bool(token.user) + bool(token.refresh_token)
        for thing in self._things(token, everything=True):
            self._db.execute(_KEEP_BEST, (thing, rank, number))

    def instead(self, number: int, token: Token) -> int | None:
        """
        Return the number of the row that counts instead of this one.

        Args:
            number: Of the row.
            token: As given to `add`.

        Returns:
            None if this one counts.

        Raises:
            ConfigurationError: Such a row was not added: others have written it since.
        """
        for thing in self._things(token, everything=not token.user):
            with closing(
                self._db.execute("SELECT number FROM best WHERE thing = ?", (thing,))
            ) as found:
                counts = found.fetchone()
            if counts is None:
                raise changed("The source")
            if counts[0] != number:
                return int(counts[0])
        return None

    def _things(self, token: Token, *, everything: bool) -> list[bytes]:
        """Return digests of what a row is for: its user, and its credentials."""
        place = [token.provider, token.client_id, token.data_center, token.environment]
        named = [["user", token.user]] if token.user else []
        others = [list(pair) for pair in credentials(token)] if everything else []
        return [
            blake2b(json.dumps([*place, *thing]).encode(), key=self._key, digest_size=16).digest()
            for thing in (*named, *others)
        ]
