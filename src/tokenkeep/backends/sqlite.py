"""
Sealed tokens in one SQLite database: the store for a single machine.

The file has to stay the same one: a connection goes on with one that was
deleted or replaced, and what it writes is lost with it.

A connection that came to this process by a fork must not be used, nor closed:
that would clean up files its process still uses. Nor may another one be opened
beside it. SQLite knows a file's locks by process and believes that it holds
the parent's, which no child inherits; so the parent, closing, takes itself for
the last and deletes the write-ahead log that the child goes on writing.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import weakref
from contextlib import suppress
from functools import cache, partial
from operator import attrgetter
from os import getpid
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from tokenkeep.backends import private_file
from tokenkeep.backends.base import HEADER, MARKS, Backend, Record
from tokenkeep.backends.forks import ForkSafe
from tokenkeep.backends.patience import tries
from tokenkeep.backends.rows import COLUMNS, from_row, to_row
from tokenkeep.backends.urls import StoreURL
from tokenkeep.errors import (
    ConfigurationError,
    StoreConflict,
    StoreError,
    StoreTampered,
    StoreTooNew,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from tokenkeep.backends.base import Due, Mark

_Result = TypeVar("_Result")
_File = tuple[int, int]
"""A file, by device and inode."""

MEMORY = Path(":memory:")
"""What SQLite calls a database without a file."""

_APPLICATION_ID = 0x746F6B6E
"""``tokn``, in the header of the file: it is ours."""

_VERSION = 2
"""``user_version`` in the header of the file: how its tables look."""

_INDEXED = ("owner", *MARKS, "due_at")
_TYPES = {
    **dict.fromkeys(("id", "version", "owner", "kind"), "TEXT NOT NULL"),
    "key": "INTEGER NOT NULL",
    "sealed": "BLOB NOT NULL",
    **dict.fromkeys(MARKS, "TEXT"),
    **dict.fromkeys(("due_at", "last_used_at"), "REAL"),
}
_CREATE = (
    f"CREATE TABLE token ({', '.join(f'{name} {_TYPES[name]}' for name in COLUMNS)})",
    # Each has the name of its column. Those of marks and of what is due hold the
    # id, too, in whose order they are read; what has no mark is in none.
    "CREATE UNIQUE INDEX token_id ON token (id)",
    "CREATE UNIQUE INDEX token_owner ON token (owner)",
    *(
        f"CREATE INDEX token_{field} ON token ({field}, id) WHERE {field} IS NOT NULL"
        for field in (*MARKS, "due_at")
    ),
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_VERSION}",
)

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
_READ_INDEXED = f"SELECT {', '.join(_INDEXED)} FROM token WHERE id = ? AND version = ?"  # noqa: S608
_PLAIN = tuple(name for name in COLUMNS if name not in (*_INDEXED, "id", "last_used_at"))
_indexed_of: Callable[[Record], tuple[Any, ...]] = attrgetter(*_INDEXED)

_MOST = 999
"""How many parameters a statement of old SQLite may have."""

_MANY = 500
"""How many marks one statement looks for."""

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}

_ERRNO = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EACCES,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
}
"""The errno whose words fit an error code of SQLite's."""


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
        self._link = _Link()
        weakref.finalize(self, self._link.close)
        self._execute: Callable[..., sqlite3.Cursor]
        self._commits = 0
        self._pid = 0
        self._file: _File | None = None
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
        try:  # without a clock, which would cost a tenth of a lookup
            return self._alone(attempt)
        except sqlite3.Error as exc:
            last = exc
        waited = self._busy_timeout if timeout is None else timeout
        for turn, _ in enumerate(tries(waited)):
            if not _is_busy(last):
                break
            try:
                if turn:
                    return self._alone(attempt)
            except sqlite3.Error as exc:
                last = exc
        raise _explain(last, self._path, waited, record_id) from last

    # From here on, the lock is held.

    def _close(self) -> None:
        self._rest()
        self._file = None

    def _read(self, record_id: str) -> Any:
        if self._pid != getpid():
            self._ready()
        return self._execute(_READ, (record_id,)).fetchone()

    def _fetch(self, sql: str, values: Sequence[Any]) -> list[Any]:
        if self._pid != getpid():
            self._ready()
        return self._execute(sql, values).fetchall()

    def _revision(self) -> tuple[int, int]:
        # Whether it is still the same file costs more than the rest: once a second.
        if self._pid != getpid() or self._look_at <= monotonic():
            self._ready()
            self._look_at = monotonic() + 1.0
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
            raise _inherited(self._path, self._pid)
        else:
            self._expect(self._file)

    def _open(self, *, make: bool) -> None:
        self._link.close()  # what an interrupted call may have left
        is_there = make or self._in_memory or self._is_there()
        # An empty one in memory stands in for a file that is not there: each call looks again.
        file = self._made() if is_there and not self._in_memory else None
        try:
            cursor = self._link.open(self._path if file else MEMORY, file)
            self._expect(file)  # SQLite may have opened another one meanwhile
        except BaseException:
            self._link.close()
            raise
        self._file = file
        # One cursor for all: making one costs a tenth of a lookup.
        self._execute = cursor.execute
        # The new connection's data_version may be one that was seen before.
        self._commits += 1
        self._pid = getpid() if is_there else 0

    def _is_there(self) -> bool:
        """Return whether there is anything at the path, or was."""
        try:
            return self._file is not None or self._path.stat().st_size > 0
        except OSError as exc:
            if isinstance(exc, FileNotFoundError) and self._path.parent.is_dir():
                return False
            private_file.refuse(self._path, exc)

    def _made(self) -> _File:
        """Return the file, which is made if there never was one; refuse what is no database."""
        try:
            if self._file is None:
                private_file.create(self._path)
            found = self._path.stat()
        except FileNotFoundError as exc:
            self._expect(self._file)
            private_file.refuse(self._path, exc)
        except OSError as exc:
            private_file.refuse(self._path, exc)
        if not stat.S_ISREG(found.st_mode):
            raise StoreUnavailable(f"{self._path} is not a file", hint="Name a file")
        if found.st_size == 1:  # SQLite takes it for an empty one, and would overwrite it
            raise private_file.foreign(self._path, "is not a SQLite database")
        self._expect(self._file)
        return found.st_dev, found.st_ino

    def _expect(self, file: _File | None) -> None:
        """Refuse another file than this one at the path. None is any."""
        if file is None:
            return
        try:
            found = self._path.stat()
        except FileNotFoundError:
            pass
        except OSError as exc:
            private_file.refuse(self._path, exc)
        else:
            if file == (found.st_dev, found.st_ino):
                return
        self._rest()
        raise StoreUnavailable(
            f"{self._path} was deleted or replaced while it was in use",
            hint="Put it back. If that was on purpose, stop all processes that use it, "
            "delete its old -wal and -shm, and start again",
        )

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
            if _is_taken(exc) or _is_busy(exc):
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


