"""What is true of every store in one file of this machine: where it is, and what is said of it."""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tokenkeep.backends import private_file
from tokenkeep.backends.forks import ForkSafe
from tokenkeep.backends.urls import StoreURL
from tokenkeep.errors import (
    ConfigurationError,
    StoreError,
    StoreForeign,
    StoreTampered,
    StoreTooNew,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

_Result = TypeVar("_Result")

_DAY = 86400.0
_FIRST, _LONGEST = 0.0003, 0.005
"""Between two tries while another process writes, which takes it less than one most often; in
seconds."""


class OnDisk(ForkSafe):
    """The file of a store; arguments and errors are those of `SQLiteBackend`."""

    embedded = True

    _faults: tuple[type[Exception], ...] = (OSError,)
    """What goes wrong with the file."""

    _was_there = False
    """Whether the file was seen, with something in it: then it has to stay."""

    def __init__(self, path: str | Path, *, busy_timeout: float = 5.0) -> None:
        if not 0 <= busy_timeout <= _DAY:
            raise ConfigurationError("busy_timeout is a number of seconds from 0 to 86400")
        super().__init__()
        self._path = Path(os.path.realpath(path))
        self.home: Path | None = self._path
        self._busy_timeout = busy_timeout

    @classmethod
    def from_url(cls, url: str) -> Self:
        """
        Open the file a URL names; a missing one is made with the first record.

        Args:
            url: Three slashes and a relative path, or four; option ``busy_timeout``, in seconds.

        Raises:
            ConfigurationError: The path or an option is missing or wrong.
            StoreError: As for the class.
        """
        parsed = StoreURL.parse(url)
        options = parsed.options({"busy_timeout": float})
        return cls(parsed.path(), **options)

    @abstractmethod
    def _explained(self, exc: Any, record_id: str | None) -> StoreError | None:
        """Return our error for one of *faults*. None if another process is just writing."""

    def _patiently(
        self, work: Callable[[], _Result], record_id: str | None = None, *, waits: bool = True
    ) -> _Result:
        """Do something alone; again while another process is busy, with the lock free then."""
        deadline, pause = None, _FIRST  # it costs nothing where nobody is in the way
        while True:
            try:
                return self._alone(work)
            except self._faults as exc:
                if error := self._explained(exc, record_id):
                    raise error from exc
                timeout, now = self._busy_timeout if waits else 0.0, time.monotonic()
                deadline = deadline or now + timeout
                if now >= deadline:
                    raise StoreUnavailable(
                        f"{self._path} was busy for {timeout:g} seconds",
                        hint="Another process is writing: try again, or raise busy_timeout",
                    ) from exc
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST)

    def _found(self) -> os.stat_result | None:
        """Return what is at the path. None if nothing is there, or in it, and never was."""
        try:
            found = private_file.look_at(self._path)
        except FileNotFoundError as exc:
            if self._was_there:
                raise self._gone() from exc
            if not self._path.parent.is_dir():
                raise
            return None
        self._was_there = self._was_there or found.st_size > 0
        return found if self._was_there else None

    def _gone(self) -> StoreUnavailable:
        """Return the error for a file that is no longer there; what is open is closed."""
        self._rest()
        return StoreUnavailable(
            f"{self._path} was deleted or replaced while it was in use",
            hint="Put it back. If that was on purpose, stop all processes that use it, "
            "delete its old -wal and -shm if it has any, and start again",
        )

    def _foreign(self, what: str) -> StoreForeign:
        return StoreForeign(
            f"{self._path} {what}; it is left as it is",
            hint="If it holds the tokens of the Zoho SDK, take them over with "
            "`tokenkeep import FILE`; else name another file",
        )

    def _damaged(self, what: str) -> StoreTampered:
        return StoreTampered(
            f"{self._path} {what}",
            hint="Put it back from a backup, or move it away and log in again",
        )

    def _expect_format(self, found: object, known: int) -> None:
        """Refuse what another tokenkeep has written in its own way."""
        if not isinstance(found, int) or found < known:
            raise self._foreign(f"is of a format that no tokenkeep has ({found!r:.20})")
        if found != known:
            raise StoreTooNew(
                f"{self._path} was written by a newer tokenkeep (format {found})",
                hint="Upgrade tokenkeep",
            )
