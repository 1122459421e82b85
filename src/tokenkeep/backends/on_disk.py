"""What is true of every store in one file of this machine: where it is, and what is said of it."""

from __future__ import annotations

import os
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from tokenkeep.backends.forks import ForkSafe
from tokenkeep.backends.urls import StoreURL
from tokenkeep.errors import ConfigurationError, StoreForeign, StoreTooNew, StoreUnavailable

if TYPE_CHECKING:
    from typing import Self

_IMPORT = (
    "If it holds the tokens of the Zoho SDK, take them over with `tokenkeep import FILE`; "
    "else name another file"
)
_OTHERS = {"sqlite": b"SQLite format 3\0", "file": b'{"tokenkeep"'}
"""How a file of each kind begins."""

_DAY = 86400.0


class OnDisk(ForkSafe):
    """The file of a store; arguments and errors are those of `SQLiteBackend`."""

    embedded = True

    def __init__(self, path: str | Path, *, busy_timeout: float = 5.0) -> None:
        if not 0 <= busy_timeout <= _DAY:
            raise ConfigurationError("busy_timeout is a number of seconds from 0 to 86400")
        super().__init__()
        self._path = Path(os.path.realpath(path))
        self.home: Path | None = self._path
        self._busy_timeout = busy_timeout
        self._begin()

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
    def _begin(self) -> None:
        """Look at what is there."""

    def _busy(self, waited: float) -> StoreUnavailable:
        """Return the error for another process that did not stop writing for so many seconds."""
        hint = "Another process is writing: try again"
        if not waited:
            return StoreUnavailable(f"{self._path} is busy", hint=hint)
        return StoreUnavailable(
            f"{self._path} was busy for {waited:g} seconds", hint=f"{hint}, or raise busy_timeout"
        )

    def _foreign(self, what: str, start: bytes = b"") -> StoreForeign:
        """Return the error for a file that is not ours: *what* it is, and how it begins."""
        hint = _IMPORT
        for scheme, mark in _OTHERS.items():
            if start.startswith(mark):
                what = f"is a file as is named by {scheme}:"
                hint = f"If it is a store of tokenkeep, write {scheme}:/// before its path. {hint}"
        return StoreForeign(f"{self._path} {what}; it is left as it is", hint=hint)

    def _expect_format(self, found: int, known: int) -> None:
        """Refuse what another tokenkeep has written in its own way."""
        if found > known:
            raise StoreTooNew(
                f"{self._path} was written by a newer tokenkeep (format {found})",
                hint="Upgrade tokenkeep",
            )
        if found < known:
            raise self._foreign(f"is in the format {found}, which no released tokenkeep had")
