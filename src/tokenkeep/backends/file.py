"""Sealed tokens in one JSON file: for few tokens, and people who like to see the file."""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from base64 import b64decode, b64encode
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

# Not in the function: what it does around forks has to be known when `ForkSafe` registers.
from filelock import FileLock, Timeout

from tokenkeep.backends import private_file
from tokenkeep.backends.base import Backend, Record
from tokenkeep.backends.forks import ForkSafe
from tokenkeep.backends.memory import Table
from tokenkeep.backends.patience import tries
from tokenkeep.backends.rows import COLUMNS
from tokenkeep.backends.urls import StoreURL
from tokenkeep.errors import (
    ConfigurationError,
    StoreConflict,
    StoreForeign,
    StoreTampered,
    StoreTooNew,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from typing import Self

    from tokenkeep.backends.base import Due, Mark

_Result = TypeVar("_Result")

_VERSION = 2
"""The value of ``tokenkeep`` at the top of the file: how the rest looks."""

_TYPES: dict[str, type | tuple[type, ...]] = {
    "key": int,
    "due_at": (int, float),
    "last_used_at": (int, float),
}
"""Of the fields that are not texts."""

_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Without waiting, should the path be a pipe."""


class _Replaced(Exception):
    """The lock that is held is not the one that others will take."""


def _stamp(found: os.stat_result) -> tuple[int, int, int]:
    """Return what tells one state of the file from the next."""
    return found.st_mtime_ns, found.st_ino, found.st_size


class FileBackend(ForkSafe, Backend):
    """
    Serve all processes of one machine, and rewrite the whole file at each save.

    The file is never changed in place: a new one is written beside it
    (``<path>.tmp``), put on disk and moved over it, while ``<path>.lock`` is
    held; a save under which that one is deleted or replaced starts over.
    Readers need no lock. A symbolic link is followed, not replaced.

    Args:
        path: The file. Created with mode 0600 if missing; one that others
            may read is tightened.
        busy_timeout: How long to wait while another process writes, in seconds.
        make: As for `SQLiteBackend`.

    Raises:
        StoreUnavailable: *path* can't be read or written, or not be kept from others.
        StoreForeign: It is something else than a file of tokenkeep.
        StoreTampered: It is one, but damaged.
        StoreTooNew: A newer tokenkeep wrote it.
        ConfigurationError: *busy_timeout* is negative or above a day.
    """

    embedded = True

    def __init__(self, path: str | Path, *, busy_timeout: float = 5.0, make: bool = True) -> None:
        if not 0 <= busy_timeout <= 86400:  # noqa: PLR2004 - a day
            raise ConfigurationError("busy_timeout is a number of seconds from 0 to 86400")
        super().__init__()
        self._path = Path(os.path.realpath(path))
        self.home: Path | None = self._path
        self._busy_timeout = busy_timeout
        self._lock_file = f"{self._path}.lock"
        self._held: os.stat_result | None = None
        self._commits = 0
        self._loaded: tuple[Hashable, Table] | None = None
        if make and self._is_unmade():
            self._locked(self._make, busy_timeout)
        self._load()

    @classmethod
    def from_url(cls, url: str) -> Self:
        """
        Open the file a URL names; a missing one is made with the first record.

        Args:
            url: ``file:///relative.json`` or ``file:////absolute.json``;
                option ``busy_timeout``, in seconds.

        Raises:
            ConfigurationError: The path or an option is missing or wrong.
            StoreError: As for the class.
        """
        parsed = StoreURL.parse(url)
        options = parsed.options({"busy_timeout": float})
        return cls(parsed.path(), make=False, **options)

    def read(self, record_id: str) -> Record | None:
        return self._load().read(record_id)

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        return self._load().find(marks)

    def write(self, record: Record, *, replaces: str | None) -> None:
        def write(table: Table) -> None:
            table.write(record, replaces=replaces)

        self._change(write, make=replaces is None)

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        return self._change(lambda table: table.delete(record_id, replaces=replaces))

    def touch(self, record_id: str, last_used_at: float) -> None:
        self._change(lambda table: table.touch(record_id, last_used_at), timeout=0)

    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        return self._load().scan(after, limit, mark=mark)

    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        return self._load().due(before, limit, after=after)

    def clear(self) -> int:
        return self._change(lambda table: table.clear())

    def revision(self) -> Hashable:
        if self._is_unmade():
            return None, self._commits
        try:
            return _stamp(self._path.stat()), self._commits
        except OSError as exc:
            self._refuse(exc)

    def describe(self) -> str:
        return f"the file {self._path}"

    def close(self) -> None:
        self._loaded = None

    # Reading

    def _load(self) -> Table:
        """Return what is in the file now. Not to be changed: readers share it."""
        if self._is_unmade():
            return Table()
        loaded = self._loaded
        try:
            if loaded and loaded[0] == _stamp(self._path.stat()):
                return loaded[1]
            with open(os.open(self._path, _OPEN), "rb") as file:  # noqa: PTH123 - O_NONBLOCK
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    raise StoreUnavailable(f"{self._path} is not a file", hint="Name a file")
                content = file.read()
        except OSError as exc:
            self._refuse(exc)
        try:
            table = Table(self._parse(content))
        except StoreConflict as exc:
            raise self._damaged("holds two records for the same thing") from exc
        private_file.tighten(self._path)
        self._loaded = _stamp(found), table
        return table

    def _parse(self, content: bytes) -> Iterator[Record]:
        if content.startswith(b"SQLite format 3"):
            raise private_file.foreign(self._path, "is a SQLite database, named by sqlite:")
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as exc:
            if content and not content.startswith(b'{"tokenkeep"'):
                raise self._foreign() from exc
            raise self._damaged("is cut off or garbled") from exc
        if not isinstance(document, dict) or "tokenkeep" not in document:
            raise self._foreign()
        version = document["tokenkeep"]
        if not isinstance(version, int) or version < 1:
            raise self._damaged("has no format version")
        if version > _VERSION:
            raise StoreTooNew(
                f"{self._path} was written by a newer tokenkeep (format {version})",
                hint="Upgrade tokenkeep",
            )
        if version < _VERSION:
            raise private_file.foreign(
                self._path, f"is in the format {version}, which no released tokenkeep had"
            )
        try:
            yield from map(_decode, document["records"])
        except (KeyError, TypeError, ValueError) as exc:
            raise self._damaged("holds something that is no record") from exc

    # Writing

    def _make(self) -> None:
        if self._is_unmade():
            self._save(Table())

    def _is_unmade(self) -> bool:
        """Tell whether there is no file, or an empty one, and never was another."""
        if self._loaded is not None:
            return False
        try:
            found = self._path.stat()
        except OSError as exc:
            if exc.errno == errno.ENOENT and self._path.parent.is_dir():
                return True
            self._refuse(exc)
        return stat.S_ISREG(found.st_mode) and not found.st_size

    def _change(
        self, work: Callable[[Table], _Result], *, timeout: float | None = None, make: bool = False
    ) -> _Result:
        """
        Let *work* change a table, and save it if it did; nobody else writes meanwhile.

        Args:
            work: Changes the table that it is given.
            timeout: How long to try, in seconds. None means the busy timeout.
            make: Whether it makes the file if there is none.
        """

        def change() -> _Result:
            table = self._load().copy()
            before = table.commits
            result = work(table)
            if table.commits != before:
                self._save(table)
            return result

        if not make and self._is_unmade():
            return work(Table())
        return self._locked(change, self._busy_timeout if timeout is None else timeout)

    def _locked(self, work: Callable[[], _Result], timeout: float) -> _Result:
        for _ in tries(timeout):
            with suppress(_Replaced):
                if done := self._alone(lambda: self._if_free(work)):
                    return done[0]
        raise private_file.busy(self._path, timeout)

    def _if_free(self, work: Callable[[], _Result]) -> tuple[_Result] | None:
        """
        Return what *work* does with the lock held. None if another process has it.

        Raises:
            _Replaced: The lock file was deleted or replaced; nothing was done.
        """
        # A new object each time: one that a child inherits refuses to work.
        lock = FileLock(self._lock_file, timeout=0, mode=0o600, on_acquired=self._hold)
        try:
            self._path.parent.stat()  # FileLock would make a missing folder
            try:
                lock.acquire()
            except Timeout:
                return None
            return (work(),)
        except OSError as exc:
            self._refuse(exc)
        finally:
            lock.release()  # also if a signal handler raised with the lock just taken

    def _hold(self, descriptor: int) -> None:
        self._held = os.fstat(descriptor)

    def _expect_lock(self) -> None:
        """Make sure that whoever comes now finds the very lock that is held."""
        try:
            found = os.lstat(self._lock_file)
        except FileNotFoundError:
            raise _Replaced from None
        if self._held is None or not os.path.samestat(found, self._held):
            raise _Replaced

    def _save(self, table: Table) -> None:
        """Replace the file by one with these records, on disk when this returns."""
        aside = self._path.with_name(f"{self._path.name}.tmp")
        # Only who holds the lock writes it: one that is there is of a process that died.
        aside.unlink(missing_ok=True)
        if not private_file.create(aside):
            self._expect_lock()
            raise StoreUnavailable(f"{aside} is in the way", hint="Delete it")
        try:
            with aside.open("r+b") as file:
                file.write(_encode(table))
                file.flush()
                self._date(file.fileno())
                os.fsync(file.fileno())
                written = os.fstat(file.fileno())
            self._expect_lock()
            self._commits += 1
            aside.replace(self._path)
        except _Replaced:
            raise  # what is there now may be what the next holder writes
        except BaseException:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise
        self._loaded = _stamp(written), table
        private_file.sync_folder(self._path)

    def _date(self, descriptor: int) -> None:
        """
        Make the new file younger than the one it replaces, and its owner the same.

        The clock of a file system ticks every few milliseconds and inodes are
        used again, so two states could look the same.
        """
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

    def _foreign(self) -> StoreForeign:
        return private_file.foreign(self._path, "was not written by tokenkeep")

    def _damaged(self, what: str) -> StoreTampered:
        return StoreTampered(
            f"{self._path} {what}",
            hint="Put it back from a backup, or move it away and log in again",
        )


def _encode(table: Table) -> bytes:
    """Return the file for these records: one a line, without what is None."""
    lines = []
    for record in table:
        values: dict[str, Any] = {name: getattr(record, name) for name in COLUMNS}
        values["sealed"] = b64encode(record.sealed).decode()
        lines.append(json.dumps({name: v for name, v in values.items() if v is not None}))
    records = ",\n".join(lines)
    return f'{{"tokenkeep": {_VERSION}, "records": [\n{records}\n]}}\n'.encode()


def _decode(values: object) -> Record:
    """
    Return a record of the file.

    Raises:
        KeyError, TypeError, ValueError: It is not one.
    """
    if not isinstance(values, dict):
        raise TypeError(values)
    for name, value in values.items():
        if not isinstance(value, _TYPES.get(name, str)):
            raise TypeError(name)
    return Record(**{**values, "sealed": b64decode(values["sealed"], validate=True)})
