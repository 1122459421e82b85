"""Sealed tokens in one SQLite database: the store for a single machine."""

from __future__ import annotations

import math
import os
import sqlite3
import stat
import weakref
from contextlib import suppress
from functools import cache
from operator import attrgetter
from os import getpid
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from tokenkeep.backends import private_file
from tokenkeep.backends.base import FIELDS, Backend, Record
from tokenkeep.backends.forks import ForkSafe
from tokenkeep.backends.rows import COLUMNS, from_row, to_row
from tokenkeep.backends.sqlite_database import MEMORY, explain, open_database
from tokenkeep.backends.urls import StoreURL
from tokenkeep.errors import (
    ConfigurationError,
    StoreConflict,
    StoreError,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

# Every name below is one of ours; values go in as parameters.
_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
_SELECT = f"SELECT {_NAMES} FROM token"  # noqa: S608
_READ = f"{_SELECT} WHERE id = ?"
_INSERT = f"INSERT INTO token ({_NAMES}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
_TOUCH = (
    "UPDATE token SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at < ?)"
)

_FIELD_NAMES = ", ".join(f'"{name}"' for name in FIELDS)
_READ_FIELDS = f"SELECT {_FIELD_NAMES} FROM token WHERE id = ?"  # noqa: S608
_fields_of = attrgetter(*FIELDS)
_PLAIN = tuple(name for name in COLUMNS if name not in (*FIELDS, "id", "last_used_at"))

_MANY = 500
"""How many values one query looks for; old SQLite allows 999 parameters."""


@cache
def _update(fields: tuple[str, ...]) -> tuple[str, Callable[[Record], tuple[Any, ...]]]:
    """
    Return the statement that replaces a record, and what takes its values from one.

    Args:
        fields: Those of `FIELDS` that change. An index that is written costs
            a page on disk, so the others are left alone.
    """
    names = _PLAIN + fields
    assignments = ", ".join(f'"{name}" = ?' for name in names)
    sql = f"UPDATE token SET {assignments} WHERE id = ? AND version = ?"  # noqa: S608
    return sql, attrgetter(*names, "id")


class SQLiteBackend(ForkSafe, Backend):
    """
    Serve all processes of one machine.

    Not for network file systems: their file locks can't be relied on. What
    was written is on disk when the call returns (``synchronous=FULL``).
    Deleted tokens are overwritten in the file; the write-ahead log may hold
    them, sealed, until its next checkpoint, which `clear` and the last
    `close` bring about.

    Args:
        path: The database, or ``":memory:"`` for one in this object alone,
            which a fork copies and `close` keeps. A missing file is created
            with mode 0600; one that others may read is tightened.
        busy_timeout: How long to wait while another process writes, in seconds.

    Raises:
        StoreUnavailable: *path* can't be opened, or not be kept from others.
        StoreForeign: It is something else than a database of tokenkeep.
        StoreTooNew: A newer tokenkeep made it.
        ConfigurationError: *busy_timeout* is negative or above a day.
    """

    embedded = True

    def __init__(self, path: str | Path, *, busy_timeout: float = 5.0) -> None:
        if not 0 <= busy_timeout <= 86400:  # noqa: PLR2004 - a day
            raise ConfigurationError("busy_timeout is a number of seconds from 0 to 86400")
        super().__init__()
        self._in_memory = path == str(MEMORY)
        self._path = MEMORY if self._in_memory else Path(os.path.realpath(path))
        self.home: Path | None = None if self._in_memory else self._path
        self._busy_timeout = busy_timeout
        self._db: sqlite3.Connection | None = None
        self._execute: Callable[..., sqlite3.Cursor]
        self._close_db: Callable[[], object] = lambda: None
        self._commits = 0
        self._pid = 0
        self._file: tuple[int, int] | None = None
        self._look_at = 0.0
        with self._lock:
            self._ready()

    @classmethod
    def from_url(cls, url: str) -> Self:
        """
        Open the database a URL names.

        Args:
            url: ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or
                ``sqlite:///:memory:``; option ``busy_timeout``, in seconds.

        Raises:
            ConfigurationError: The path or an option is missing or wrong.
            StoreError: As for the class.
        """
        parsed = StoreURL.parse(url)
        options = parsed.options({"busy_timeout": float})
        return cls(parsed.path(), **options)

    def read(self, record_id: str) -> Record | None:
        with self._lock:
            if self._pid != getpid():
                self._ready()
            try:
                row = self._execute(_READ, (record_id,)).fetchone()
            except sqlite3.Error as exc:
                raise self._error(exc, record_id) from exc
        return row and from_row(row)

    def find(self, field: str, values: Sequence[str]) -> list[Record]:
        if field not in FIELDS:
            raise ValueError(f"a record has no field {field!r} to search")
        distinct = list(dict.fromkeys(values))
        rows: list[Any] = []
        with self._lock:
            if self._pid != getpid():
                self._ready()
            for start in range(0, len(distinct), _MANY):
                part = distinct[start : start + _MANY]
                sql = f'{_SELECT} WHERE "{field}" IN ({", ".join("?" * len(part))})'
                rows += self._run(sql, part).fetchall()
        return [from_row(row) for row in rows]

    def write(self, record: Record, *, replaces: str | None) -> None:
        with self._lock:
            self._ready()
            if replaces is None:
                done = self._change(_INSERT, to_row(record), record.id)
            else:
                done = self._replace(record, replaces)
        if not done:
            raise StoreConflict("Somebody else wrote this record first", token_id=record.id)

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        with self._lock:
            self._ready()
            if replaces is None:
                done = self._change("DELETE FROM token WHERE id = ?", (record_id,))
            else:
                done = self._change(
                    "DELETE FROM token WHERE id = ? AND version = ?", (record_id, replaces)
                )
            if done:
                return True
            if self._run("SELECT 1 FROM token WHERE id = ?", (record_id,)).fetchone():
                raise StoreConflict("Somebody else wrote this record first", token_id=record_id)
            return False

    def touch(self, record_id: str, last_used_at: float) -> None:
        with self._lock:
            self._ready()
            self._change(_TOUCH, (last_used_at, record_id, last_used_at))

    def scan(self, after: str | None, limit: int) -> list[Record]:
        with self._lock:
            if self._pid != getpid():
                self._ready()
            if after is None:
                cursor = self._run(f"{_SELECT} ORDER BY id LIMIT ?", (limit,))
            else:
                cursor = self._run(f"{_SELECT} WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
            rows = cursor.fetchall()
        return [from_row(row) for row in rows]

    def clear(self) -> int:
        with self._lock:
            self._ready()
            count = self._change("DELETE FROM token")
            # A reader may hold the log; then a later checkpoint empties it.
            self._run("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return count

    def revision(self) -> tuple[int, int]:
        with self._lock:
            if self._pid != getpid() or self._look_at <= monotonic():
                self._ready()
            try:
                # Changes with the commits of other connections, not with our own.
                version: int = self._execute("PRAGMA data_version").fetchone()[0]
            except sqlite3.Error as exc:
                raise self._error(exc) from exc
            return version, self._commits

    def describe(self) -> str:
        where = "memory" if self._in_memory else f"the file {self._path}"
        return f"a SQLite database in {where}"

    def close(self) -> None:
        with self._lock:
            self._rest()
            self._file = None

    # From here on, the lock is held.

    def _rest(self) -> None:
        # A database in memory is all there is, and nothing a fork would break.
        if not self._in_memory:
            self._close_db()
            self._db = None
            self._pid = 0

    def _ready(self) -> None:
        """Open if closed; refuse a connection of another process or of a replaced file."""
        try:
            if self._db is None:
                self._open()
            elif self._in_memory:
                self._pid = getpid()
            elif self._pid != getpid():
                raise StoreUnavailable(
                    f"The connection to {self._path} was opened by process {self._pid} "
                    "and inherited by this one",
                    hint="Fork with os.fork or multiprocessing, or open the store after the fork",
                )
            else:
                self._find_file()
        except sqlite3.Error as exc:
            raise self._error(exc) from exc
        except OSError as exc:
            raise private_file.unavailable(self._path, exc) from exc
        self._look_at = math.inf if self._in_memory else monotonic() + 1.0

    def _open(self) -> None:
        if not self._in_memory:
            self._find_file()
        db = open_database(self._path, self._busy_timeout)
        self._db = db
        # One cursor for all: making one costs a tenth of a lookup.
        self._execute = db.cursor().execute
        self._close_db = weakref.finalize(self, _close, db, getpid())
        self._pid = getpid()
        self._file = None if self._in_memory else self._look()
        # The new connection's data_version may be one that was seen before.
        self._commits += 1

    def _find_file(self) -> None:
        """Create the file if there never was one; refuse another one than at first."""
        if self._file is None:
            private_file.create(self._path)
        elif self._file != self._look():
            self._rest()
            raise StoreUnavailable(
                f"{self._path} was deleted or replaced while it was in use",
                hint="Put it back. If that was on purpose, stop all processes that use it, "
                "delete its old -wal and -shm, and start again",
            )
        elif self._db is not None:
            return
        found = self._path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise StoreUnavailable(f"{self._path} is not a file", hint="Name a file")
        if found.st_size == 1:  # SQLite takes it for an empty one, and would overwrite it
            raise private_file.foreign(self._path, "is not a SQLite database")

    def _look(self) -> tuple[int, int] | None:
        """Return which file is at the path now. None if there is none."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _replace(self, record: Record, replaces: str) -> int:
        old = self._run(_READ_FIELDS, (record.id,)).fetchone()
        if old is None:
            return 0
        new = _fields_of(record)
        changed = tuple(
            field for field, was, is_now in zip(FIELDS, old, new, strict=True) if was != is_now
        )
        sql, values = _update(changed)
        # SQLite compares the versions in the statement that writes, so a
        # process that wrote since the read above is not overwritten. And the
        # same version is the same record: what did not differ then does not now.
        return self._change(sql, (*values(record), replaces), record.id)

    def _run(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._execute(sql, values)
        except sqlite3.Error as exc:
            raise self._error(exc) from exc

    def _change(self, sql: str, values: Sequence[Any] = (), record_id: str | None = None) -> int:
        """Run a statement that writes, and return how many rows it changed."""
        # Counted before: if it fails or is interrupted, nobody knows what happened.
        self._commits += 1
        try:
            count = self._execute(sql, values).rowcount
        except sqlite3.Error as exc:
            error = self._error(exc, record_id)
            if isinstance(error, StoreConflict):
                self._commits -= 1
            raise error from exc
        if not count:
            self._commits -= 1
        return count

    def _error(self, exc: sqlite3.Error, record_id: str | None = None) -> StoreError:
        return explain(exc, self._path, self._busy_timeout, record_id)


_inherited: list[sqlite3.Connection] = []
"""Connections of another process: closing them would clean up files it still uses."""


def _close(db: sqlite3.Connection, pid: int) -> None:
    if pid != getpid():
        _inherited.append(db)
        return
    with suppress(sqlite3.Error):
        db.close()