class _Link:
    """What one object has open: a connection, and the one cursor that is used on it."""

    def __init__(self) -> None:
        self.db: sqlite3.Connection | None = None
        self._cursor: sqlite3.Cursor | None = None
        self._pid = 0

    def open(self, path: Path, file: _File | None) -> sqlite3.Cursor:
        """
        Open the database and return the cursor; it never waits for other processes.

        Whatever this raises, `close` closes what is open by then.

        Args:
            path: An existing file, of which an empty one becomes a database; or `MEMORY`.
            file: What is there. None for one in memory.

        Raises:
            sqlite3.Error: It can't be opened; see `_explain`.
            StoreForeign: It is not ours.
            StoreTooNew: A newer tokenkeep made it.
            StoreUnavailable: It can't be reached, be kept private, or have a write-ahead log;
                or this process has a connection to it that it did not open.
        """
        for pid, other, _ in list(_opened.values()):
            if file is not None and pid != getpid() and other == file:
                raise _inherited(path, pid)
        self._pid = getpid()
        self.db = sqlite3.connect(
            # Only an URI forbids to create: a file deleted just now must not come back wide open.
            MEMORY if path == MEMORY else f"{path.as_uri()}?mode=rw",
            uri=True,
            timeout=0,  # SQLite would wait with the backend's lock held
            isolation_level=None,
            check_same_thread=False,
        )
        # Bytes that are no text: that row does not open then, and the others do.
        self.db.text_factory = _text
        self._cursor = self.db.cursor()
        _opened[self.db] = self._pid, file, self._cursor
        _prepare(self.db, path)
        return self._cursor

    def close(self) -> None:
        """Close it, unless it is another process's. May be repeated, and interrupted."""
        if self.db is not None and self._pid == getpid():
            # In this order: a cursor keeps a statement that was refused as busy,
            # and the statement keeps the files open beyond Connection.close().
            for each in (self._cursor, self.db):
                if each is not None:
                    with suppress(sqlite3.Error):
                        each.close()
            _opened.pop(self.db, None)
        self.db = self._cursor = None


