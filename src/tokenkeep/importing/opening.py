"""Which kind of source a file is: by its content, not its name; and tables on servers."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from tokenkeep.errors import ConfigurationError, DriverMissing
from tokenkeep.importing.csv_file import CSVFile
from tokenkeep.importing.source import readable
from tokenkeep.importing.sqlite_file import SQLiteFile

if TYPE_CHECKING:
    from pathlib import Path

    from tokenkeep.importing.source import Source

_SQLITE = b"SQLite format 3\0"
"""The first bytes of a SQLite database (https://sqlite.org/fileformat2.html)."""


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
