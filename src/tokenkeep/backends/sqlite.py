"""Sealed tokens in one SQLite database: the store for a single machine."""

from __future__ import annotations

import math
import os
import sqlite3
import weakref
from functools import cache, partial
from operator import attrgetter
from os import getpid
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from tokenkeep.backends.base import HEADER, MARKS, Backend, Record
from tokenkeep.backends.forks import ForkSafe, reentered
from tokenkeep.backends.patience import tries
from tokenkeep.backends.rows import COLUMNS, from_row, to_row
from tokenkeep.backends.sqlite_connections import DatabaseFile, Link, inherited
from tokenkeep.backends.sqlite_database import MEMORY, explain, is_busy, is_taken
from tokenkeep.backends.urls import StoreURL
from tokenkeep.errors import ConfigurationError, StoreConflict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from tokenkeep.backends.base import Due, Mark

_Result = TypeVar("_Result")

# Every name below is one of ours; values go in as parameters. An index is named
# where statistics (somebody's ANALYZE) could make SQLite read the whole table.
_NAMES = ", ".join(COLUMNS)
_SELECT = f"SELECT {_NAMES} FROM token"  # noqa: S608
_READ = f"{_SELECT} WHERE id = ?"
_SCAN = f"{_SELECT} WHERE id > ? ORDER BY id LIMIT ?"
_DUE = (
    f"{_SELECT} INDEXED BY token_due_at "
    "WHERE due_at <= ? AND (due_at, id) > (?, ?) ORDER BY due_at, id LIMIT ?"
)
_FIRST = (-1e99, "")
"""Before all that is due."""
_VALUES = f"({', '.join('?' * len(COLUMNS))})"
_INSERT = f"INSERT INTO token ({_NAMES}) VALUES {_VALUES}"  # noqa: S608
_TOUCH = (
    "UPDATE token SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at < ?)"
)

_INDEXED = ("owner", *MARKS, "due_at")
_indexed_of: Callable[[Record], tuple[Any, ...]] = attrgetter(*_INDEXED)
_READ_INDEXED = f"SELECT {', '.join(_INDEXED)} FROM token WHERE id = ? AND version = ?"  # noqa: S608
_PLAIN = tuple(name for name in COLUMNS if name not in (*_INDEXED, "id", "last_used_at"))

_MOST = 999
"""How many parameters a statement of old SQLite may have."""

