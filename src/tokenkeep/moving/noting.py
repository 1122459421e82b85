"""What was met already, of any number of things, in little memory."""

from __future__ import annotations

import os
import sqlite3
from hashlib import blake2b
from typing import Any

from tokenkeep.errors import ConfigurationError


class Notes:
    """
    Keep one note of each thing: a row's number, and by what to know that row again.

    Both are marks, keyed digests, in a temporary database: memory does not grow with
    the number of things, and no secret is in it, nor in a frame when it fails.

    Raises:
        ConfigurationError: Every method: the folder for temporary files is full, or none is there.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)
        # Without a name it goes to disk where it must, into a file without one.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._run("CREATE TABLE note (thing BLOB PRIMARY KEY, number, row BLOB, lasts)")
        self._run("BEGIN")

    def mark(self, text: str) -> bytes:
        """Return what stands for a text here."""
        return blake2b(text.encode(), key=self._key, digest_size=16).digest()

    def put(self, thing: bytes, number: int = 0, row: bytes = b"", *, lasts: bool = False) -> None:
        """Note it, unless it does not last and what is noted does."""
        self._run(
            "INSERT INTO note VALUES (?, ?, ?, ?) ON CONFLICT (thing) DO UPDATE "
            "SET number = excluded.number, row = excluded.row, lasts = excluded.lasts "
            "WHERE excluded.lasts >= lasts",
            *(thing, number, row, lasts),
        )

    def find(self, thing: bytes) -> tuple[int, bytes] | None:
        """Return the number and the row that were noted. None if nothing was."""
        asked = "SELECT number, row FROM note WHERE thing = ?"
        found: tuple[int, bytes] | None = self._run(asked, thing)
        return found

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def _run(self, sql: str, *values: object) -> Any:
        try:
            return self._db.execute(sql, values).fetchone()
        except sqlite3.Error as exc:
            raise ConfigurationError(
                f"The folder for temporary files can't be used: {exc}",
                hint="Make room there, or name another one in the environment: TMPDIR=…",
            ) from None
