"""The SQLite database of tokenkeep: how it looks, how it is opened, what its errors mean."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tokenkeep.backends import private_file
from tokenkeep.backends.base import MARKS
from tokenkeep.backends.rows import COLUMNS
from tokenkeep.errors import (
    StoreConflict,
    StoreError,
    StoreTampered,
    StoreTooNew,
    StoreUnavailable,
)

MEMORY = Path(":memory:")
"""What SQLite calls a database without a file."""

_APPLICATION_ID = 0x746F6B6E
"""``tokn``, in the header of the file: it is ours."""

_VERSION = 2
"""``user_version`` in the header of the file: how its tables look."""

_TYPES = {
    **dict.fromkeys(("id", "version", "owner", "kind"), "TEXT NOT NULL"),
    "key": "INTEGER NOT NULL",
    "sealed": "BLOB NOT NULL",
    **dict.fromkeys(MARKS, "TEXT"),
    **dict.fromkeys(("due_at", "last_used_at"), "REAL"),
}

_COLUMNS = ", ".join(f"{name} {_TYPES[name]}" for name in COLUMNS)

_CREATE = (
    f"CREATE TABLE token ({_COLUMNS})",
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

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}

_REASONS = {
    sqlite3.SQLITE_FULL: ("the disk is full", "Make room, then try again"),
    sqlite3.SQLITE_READONLY: (
        "it is read-only",
        "Give this user the right to write the database and its folder",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "it can't be opened",
        "Give this user the right to write it and its folder: SQLite keeps -wal and -shm there",
    ),
    sqlite3.SQLITE_PERM: ("permission is denied", "Give this user the right to write it"),
    sqlite3.SQLITE_IOERR: (
        "the disk reports an error",
        "Check its free space, the limits of this process and the disk's health",
    ),
}
"""What to say for an error code of SQLite, and what to do about it."""


def open_database(path: Path) -> sqlite3.Connection:
    """
    Return a connection to a database that is ours, private and safe on disk.

    It never waits for other processes: see `is_busy`.

    Args:
        path: An existing file, of which an empty one becomes a database; or `MEMORY`.

    Raises:
        sqlite3.Error: It can't be opened; see `explain`.
        StoreForeign: It is not ours.
        StoreTooNew: A newer tokenkeep made it.
        StoreUnavailable: It can't be reached, be kept private, or have a write-ahead log.
    """
    db = sqlite3.connect(
        # Only an URI forbids to create: a file deleted just now must not come back wide open.
        MEMORY if path == MEMORY else f"{path.as_uri()}?mode=rw",
        uri=True,
        timeout=0,  # SQLite would wait with the backend's lock held
        isolation_level=None,
        check_same_thread=False,
    )
    # Bytes that are no text: that row does not open then, and the others do.
    db.text_factory = _text
    try:
        _prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


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


def is_busy(exc: Exception) -> bool:
    """Return whether another process is in the way, so that nothing was done."""
    return _code(exc) & 0xFF in _BUSY


def is_taken(exc: Exception) -> bool:
    """Return whether a record was refused because of its id or owner."""
    return _code(exc) == sqlite3.SQLITE_CONSTRAINT_UNIQUE


def explain(
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
    if is_taken(exc):
        return StoreConflict(
            "There is a record with this id, or another one for the same thing",
            token_id=record_id,
        )
    if code & 0xFF == sqlite3.SQLITE_NOTADB:
        return private_file.foreign(path, "is not a SQLite database")
    if code & 0xFF == sqlite3.SQLITE_CORRUPT:
        return StoreTampered(
            f"{path} is damaged",
            hint="Put it back from a backup, or move it away and log in again",
        )
    if is_busy(exc):
        return private_file.busy(path, waited)
    reason, hint = _REASONS.get(code & 0xFF, (str(exc), None))
    return StoreUnavailable(f"{path} can't be used: {reason}", hint=hint)


def _code(exc: Exception) -> int:
    """Return SQLite's extended error code. 0 for an error of the Python module itself."""
    return getattr(exc, "sqlite_errorcode", 0)