_MANY = 500
"""How many marks one statement looks for."""


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
        make: Whether a missing file is created at once. False: with the first
            record, and until then it is read as an empty one.

    Raises:
        StoreUnavailable: *path* can't be opened, or not be kept from others.
        StoreForeign: It is something else than a database of tokenkeep.
        StoreTooNew: A newer tokenkeep made it.
        ConfigurationError: *busy_timeout* is negative or above a day.
    """

    embedded = True

    def __init__(self, path: str | Path, *, busy_timeout: float = 5.0, make: bool = True) -> None:
        if not 0 <= busy_timeout <= 86400:  # noqa: PLR2004 - a day
            raise ConfigurationError("busy_timeout is a number of seconds from 0 to 86400")
        super().__init__()
        self._in_memory = path == str(MEMORY)
        self._path = MEMORY if self._in_memory else Path(os.path.realpath(path))
        self.home: Path | None = None if self._in_memory else self._path
        self._busy_timeout = busy_timeout
        self._link = Link()
        weakref.finalize(self, self._link.close)
        self._execute: Callable[..., sqlite3.Cursor]
        self._commits = 0
        self._pid = 0
        self._file = DatabaseFile(self._path)
        self._look_at = 0.0
        self._patiently(lambda: self._ready(make=make))

    @classmethod
    def from_url(cls, url: str) -> Self:
        """
        Open the database a URL names; a missing one is made with the first record.

        Args:
            url: ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or
                ``sqlite:///:memory:``; option ``busy_timeout``, in seconds.

        Raises:
            ConfigurationError: The path or an option is missing or wrong.
            StoreError: As for the class.
        """
        parsed = StoreURL.parse(url)
        options = parsed.options({"busy_timeout": float})
        return cls(parsed.path(), make=False, **options)

    def read(self, record_id: str) -> Record | None:
        # As `_patiently` does it, which would cost a tenth more where nobody is in the way.
        try:
            with self._lock:
                if self._inside:
                    raise reentered()
                try:
                    self._inside = True
                    row = self._read(record_id)
                finally:
                    self._inside = False
        except sqlite3.Error:
            row = self._patiently(lambda: self._read(record_id), record_id)
        return row and from_row(row)

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        rows: dict[str, Any] = {}
        for start in range(0, len(marks), _MANY):
            sql, values = _finding(marks[start : start + _MANY])
            # By id: another process may write between two statements.
            rows.update((row[0], row) for row in self._select(sql, values))
        return [from_row(row) for row in rows.values()]

    def write(self, record: Record, *, replaces: str | None) -> None:
        if replaces is None:
            done = self._patiently(lambda: self._insert(record), record.id)
        else:
            done = self._patiently(lambda: self._replace(record, replaces), record.id)
        if not done:
            raise StoreConflict("Somebody else wrote this record first", token_id=record.id)

    def insert(self, records: Sequence[Record]) -> list[str]:
        many = _MOST // len(COLUMNS)
        left: list[str] = []
        for start in range(0, len(records), many):
            some = records[start : start + many]
            try:
                self._patiently(partial(self._insert, *some))
            except StoreConflict:  # one is taken, so none was written
                left += super().insert(some)
        return left

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        return self._patiently(lambda: self._delete(record_id, replaces), record_id)

    def touch(self, record_id: str, last_used_at: float) -> None:
        values = (last_used_at, record_id, last_used_at)
        self._patiently(lambda: self._change(_TOUCH, values), record_id, timeout=0)

    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        if mark is None:
            rows = self._select(_SCAN, (after or "", limit))
        else:
            field, value = mark
            rows = self._select(_scanning(field), (value, after or "", limit))
        return [from_row(row) for row in rows]

    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        rows = self._select(_DUE, (before, *(after or _FIRST), limit))
        return [from_row(row) for row in rows]

    def clear(self) -> int:
        everything = "DELETE FROM token WHERE id <> ?"
        count = self._patiently(lambda: self._change(everything, (HEADER,)))
        # A reader may hold the log to the end; then a later checkpoint empties it.
        for _ in tries(self._busy_timeout):
            ((busy, _, _),) = self._select("PRAGMA wal_checkpoint(TRUNCATE)")
            if not busy:
                break
        return count

    def revision(self) -> tuple[int, int]:
        # As in `read`.
        try:
            with self._lock:
                if self._inside:
                    raise reentered()
                try:
                    self._inside = True
                    return self._revision()
                finally:
                    self._inside = False
        except sqlite3.Error:
            return self._patiently(self._revision)

    def describe(self) -> str:
        where = "memory" if self._in_memory else f"the file {self._path}"
        return f"a SQLite database in {where}"

    def close(self) -> None:
        self._alone(self._close)

    def _select(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._patiently(lambda: self._fetch(sql, values))

    def _patiently(
        self,
        attempt: Callable[[], _Result],
        record_id: str | None = None,
        *,
        timeout: float | None = None,
    ) -> _Result:
        """
        Do something alone; again, while the database is busy.

        The lock is free in between: other threads read, and the process forks.

        Args:
            attempt: What to do. Changes nothing when it raises "busy".
            record_id: For the error. None if no record is meant.
            timeout: How long to try, in seconds. None means the busy timeout.
        """
        waited = self._busy_timeout if timeout is None else timeout
        for _ in tries(waited):
            try:
                with self._lock:  # `_alone` would cost a third of a lookup
                    if self._inside:
                        raise reentered()
                    try:
                        self._inside = True
                        return attempt()
                    finally:
                        self._inside = False
            except sqlite3.Error as exc:
                last = exc
                if not is_busy(exc):
                    break
        raise explain(last, self._path, waited, record_id) from last

    # From here on, the lock is held.

    def _close(self) -> None:
        self._rest()
        self._file.forget()

    def _read(self, record_id: str) -> Any:
        if self._pid != getpid():
            self._ready()
        return self._execute(_READ, (record_id,)).fetchone()

    def _fetch(self, sql: str, values: Sequence[Any]) -> list[Any]:
        if self._pid != getpid():
            self._ready()
        return self._execute(sql, values).fetchall()

    def _revision(self) -> tuple[int, int]:
        if self._pid != getpid() or self._look_at <= monotonic():
            self._ready()
        # Changes with the commits of other connections, not with our own.
        return self._execute("PRAGMA data_version").fetchone()[0], self._commits

    def _rest(self) -> None:
        # A database in memory is all there is, and nothing a fork would break.
        if not self._in_memory:
            # First: if a signal handler raises now, nobody takes it for open.
            self._pid = 0
            self._link.close()

    def _ready(self, *, make: bool = False) -> None:
        """
        Open if closed; refuse a connection of another process or of a replaced file.

        *make* says whether to make the database if there is none.
        """
        if not self._pid:
            self._open(make=make)
        elif self._in_memory:
            self._pid = getpid()
        elif self._pid != getpid():
            raise inherited(self._path, self._pid)
        elif not self._file.is_same():
            self._rest()
            raise self._file.replaced()
        self._look_at = math.inf if self._in_memory else monotonic() + 1.0

    def _open(self, *, make: bool) -> None:
        self._link.close()  # what an interrupted call may have left
        is_there = make or self._in_memory or self._file.is_there()
        if self._in_memory or not is_there:
            cursor = self._link.open(MEMORY, None)
        else:
            self._file.make()
            cursor = self._link.open(self._path, self._file)
        # One cursor for all: making one costs a tenth of a lookup.
        self._execute = cursor.execute
        # The new connection's data_version may be one that was seen before.
        self._commits += 1
        # An empty one in memory stands in for a file that is not there: each call looks again.
        self._pid = getpid() if is_there else 0

    def _insert(self, *records: Record) -> int:
        self._ready(make=True)
        values = [value for record in records for value in to_row(record)]
        return self._execute_change(", ".join([_INSERT, *[_VALUES] * (len(records) - 1)]), values)

    def _replace(self, record: Record, replaces: str) -> int:
        self._ready()
        old = self._execute(_READ_INDEXED, (record.id, replaces)).fetchone()
        if old is None:
            return 0
        both = zip(_INDEXED, old, _indexed_of(record), strict=True)
        sql, values = _updating(tuple(name for name, was, is_now in both if was != is_now))
        # SQLite compares the versions in the statement that writes, so a
        # process that wrote since the read above is not overwritten. And the
        # same version is the same record: what did not differ then does not now.
        return self._execute_change(sql, (*values(record), replaces))

    def _delete(self, record_id: str, replaces: str | None) -> bool:
        if replaces is None:
            return bool(self._change("DELETE FROM token WHERE id = ?", (record_id,)))
        one_version = "DELETE FROM token WHERE id = ? AND version = ?"
        if self._change(one_version, (record_id, replaces)):
            return True
        if self._execute("SELECT 1 FROM token WHERE id = ?", (record_id,)).fetchone():
            raise StoreConflict("Somebody else wrote this record first", token_id=record_id)
        return False

    def _change(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement that writes, and return how many rows it changed."""
        self._ready()
        return self._execute_change(sql, values)

    def _execute_change(self, sql: str, values: Sequence[Any]) -> int:
        # Counted before: if it fails or is interrupted, nobody knows what happened.
        self._commits += 1
        try:
            count = self._execute(sql, values).rowcount
        except sqlite3.Error as exc:
            if is_taken(exc) or is_busy(exc):
                self._commits -= 1
            raise
        if not count:
            self._commits -= 1
        return count


