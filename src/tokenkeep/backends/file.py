"""Sealed tokens in one JSON file: for few tokens, and people who like to see the file."""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn, TypeVar

# Not in the function: what it does around forks has to be known when `ForkSafe` registers.
from filelock import FileLock, Timeout

from tokenkeep.backends import private_file
from tokenkeep.backends.memory import Table, TableBackend
from tokenkeep.backends.on_disk import OnDisk
from tokenkeep.backends.rows import from_values, to_values
from tokenkeep.backends.waiting import tries
from tokenkeep.errors import StoreConflict, StoreTampered, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_Result = TypeVar("_Result")

_VERSION = 2
"""The value of ``tokenkeep`` at the top of the file: how the rest looks."""

_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Without waiting, should the path be a pipe."""


class _Busy(Exception):
    """Another process has the lock, or the one that is held is not what others will take."""


def _stamp(found: os.stat_result) -> tuple[int, int, int]:
    """Return what tells one state of the file from the next."""
    return found.st_mtime_ns, found.st_ino, found.st_size


class FileBackend(OnDisk, TableBackend):
    """
    Serve all processes of one machine, and rewrite the whole file at each save.

    The file is never changed in place: a new one is written beside it
    (``<path>.tmp``), put on disk and moved over it, while ``<path>.lock`` is
    held; a save under which that one is deleted or replaced starts over.
    Readers need no lock. A symbolic link is followed, not replaced.

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

    def _begin(self) -> None:
        self._lock_file = f"{self._path}.lock"
        self._held: os.stat_result
        self._loaded: tuple[Hashable, Table] | None = None
        self._load()

    def revision(self) -> Hashable:
        return self._state()

    def describe(self) -> str:
        return f"the file {self._path}"

    def close(self) -> None:
        self._loaded = None

    # Reading

    def _look(self, work: Callable[[Table], _Result]) -> _Result:
        return work(self._load())

    def _state(self) -> tuple[int, ...]:
        """Return the state of the file; an empty one if there is nothing in it, and never was."""
        try:
            found = self._path.stat()
        except FileNotFoundError as exc:
            if self._loaded is None and self._path.parent.is_dir():
                return ()
            self._refuse(exc)
        except OSError as exc:
            self._refuse(exc)
        if self._loaded is None and stat.S_ISREG(found.st_mode) and not found.st_size:
            return ()
        return _stamp(found)

    def _load(self) -> Table:
        """Return what is in the file now. Not to be changed: readers share it."""
        state = self._state()
        if not state:
            return Table()
        loaded = self._loaded
        if loaded and loaded[0] == state:
            return loaded[1]
        try:
            with open(os.open(self._path, _OPEN), "rb") as file:  # noqa: PTH123 - O_NONBLOCK
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    private_file.refuse_other(self._path)
                content = file.read()
        except OSError as exc:
            self._refuse(exc)
        table = self._parsed(content)
        private_file.tighten(self._path)
        self._loaded = _stamp(found), table
        return table

    def _parsed(self, content: bytes) -> Table:
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as exc:
            if not content or content.startswith(b'{"tokenkeep"'):
                raise self._damaged("is cut off or garbled") from exc
            document = None
        if not isinstance(document, dict) or "tokenkeep" not in document:
            raise self._foreign("was not written by tokenkeep", content)
        if not isinstance(document["tokenkeep"], int):
            raise self._damaged("has no format version")
        self._expect_format(document["tokenkeep"], _VERSION)
        try:
            return Table(map(from_values, document["records"]))
        except (StoreConflict, KeyError, TypeError, ValueError) as exc:
            raise self._damaged("holds what is no record, or two for the same thing") from exc

    # Writing

    def _change(
        self, work: Callable[[Table], _Result], *, waits: bool = True, makes: bool = False
    ) -> _Result:
        def change() -> _Result:
            table = self._load().copy()
            before = table.commits
            result = work(table)
            if table.commits != before:
                self._save(table)
            return result

        if not makes and not self._state():
            return work(Table())
        return self._locked(change, waits=waits)

    def _locked(self, work: Callable[[], _Result], *, waits: bool = True) -> _Result:
        timeout = self._busy_timeout if waits else 0
        for _ in tries(timeout):
            with suppress(_Busy):
                return self._alone(lambda: self._with_lock(work))
        raise self._busy(timeout)

    def _with_lock(self, work: Callable[[], _Result]) -> _Result:
        """Return what *work* does with the lock held. `_Busy` if nothing was done."""
        # A new object each time: one that a child inherits refuses to work.
        held: list[int] = []
        lock = FileLock(self._lock_file, timeout=0, mode=0o600, on_acquired=held.append)
        try:
            self._path.parent.stat()  # FileLock would make a missing folder
            lock.acquire()
            self._held = os.fstat(held[0])
            return work()
        except Timeout:
            raise _Busy from None
        except OSError as exc:
            self._refuse(exc)
        finally:
            lock.release()  # also if a signal handler raised with the lock just taken

    def _save(self, table: Table) -> None:
        """Replace the file by one with these records, on disk when this returns."""
        aside = self._path.with_name(f"{self._path.name}.tmp")
        # Only who holds the lock writes it: one that is there is of a save that was cut off.
        aside.unlink(missing_ok=True)
        if not private_file.create(aside):
            raise _Busy
        with aside.open("r+b") as file:
            file.write(_encoded(table))
            file.flush()
            self._date(file.fileno())
            os.fsync(file.fileno())
            written = os.fstat(file.fileno())
        # Whoever comes now has to find the very lock that is held.
        is_held = False
        with suppress(FileNotFoundError):
            is_held = os.path.samestat(os.lstat(self._lock_file), self._held)
        if not is_held:
            raise _Busy
        aside.replace(self._path)
        self._loaded = _stamp(written), table
        private_file.sync_folder(self._path)

    def _date(self, descriptor: int) -> None:
        """Make the new file younger than the one it replaces, and its owner the same."""
        # The clock of a file system ticks every few milliseconds and inodes are
        # used again, so two states could look the same.
        try:
            old = self._path.stat()
        except FileNotFoundError:
            return
        now = max(time.time_ns(), old.st_mtime_ns + 1)
        os.utime(descriptor if os.utime in os.supports_fd else f"{self._path}.tmp", ns=(now, now))
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            os.fchown(descriptor, old.st_uid, old.st_gid)

    # Errors

    def _refuse(self, exc: OSError) -> NoReturn:
        if exc.errno == errno.ENOENT and self._path.parent.is_dir():
            raise StoreUnavailable(
                f"{self._path} is gone",
                hint="Put it back; a new process starts with an empty one",
            ) from exc
        private_file.refuse(self._path, exc)

    def _damaged(self, what: str) -> StoreTampered:
        return StoreTampered(
            f"{self._path} {what}",
            hint="Put it back from a backup, or move it away and log in again",
        )


def _encoded(table: Table) -> bytes:
    """Return the file for these records: one a line."""
    records = ",\n".join(json.dumps(to_values(record)) for record in table)
    return f'{{"tokenkeep": {_VERSION}, "records": [\n{records}\n]}}\n'.encode()
