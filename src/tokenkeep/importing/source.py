"""What a source of tokens is, and which kind a file is: by its content, not its name."""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenkeep.errors import ConfigurationError, DriverMissing

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
    """Tokens of the official SDK, which are only read."""

    kind: str
    """What it is, for people."""

    name: str
    """Where it is, for people; without a password."""

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """
        Yield the rows in order, from the first one each time, never holding them all.

        Each time the same ones: what others write meanwhile is not among
        them, or is an error.

        Raises:
            ConfigurationError: It is damaged, or was written meanwhile.
            StoreUnavailable: A server does not answer.
        """

    def close(self) -> None:
        """Let go of connections."""


class SourceFile(Source):
    """
    A file with tokens in it.

    Args:
        path: Where it is.
        client_id: Of rows that don't say theirs. None means that those can't
            be taken over.
    """

    def __init__(self, path: Path, client_id: str | None = None) -> None:
        self.path = path
        self.name: str = str(path)
        self._client_id = client_id
        self._stamp = self._look()

    def rows(self) -> Iterator[Row]:
        """See `Source.rows`."""
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
            raise changed(self.name)


def open_source(
    path: Path, *, encoding: str | None = None, client_id: str | None = None
) -> Source:
    """
    Find out what a file is.

    Args:
        path: The official SDK's CSV file, or its sample's SQLite database.
        encoding: Of a CSV file, e.g. ``cp1252``. None means UTF-8, or UTF-16
            with a byte order mark.
        client_id: Of rows that don't say theirs. None means that those can't
            be taken over.

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
    if head == _SQLITE:
        return SQLiteFile(path, client_id)
    return CSVFile(path, encoding, client_id)


def open_table(url: str, *, password: str | None = None, client_id: str | None = None) -> Source:
    """
    Open the table of the official SDK's DBStore.

    Args:
        url: Such as ``mysql://user@host:port/database?table=oauthtoken``. TLS
            and the like are options as of the store ``mysql:``.
        password: Of the user. None means the one in the URL, or none.
        client_id: As for `open_source`.

    Raises:
        ConfigurationError: The URL is wrong, or there is no such table.
        DriverMissing: The driver is not installed.
        StoreUnavailable: The server can't be reached or used; the text says why.
    """
    try:
        from tokenkeep.importing.mysql_table import MySQLTable
    except ModuleNotFoundError as exc:
        raise DriverMissing(
            f"Reading a MySQL table needs the module {exc.name}, which is not installed",
            hint="Install it: pip install 'tokenkeep[mysql]'",
        ) from exc
    return MySQLTable(url, password=password, client_id=client_id)


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


def changed(name: str) -> ConfigurationError:
    """Return the error for a source that others write while it is read."""
    return ConfigurationError(
        f"{name} was written while it was read",
        hint="Stop the programs that use it, then try again",
    )


def foreign(path: Path, what: str) -> ConfigurationError:
    """Return the error for a file that holds no tokens of the SDK."""
    return ConfigurationError(
        f"{path} {what}",
        hint="What can be imported is the file of the official SDK's FileStore, the table of "
        "its DBStore (mysql://user@host/database), or the SQLite database of its sample",
    )