_opened: dict[sqlite3.Connection, tuple[int, _File | None, sqlite3.Cursor]] = {}
"""Who opened which file, and the cursor: an inherited one must not be let go either."""


def _inherited(path: Path, pid: int) -> StoreUnavailable:
    return StoreUnavailable(
        f"A connection to {path} was opened by process {pid} and inherited by this one, "
        "which can't use the store any more",
        hint="Start another process. Fork with os.fork or multiprocessing, not in a signal "
        "handler and not while the disk hangs, or open the store only after the fork",
    )


def _text(stored: bytes) -> str:
    return stored.decode(errors="replace")


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    # Look before touching: what is not ours is not changed, not even its mode.
    # One transaction, lest another process makes the tables between two questions.
    db.execute("BEGIN")
    with db:
        fresh = _is_fresh(db, path)
    if path != MEMORY:
        try:
            for suffix in ("", "-wal", "-shm"):
                private_file.tighten(path.with_name(path.name + suffix))
        except OSError as exc:
            private_file.refuse(path, exc)
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA fullfsync = ON")
    db.execute("PRAGMA secure_delete = ON").fetchall()
    (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != ("memory" if path == MEMORY else "wal"):
        raise StoreUnavailable(
            f"{path} can't have a write-ahead log",
            hint="SQLite needs a local file system; name a path on one",
        )
    if not fresh:
        return
    db.execute("BEGIN IMMEDIATE")
    with db:
        if not _is_fresh(db, path):
            return
        # Before anybody's first record: a file without an entry in its
        # folder is lost in a power cut, with all that is in it.
        if path != MEMORY:
            try:
                private_file.sync_folder(path)
            except OSError as exc:
                private_file.refuse(path, exc)
        for statement in _CREATE:
            db.execute(statement)


def _is_fresh(db: sqlite3.Connection, path: Path) -> bool:
    """Return whether there is nothing in the database; raise if it is not ours."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application == _APPLICATION_ID:
        if version > _VERSION:
            raise StoreTooNew(
                f"{path} was made by a newer tokenkeep (format {version})",
                hint="Upgrade tokenkeep",
            )
        if version < _VERSION:
            raise private_file.foreign(
                path, f"is in the format {version}, which no released tokenkeep had"
            )
        return False
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application or version or tables:
        raise private_file.foreign(path, "is a database of another program")
    return True


def _is_busy(exc: Exception) -> bool:
    """Return whether another process is in the way, so that nothing was done."""
    return _code(exc) & 0xFF in _BUSY


def _is_taken(exc: Exception) -> bool:
    """Return whether a record was refused because of its id or owner."""
    return _code(exc) == sqlite3.SQLITE_CONSTRAINT_UNIQUE


def _explain(
    exc: sqlite3.Error, path: Path, waited: float, record_id: str | None = None
) -> StoreError:
    """
    Return our error for one of SQLite's; every one of them passes here.

    Args:
        exc: What they say.
        path: The database.
        waited: How long other processes were waited for, in seconds.
        record_id: The record that was asked for or written. None if it was none, or several.
    """
    code = _code(exc)
    if _is_taken(exc):
        return StoreConflict(
            "There is a record with this id, or another one for the same thing",
            token_id=record_id,
        )
    if code & 0xFF == sqlite3.SQLITE_NOTADB:
        what = "is not a SQLite database (what a file: store has written is named by file:)"
        return private_file.foreign(path, what)
    if code & 0xFF == sqlite3.SQLITE_CORRUPT or "no such table" in str(exc):
        return StoreTampered(
            f"{path} is damaged",
            hint="Put it back from a backup, or move it away and log in again",
        )
    if _is_busy(exc):
        return private_file.busy(path, waited)
    reason, hint = private_file.REASONS.get(_ERRNO.get(code & 0xFF, 0), (str(exc), None))
    return StoreUnavailable(f"{path} can't be used: {reason}", hint=hint)


def _code(exc: Exception) -> int:
    """Return SQLite's extended error code. 0 for an error of the Python module itself."""
    return getattr(exc, "sqlite_errorcode", 0)
