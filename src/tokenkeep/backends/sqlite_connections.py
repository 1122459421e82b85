"""
The file that holds a database, and this process's connections to it.

The file has to stay the same one: a connection goes on with one that was
deleted or replaced, and what it writes is lost with it.

A connection that came to this process by a fork must not be used, nor closed:
that would clean up files its process still uses. Nor may another one be opened
beside it. SQLite knows a file's locks by process and believes that it holds
the parent's, which no child inherits; so the parent, closing, takes itself for
the last and deletes the write-ahead log that the child goes on writing.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import suppress
from os import getpid
from typing import TYPE_CHECKING, NamedTuple

from tokenkeep.backends import private_file
from tokenkeep.backends.forks import renew_in_child
from tokenkeep.backends.sqlite_database import open_database
from tokenkeep.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path


class DatabaseFile:
    """
    What is at the path of a database.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first: tuple[int, int] | None = None

    def make(self) -> None:
        """
        Create it if there never was one, with mode 0600.

        Raises:
            StoreUnavailable: It can't be reached or is no file, or is not the one `note` saw.
            StoreForeign: It is certainly no database.
        """
        if self._first is None:
            try:
                private_file.create(self._path)
            except OSError as exc:
                private_file.refuse(self._path, exc)
        elif not self.is_same():
            raise self.replaced()
        try:
            found = self._path.stat()
        except OSError as exc:
            private_file.refuse(self._path, exc)
        if not stat.S_ISREG(found.st_mode):
            raise StoreUnavailable(f"{self._path} is not a file", hint="Name a file")
        if found.st_size == 1:  # SQLite takes it for an empty one, and would overwrite it
            raise private_file.foreign(self._path, "is not a SQLite database")

    def is_there(self) -> bool:
        """
        Return whether there is anything, or was.

        Raises:
            StoreUnavailable: It can't be reached.
        """
        if self._first is not None:
            return True
        try:
            return self._path.stat().st_size > 0
        except FileNotFoundError as exc:
            if not self._path.parent.is_dir():
                private_file.refuse(self._path, exc)
            return False
        except OSError as exc:
            private_file.refuse(self._path, exc)

    def look(self) -> tuple[int, int] | None:
        """Return which file it is, by device and inode. None if there is none."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as exc:
            private_file.refuse(self._path, exc)
        return found.st_dev, found.st_ino

    def note(self) -> tuple[int, int] | None:
        """Return what `look` does, and take any other one for a wrong one from now on."""
        self._first = self.look()
        return self._first

    def forget(self) -> None:
        """Take whatever is there next for the right one."""
        self._first = None

    def is_same(self) -> bool:
        """Return whether it is the one that `note` saw."""
        return self._first == self.look()

    def replaced(self) -> StoreUnavailable:
        """Return the error to raise if it is not."""
        return StoreUnavailable(
            f"{self._path} was deleted or replaced while it was in use",
            hint="Put it back. If that was on purpose, stop all processes that use it, "
            "delete its old -wal and -shm, and start again",
        )


class _Origin(NamedTuple):
    """
    Where a connection comes from.

    Args:
        file: Which file, by device and inode. None for one in memory.
        pid: The process that opened it.
        cursor: Of the connection; an inherited one must not be let go either.
    """

    file: Hashable
    pid: int
    cursor: sqlite3.Cursor


_open: dict[sqlite3.Connection, _Origin] = {}


class Link:
    """What one object has open: a connection, and the one cursor that is used on it."""

    def __init__(self) -> None:
        self.db: sqlite3.Connection | None = None
        self._cursor: sqlite3.Cursor | None = None
        self._pid = 0

    def open(self, path: Path, file: DatabaseFile | None) -> sqlite3.Cursor:
        """
        Open the database and return the cursor.

        Whatever this raises, `close` closes what is open by then.

        Args:
            path: As for `open_database`, which says what else may be raised.
            file: What is there, which is noted. None for one in memory.

        Raises:
            StoreUnavailable: This process has a connection to it that it did not open.
        """
        if file is not None:
            _refuse_inherited(path, file.look())
        self._pid = getpid()
        self.db = open_database(path)
        self._cursor = self.db.cursor()
        _open[self.db] = _Origin(file and file.note(), self._pid, self._cursor)
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
            _open.pop(self.db, None)
        self.db = self._cursor = None


class _Descriptors:
    """
    The files that were open in this process as it came about by a fork.

    Whatever kept a database open beyond its connection's end, it is not used:
    as soon as this process closes such a file, it loses its locks on it.
    """

    def __init__(self) -> None:
        self.parent = 0
        self._files: dict[int, tuple[int, int]] = {}
        renew_in_child(self)

    def renew_locks(self) -> None:
        """Look what this process has inherited, before it opens anything of its own."""
        self.parent = os.getppid()
        self._files = {}
        with suppress(OSError):  # only Linux tells
            for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - a path for each would take longer
                found = _opened(int(name))
                if found is not None:
                    self._files[int(name)] = found

    def include(self, file: Hashable) -> bool:
        """Return whether a file is still open since then."""
        same = [descriptor for descriptor, other in self._files.items() if other == file]
        if any(_opened(descriptor) == file for descriptor in same):
            return True
        for descriptor in same:  # closed since: their numbers may be given again
            self._files.pop(descriptor, None)
        return False


def _opened(descriptor: int) -> tuple[int, int] | None:
    """Return which file is open, by device and inode. None if it is closed, or no file."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


_inherited = _Descriptors()


def _refuse_inherited(path: Path, file: Hashable) -> None:
    """
    Make sure that this process has no connection to a file that it did not open.

    Raises:
        StoreUnavailable: It has, and always will.
    """
    for origin in list(_open.values()):
        if origin.pid != getpid() and origin.file == file:
            raise inherited(path, origin.pid)
    if _inherited.include(file):
        raise inherited(path, _inherited.parent)


def inherited(path: Path, pid: int) -> StoreUnavailable:
    """Return the error to raise for a connection that process *pid* opened."""
    return StoreUnavailable(
        f"A connection to {path} was opened by process {pid} and inherited by this one, "
        "which can't use the store any more",
        hint="Start another process. Fork with os.fork or multiprocessing, not in a signal "
        "handler and not while the disk hangs, or open the store only after the fork",
    )