@cache
def _updating(indexed: tuple[str, ...]) -> tuple[str, Callable[[Record], tuple[Any, ...]]]:
    """
    Return the statement that replaces a record, and what takes its values from one.

    Args:
        indexed: Those of `_INDEXED` that change. An index that is written costs
            a page on disk, so the others are left alone: a third of a write.
    """
    names = _PLAIN + indexed
    assignments = ", ".join(f"{name} = ?" for name in names)
    sql = f"UPDATE token SET {assignments} WHERE id = ? AND version = ?"  # noqa: S608
    return sql, attrgetter(*names, "id")


@cache
def _scanning(field: str) -> str:
    """Return the statement that reads a page of the records with one mark."""
    return f"{_SELECT} INDEXED BY token_{field} WHERE {field} = ? AND id > ? ORDER BY id LIMIT ?"


def _finding(marks: Sequence[Mark]) -> tuple[str, list[str]]:
    """Return the statement that finds the records with one of the marks, and its values."""
    values: dict[str, list[str]] = {}
    for field, value in marks:
        values.setdefault(field, []).append(value)
    # Of each index nothing but the row numbers: whatever statistics say, SQLite
    # takes the index, as it would not for one long OR.
    parts = (
        f"SELECT rowid FROM token WHERE {field} IN ({', '.join('?' * len(those))})"  # noqa: S608
        for field, those in values.items()
    )
    sql = f"{_SELECT} WHERE rowid IN ({' UNION ALL '.join(parts)})"
    return sql, [value for those in values.values() for value in those]
