"""
The connections of this process, and those that came to it by a fork.

An inherited one must not be used, nor closed: that would clean up files its
process still uses. Nor may another one be opened beside it. SQLite knows a
file's locks by process and believes that it holds the parent's, which no
child inherits; so the parent, closing, takes itself for the last and deletes
the write-ahead log that the child goes on writing.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from os import getpid
from typing import TYPE_CHECKING

from tokenkeep.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

_open: dict[sqlite3.Connection, tuple[Hashable, int]] = {}
"""The file and the process of each."""


def opened(db: sqlite3.Connection, file: Hashable) -> None:
    """
    Remember a connection until it is closed.

    Args:
        db: The connection.
        file: Which file, by device and inode. None for one in memory.
    """
    _open[db] = file, getpid()


def close(db: sqlite3.Connection) -> None:
    """Close a connection, unless it is another process's."""
    if _open[db][1] == getpid():
        del _open[db]
        with suppress(sqlite3.Error):
            db.close()


def refuse_inherited(path: Path, file: Hashable) -> None:
    """
    Make sure that this process has no connection to a file that it did not open.

    Raises:
        StoreUnavailable: It has, and always will.
    """
    for other, pid in list(_open.values()):
        if pid != getpid() and other == file:
            raise inherited(path, pid)


def inherited(path: Path, pid: int) -> StoreUnavailable:
    """Return the error to raise for a connection that process *pid* opened."""
    return StoreUnavailable(
        f"A connection to {path} was opened by process {pid} and inherited by this one, "
        "which can't use the store any more",
        hint="Start another process. Fork with os.fork or multiprocessing, not in a signal "
        "handler and not while the disk hangs, or open the store only after the fork",
    )
