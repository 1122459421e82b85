"""Connections to a SQLite file, for any number of threads."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEPT = 8
"""How many connections stay open. Each has two files, and a process may open a thousand or so."""


class Connections:
    """
    Lends each caller a connection that nobody else has.

    One for each thread would stay as long as the thread, and there may be hundreds.

    Args:
        path: Of the file, which is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._free: list[sqlite3.Connection] = []

    @contextmanager
    def lend(self) -> Iterator[sqlite3.Connection]:
        """
        Lend one; each of its statements is a transaction of its own.

        Raises:
            sqlite3.Error: The file can't be opened.
        """
        try:
            database = self._free.pop()
        except IndexError:
            database = self._another()
        try:
            yield database
        finally:
            if len(self._free) < KEPT:
                self._free.append(database)
            else:
                database.close()

    def close(self) -> None:
        """Close those that nobody has; the next caller gets another one."""
        while self._free:
            self._free.pop().close()

    def _another(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            self._path, timeout=5.0, isolation_level=None, check_same_thread=False
        )
        # The last moments before a power cut may be lost, but never the file.
        database.execute("PRAGMA synchronous = NORMAL").close()
        return database
