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

import sqlite3
import weakref
from contextlib import suppress
from functools import cache, partial
from operator import attrgetter
from os import getpid
from time import monotonic
from typing import TYPE_CHECKING, Any

from tokenkeep.backends import private_file
from tokenkeep.backends.base import HEADER, MARKS, Backend, Record, written_first
from tokenkeep.backends.on_disk import OnDisk
from tokenkeep.backends.rows import COLUMNS, from_row, to_row
from tokenkeep.errors import StoreConflict, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tokenkeep.backends.base import Due, Mark

_File = tuple[int, int]
"""A file, by device and inode."""

_APPLICATION_ID = 0x746F6B6E
"""``tokn``, in the header of the file: it is ours."""

_VERSION = 2
"""``user_version`` in the header of the file: how its tables look."""

_NAMES = ", ".join(COLUMNS)
_INDEXED = ("owner", *MARKS, "due_at")
_CREATE = (
    f"CREATE TABLE token ({_NAMES})",
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
_WHICH = "WHERE id = ? AND version = ?"
_READ_INDEXED = f"SELECT {', '.join(_INDEXED)} FROM token {_WHICH}"  # noqa: S608
_PLAIN = tuple(name for name in COLUMNS if name not in (*_INDEXED, "id", "last_used_at"))
_indexed_of: Callable[[Record], tuple[Any, ...]] = attrgetter(*_INDEXED)

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}

_OF_THE_DISK = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}


