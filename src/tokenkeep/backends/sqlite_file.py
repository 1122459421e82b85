"""The file that holds a SQLite database: that it is there, and still the same one."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from tokenkeep.backends import private_file
from tokenkeep.errors import StoreUnavailable

if TYPE_CHECKING:
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
