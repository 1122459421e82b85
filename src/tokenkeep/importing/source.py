"""What a source of tokens is, and what is common to those that are files."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokenkeep.importing.row import Row


class Source(ABC):
    """Tokens of the official SDK, which are only read."""

    kind: str
    """What it is, for people."""

    name: str
    """Where it is, for people; without a password."""

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """
        Yield the rows in order, from the first one each time, never holding them all.

        Each time the same ones: what others write meanwhile is not among
        them, or is an error.

        Raises:
            ConfigurationError: It is damaged, or was written meanwhile.
            StoreUnavailable: A server does not answer.
        """

    def close(self) -> None:
        """Let go of connections."""


class SourceFile(Source):
    """
    A file with tokens in it.

    Args:
        path: Where it is.
        client_id: Of rows that don't say theirs. None means that those can't
            be taken over.
    """

    def __init__(self, path: Path, client_id: str | None = None) -> None:
        self.path = path
        self.name: str = str(path)
        self._client_id = client_id
        self._stamp = self._look()

    def rows(self) -> Iterator[Row]:
        """See `Source.rows`."""
        self._expect_unchanged()
        with readable(self.path):
            yield from self._rows()
        self._expect_unchanged()

    @abstractmethod
    def _rows(self) -> Iterator[Row]:
        """Yield the rows of the file as it is now."""

    def _look(self) -> tuple[int, int, int]:
        with readable(self.path):
            found = self.path.stat()
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _expect_unchanged(self) -> None:
        if self._look() != self._stamp:
            raise changed(self.name)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what the operating system says about a file into our error."""
    try:
        yield
    except OSError as exc:
        raise ConfigurationError(
            f"{path} can't be read: {exc.strerror or os.strerror(exc.errno or 0)}",
            hint="Name a file that exists and that this user may read",
        ) from exc


def changed(name: str) -> ConfigurationError:
    """Return the error for a source that others write while it is read."""
    return ConfigurationError(
        f"{name} was written while it was read",
        hint="Stop the programs that use it, then try again",
    )


def foreign(path: Path, what: str) -> ConfigurationError:
    """Return the error for a file that holds no tokens of the SDK."""
    return ConfigurationError(
        f"{path} {what}",
        hint="What can be imported is the file of the official SDK's FileStore, the table of "
        "its DBStore (mysql://user@host/database), or the SQLite database of its sample",
    )
