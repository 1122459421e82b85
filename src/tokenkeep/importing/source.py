"""What a source of tokens is, and which kind a file is: by its content, not its name."""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokenkeep.token import Token

_SQLITE = b"SQLite format 3\0"
"""The first bytes of a SQLite database (https://sqlite.org/fileformat2.html)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One row of a source.

    Args:
        number: The line it begins in, or the row of a table, from 1.
        source_id: Its id there. None if it has none.
        token: What it holds, without an id. None if it can't be taken over.
        problem: Why not. None if it can.
    """

    number: int
    source_id: str | None = None
    token: Token | None = None
    problem: str | None = None


class Source(ABC):
    """
    A file with tokens in it, which is never written.

    Args:
        path: Where it is.
    """

    kind: str
    """What it is, for people."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = self._look()

    def rows(self) -> Iterator[Row]:
        """
        Yield the rows in order, from the first one each time, never holding them all.

        Raises:
            ConfigurationError: The file is damaged, or was written meanwhile.
        """
        self._expect_unchanged()
        with readable(self.path):
            yield from self._rows()
        self._expect_unchanged()

    @abstractmethod
    def _rows(self) -> Iterator[Row]:
        """Yield the rows of the file as it is now."""

    def _look(self) -> tuple[int, int, int]:
        with readable(self.path):
            found = self.path.stat()
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _expect_unchanged(self) -> None:
        if self._look() != self._stamp:
            raise ConfigurationError(
                f"{self.path} was written while it was read",
                hint="Stop the programs that use it, then try again",
            )


def open_source(path: Path, *, encoding: str | None = None) -> Source:
    """
    Find out what a file is.

    Args:
        path: The official SDK's CSV file, or its sample's SQLite database.
        encoding: Of a CSV file, e.g. ``cp1252``. None means UTF-8, or UTF-16
            with a byte order mark.

    Raises:
        ConfigurationError: It is something else, or can't be read.
    """
    from tokenkeep.importing.csv_file import CSVFile
    from tokenkeep.importing.sqlite_file import SQLiteFile

    with readable(path):
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigurationError(
                f"{path} is not a file", hint="Name the file that holds the tokens"
            )
        with path.open("rb") as file:
            head = file.read(len(_SQLITE))
    return SQLiteFile(path) if head == _SQLITE else CSVFile(path, encoding)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what the operating system says about a file into our error."""
    try:
        yield
    except OSError as exc:
        raise ConfigurationError(
            f"{path} can't be read: {exc.strerror or os.strerror(exc.errno or 0)}",
            hint="Name a file that exists and that this user may read",
        ) from exc


def foreign(path: Path, what: str) -> ConfigurationError:
    """Return the error for a file that holds no tokens of the SDK."""
    return ConfigurationError(
        f"{path} {what}",
        hint="What can be imported is the file of the official SDK's FileStore, "
        "or the SQLite database of its sample",
    )
