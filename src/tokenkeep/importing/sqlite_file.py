"""The SQLite database of the official SDK's sample: ``zohooauth.db``, table ``oauthtoken``."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from tokenkeep.errors import ConfigurationError
from tokenkeep.importing import columns
from tokenkeep.importing.source import SourceFile, foreign

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokenkeep.importing.row import Row

_TABLE = "oauthtoken"


class SQLiteFile(SourceFile):
    """
    Read the table ``oauthtoken`` of a SQLite database.

    Args:
        path: Where it is.
        client_id: As in `open_source`.

    Raises:
        ConfigurationError: It is something else, or in use.
    """

    kind = "SQLite database of the official SDK's sample"

    def __init__(self, path: Path, client_id: str | None = None) -> None:
        super().__init__(path, client_id)
        for suffix in ("-journal", "-wal"):
            beside = path.with_name(path.name + suffix)
            if beside.exists() and beside.stat().st_size:
                raise ConfigurationError(
                    f"{path} is in use, or was when its program ended: {beside.name} holds "
                    "what is not in it yet",
                    hint="Stop the programs that use it; if none does, open it once with "
                    "the one that made it",
                )
        with self._open() as db:
            found = db.execute("SELECT name FROM pragma_table_info(?)", (_TABLE,)).fetchall()
        self._columns = [name.lower() for (name,) in found]
        if not found:
            raise foreign(path, f"is a SQLite database without a table {_TABLE}")
        if not columns.are_ours(self._columns):
            raise foreign(path, f"has a table {_TABLE}, but not that of the official SDK")

    def _rows(self) -> Iterator[Row]:
        names = ", ".join(self._columns)  # each of them one of those we know
        with self._open() as db:
            cursor = db.execute(f"SELECT {names} FROM {_TABLE} ORDER BY rowid")  # noqa: S608
            for number, values in enumerate(cursor, 1):
                yield columns.row_of_table(number, self._columns, values, self._client_id)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # mode=ro alone would make -wal and -shm files beside a database in WAL mode.
        uri = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(uri, uri=True)) as db:
                yield db
        except sqlite3.Error as exc:
            raise ConfigurationError(
                f"{self.path} can't be read: {exc}",
                hint="It is damaged; import a copy from a backup",
            ) from exc
