"""Sealed tokens in one JSON file: for few tokens, and people who like to see the file."""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import IO, TYPE_CHECKING, TypeVar

from tokenkeep.backends import private_file
from tokenkeep.backends.memory import Table, TableBackend
from tokenkeep.backends.on_disk import OnDisk
from tokenkeep.backends.rows import from_values, to_values

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_Result = TypeVar("_Result")
_Stamp = tuple[int, ...]
"""What tells one state of the file from the next. Empty if there is none."""

_VERSION = 2
"""The value of ``tokenkeep`` at the top of the file: how the rest looks."""


def _stamp(found: os.stat_result | None) -> _Stamp:
    return (found.st_mtime_ns, found.st_ino, found.st_size) if found else ()


class FileBackend(OnDisk, TableBackend):
    """
    Serve all processes of one machine, and rewrite the whole file at each save.

    The file is never changed in place: a new one is written beside it
    (``<path>.tmp``), put on disk and moved over it, while the old one is
    locked (``flock``). Readers need no lock. A symbolic link is followed, not
    replaced.

    Args:
        path: The file. A missing one is created, with mode 0600, by the first
            record; one that others may read is tightened.
        busy_timeout: How long to wait while another process writes, in seconds.

    Raises:
        StoreUnavailable: *path* can't be read or written, or not be kept from others.
        StoreForeign: It is something else than a file of tokenkeep.
        StoreTampered: It is one, but damaged.
        StoreTooNew: A newer tokenkeep wrote it.
        ConfigurationError: *busy_timeout* is negative or above a day.
    """

    def __init__(self, path: str | Path, *, busy_timeout: float = 5.0) -> None:
        self._loaded: tuple[_Stamp, Table] = (), Table()
        super().__init__(path, busy_timeout=busy_timeout)
        self._look(iter)

    def revision(self) -> _Stamp:
        return self._patiently(lambda: _stamp(self._found()))

    def describe(self) -> str:
        return f"the file {self._path}"

    def close(self) -> None:
        self._loaded, self._was_there = ((), Table()), False

    def _look(self, work: Callable[[Table], _Result]) -> _Result:
        return self._patiently(lambda: work(self._table()))

    def _change(self, work: Callable[[Table], _Result], *, waits: bool = True) -> _Result:
        return self._patiently(lambda: self._changed(work), waits=waits)

    def _explained(self, exc: OSError, record_id: str | None) -> None:
        del record_id
        if not isinstance(exc, BlockingIOError):
            private_file.refuse(self._path, exc)

    # From here on, the lock is held.

    def _table(self) -> Table:
        """Return what is in the file now. Not to be changed."""
        if _stamp(self._found()) != self._loaded[0]:
            with self._path.open("rb") as file:
                stamp = _stamp(os.fstat(file.fileno()))
                table = self._parsed(file.read())
            private_file.tighten(self._path)
            self._loaded = stamp, table
        return self._loaded[1]

    def _parsed(self, content: bytes) -> Table:
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as exc:
            if not content or content.startswith(b'{"tokenkeep"'):
                raise self._damaged("is cut off or garbled") from exc
            document = None
        if not isinstance(document, dict) or "tokenkeep" not in document:
            raise self._foreign("was not written by tokenkeep")
        self._expect_format(document["tokenkeep"], _VERSION)
        try:
            return Table(map(from_values, document["records"]))
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise self._damaged("holds what is no record") from exc

    def _changed(self, work: Callable[[Table], _Result]) -> _Result:
        if self._found() is None:
            nothing = Table()
            result = work(nothing)
            if not nothing.commits:
                return result
            private_file.create(self._path)
        with self._path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(file.fileno()), self._path.stat()):
                raise BlockingIOError  # another process has just replaced it
            table = self._table().copy()
            before = table.commits
            result = work(table)
            if table.commits != before:
                self._save(table, file)
            return result

    def _save(self, table: Table, old: IO[bytes]) -> None:
        """Replace the file by one with these records, on disk when this returns."""
        aside = self._path.with_name(f"{self._path.name}.tmp")
        # Only who holds the lock writes it: one that is there is of a save that was cut off.
        aside.unlink(missing_ok=True)
        with private_file.written(aside) as file:
            file.write(_encoded(table))
            file.flush()
            was = os.fstat(old.fileno())
            # Younger, or two states might look the same: the clock of a file system ticks
            # every few milliseconds, and inodes are used again.
            now = max(time.time_ns(), was.st_mtime_ns + 1)
            os.utime(file.fileno(), ns=(now, now))
            if os.geteuid() == 0:
                os.fchown(file.fileno(), was.st_uid, was.st_gid)
        stamp = _stamp(aside.stat())
        aside.replace(self._path)
        self._loaded, self._was_there = (stamp, table), True
        private_file.sync_folder(self._path)


def _encoded(table: Table) -> bytes:
    """Return the file for these records: one a line."""
    records = ",\n".join(json.dumps(to_values(record)) for record in table)
    return f'{{"tokenkeep": {_VERSION}, "records": [\n{records}\n]}}\n'.encode()