class SQLiteBackend(OnDisk, Backend):
    """
    Serve all processes of one machine.

    Not for network file systems: their file locks can't be relied on. What
    was written is on disk when the call returns (``synchronous=FULL``).
    Deleted tokens are overwritten in the file; the write-ahead log may hold
    them, sealed, until its next checkpoint, which `clear` and the last
    `close` bring about.

    Args:
        path: The database. A missing file is created, with mode 0600, by the first
            record; one that others may read is tightened.
        busy_timeout: How long to wait while another process writes, in seconds.

    Raises:
        StoreUnavailable: *path* can't be opened, or not be kept from others.
        StoreForeign: It is something else than a database of tokenkeep.
        StoreTooNew: A newer tokenkeep made it.
        ConfigurationError: *busy_timeout* is negative or above a day.
    """

    _faults = (sqlite3.Error, OSError)

    def __init__(self, path: str | Path, *, busy_timeout: float = 5.0) -> None:
        self._pid = 0
        self._file: _File | None = None
        self._opened: list[_Connection] = []
        weakref.finalize(self, _close_all, self._opened)
        self._openings = 0
        self._look_at = 0.0
        super().__init__(path, busy_timeout=busy_timeout)
        self._patiently(self._ready)

    def read(self, record_id: str) -> Record | None:
        rows = self._select(_READ, (record_id,))
        return from_row(rows[0]) if rows else None

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        return [from_row(row) for row in self._select(*_finding(marks))]

    def write(self, record: Record, *, replaces: str | None) -> None:
        if replaces is None:
            done = self._patiently(lambda: self._insert(record), record.id)
        else:
            done = self._patiently(lambda: self._replace(record, replaces), record.id)
        if not done:
            raise written_first(record.id)

    def insert(self, records: Sequence[Record]) -> list[str]:
        try:
            if records:
                self._patiently(lambda: self._insert(*records))
        except StoreConflict:  # one is taken, so none was written
            return super().insert(records)
        return []

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        return self._patiently(lambda: self._delete(record_id, replaces), record_id)

    def touch(self, record_id: str, last_used_at: float) -> None:
        values = (last_used_at, record_id, last_used_at)
        self._patiently(lambda: self._change(_TOUCH, values), record_id, waits=False)

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
        # Where somebody reads just now, a later checkpoint empties the log.
        self._select("PRAGMA wal_checkpoint(TRUNCATE)")
        return count

    def revision(self) -> tuple[int, int, int]:
        return self._patiently(self._revision)

    def describe(self) -> str:
        return f"a SQLite database in the file {self._path}"

    def close(self) -> None:
        self._alone(self._close)

    def _select(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._patiently(lambda: self._fetch(sql, values))

    # From here on, the lock is held.

    def _close(self) -> None:
        self._rest()
        self._file, self._was_there = None, False

    def _fetch(self, sql: str, values: Sequence[Any]) -> list[Any]:
        if self._pid == getpid() or self._ready():
            return self._execute(sql, values).fetchall()
        return []

    def _change(self, sql: str, values: Sequence[Any], *, make: bool = False) -> int:
        """Run a statement that writes, and return how many rows it changed."""
        return self._execute(sql, values).rowcount if self._ready(make=make) else 0

    def _revision(self) -> tuple[int, int, int]:
        # Whether it is still the same file costs more than the rest: once a second.
        if self._pid != getpid() or self._look_at <= monotonic():
            if not self._ready():
                return 0, 0, 0
            self._look_at = monotonic() + 1.0
        # The one changes with the commits of others, the other with our own; both begin
        # anew with a connection.
        (others,) = self._execute("PRAGMA data_version").fetchone()
        return self._openings, others, self._db.total_changes

    def _insert(self, *records: Record) -> int:
        sql = ", ".join([_INSERT, *[_VALUES] * (len(records) - 1)])
        return self._change(sql, [each for one in records for each in to_row(one)], make=True)

    def _replace(self, record: Record, replaces: str) -> int:
        if not self._ready():
            return 0
        old = self._execute(_READ_INDEXED, (record.id, replaces)).fetchone()
        if old is None:
            return 0
        both = zip(_INDEXED, old, _indexed_of(record), strict=True)
        sql, values = _updating(tuple(name for name, was, is_now in both if was != is_now))
        # SQLite compares the versions in the statement that writes, so a
        # process that wrote since the read above is not overwritten. And the
        # same version is the same record: what did not differ then does not now.
        return self._execute(sql, (*values(record), replaces)).rowcount

    def _delete(self, record_id: str, replaces: str | None) -> bool:
        if replaces is None:
            return bool(self._change("DELETE FROM token WHERE id = ?", (record_id,)))
        if self._change(f"DELETE FROM token {_WHICH}", (record_id, replaces)):  # noqa: S608
            return True
        if self._fetch(_READ, (record_id,)):
            raise written_first(record_id)
        return False

    # The connection

    def _rest(self) -> None:
        # First: if a signal handler raises now, nobody takes it for open.
        self._pid = 0
        _close_all(self._opened)

    def _ready(self, *, make: bool = False) -> bool:
        """Open if closed, made by *make*; False if there is no file yet. Refuse another one's."""
        if self._pid not in (0, getpid()):
            raise self._inherited(self._pid)
        if make and not self._was_there:
            private_file.create(self._path)
            self._was_there = True
        if not self._expect_file():
            return False
        if not self._pid:
            self._open()
        return True

    def _expect_file(self) -> _File | None:
        """Return the file. None if there is none; refuse another one than before."""
        found = self._found()
        file = (found.st_dev, found.st_ino) if found else None
        if self._file not in (None, file):
            raise self._gone()
        self._file = file
        return file

    def _open(self) -> None:
        for other in [*_connections]:
            if other.file == self._file and other.pid != getpid():
                raise self._inherited(other.pid)
        self._rest()  # what an interrupted call may have left
        db = sqlite3.connect(
            # Only an URI forbids to create: one deleted just now must not come back wide open.
            f"{self._path.as_uri()}?mode=rw",
            uri=True,
            timeout=0,  # SQLite would wait with the backend's lock held
            isolation_level=None,
            check_same_thread=False,
            factory=_Connection,
        )
        db.pid, db.file, db.kept = getpid(), self._file, db.cursor()
        self._opened.append(db)
        _connections.add(db)
        # Bytes that are no text: that row does not open then, and the others do.
        db.text_factory = partial(str, encoding="utf-8", errors="replace")
        try:
            self._prepare(db)
        except BaseException:
            self._rest()
            raise
        self._execute, self._db = db.kept.execute, db
        self._openings += 1
        self._pid = getpid()

    def _prepare(self, db: sqlite3.Connection) -> None:
        # Look before touching: what is not ours is not changed, not even its mode.
        # One transaction, lest another process makes the tables between two questions.
        db.execute("BEGIN")
        with db:
            is_fresh = self._is_fresh(db)
        for suffix in ("", "-wal", "-shm"):
            private_file.tighten(self._path.with_name(self._path.name + suffix))
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA fullfsync = ON")
        db.execute("PRAGMA secure_delete = ON").fetchall()
        (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreUnavailable(
                f"{self._path} can't have a write-ahead log",
                hint="SQLite needs a local file system; name a path on one",
            )
        if not is_fresh:
            return
        db.execute("BEGIN IMMEDIATE")
        with db:
            if self._is_fresh(db):
                # Before anybody's first record: a file without an entry in its
                # folder is lost in a power cut, with all that is in it.
                private_file.sync_folder(self._path)
                for statement in _CREATE:
                    db.execute(statement)

    def _is_fresh(self, db: sqlite3.Connection) -> bool:
        """Return whether there is nothing in the database; raise if it is not ours."""
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if application == _APPLICATION_ID:
            self._expect_format(version, _VERSION)
            return False
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application or version or tables:
            raise self._foreign("is a database of another program")
        return True

    # Errors

    def _inherited(self, pid: int) -> StoreUnavailable:
        return StoreUnavailable(
            f"A connection to {self._path} was opened by process {pid} and inherited by this "
            "one, which can't use the store any more",
            hint="Start another process. Fork with os.fork or multiprocessing, not in a signal "
            "handler and not while the disk hangs, or open the store only after the fork",
        )

    def _explained(self, exc: sqlite3.Error | OSError, record_id: str | None) -> StoreError | None:
        if isinstance(exc, OSError):
            private_file.refuse(self._path, exc)
        # An error of the Python module itself has no code.
        extended = getattr(exc, "sqlite_errorcode", 0)
        code = extended & 0xFF
        if code in _BUSY:
            return None
        if extended == sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            return StoreConflict(
                "There is a record with this id, or another one for the same thing",
                token_id=record_id,
            )
        if code == sqlite3.SQLITE_NOTADB:
            return self._foreign("is not a SQLite database")
        if code == sqlite3.SQLITE_CORRUPT or "no such table" in str(exc):
            return self._damaged("is damaged")
        hint = private_file.HINT if code in _OF_THE_DISK else None
        return StoreUnavailable(f"{self._path} can't be used: {exc}", hint=hint)


@cache
def _updating(indexed: tuple[str, ...]) -> tuple[str, Callable[[Record], tuple[Any, ...]]]:
    """Return the statement that replaces a record, and what takes its values from one."""
    # An index that is written costs a page on disk, so those that do not change
    # are left alone: a third of a write.
    names = _PLAIN + indexed
    assignments = ", ".join(f"{name} = ?" for name in names)
    sql = f"UPDATE token SET {assignments} {_WHICH}"  # noqa: S608
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


class _Connection(sqlite3.Connection):
    """One that only its own process closes; in another it is not even let go."""

    pid: int
    file: _File | None
    kept: sqlite3.Cursor
    """Making one costs a tenth of a lookup."""

    def close(self) -> None:
        if self.pid == getpid():
            # First: it keeps a statement that was refused as busy, and that the files open.
            with suppress(sqlite3.Error):  # it was closed before, and that was interrupted
                self.kept.close()
            super().close()
            _connections.discard(self)


def _close_all(connections: list[_Connection]) -> None:
    """Close these, whoever is interrupted in between: what is still there, the next one closes."""
    for each in connections:
        each.close()
    connections.clear()


_connections: set[_Connection] = set()
"""All that are open, or were inherited."""
