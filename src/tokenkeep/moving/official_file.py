"""The files of the official SDK, of every generation: its CSV files, and its sample's database."""

from __future__ import annotations

import csv
import os
import sqlite3
import stat
from abc import abstractmethod
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from tokenkeep.errors import ConfigurationError
from tokenkeep.moving.official import KNOWN, NEEDED, Defaults, OfficialSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_SQLITE = b"SQLite format 3\0"
"""The first bytes of a SQLite database (https://sqlite.org/fileformat2.html)."""

_TABLE = "oauthtoken"
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_LONGEST = 1_000_000
"""How many characters one value may have; more is a quote that was never closed."""


def open_source(
    path: Path, *, encoding: str | None = None, defaults: Defaults | None = None
) -> OfficialSource:
    """
    Find out what a file is: by its content, not its name.

    Args:
        path: The official SDK's CSV file, or its sample's SQLite database.
        encoding: Of a CSV file, e.g. ``cp1252``. None means UTF-8, or UTF-16
            with a byte order mark.
        defaults: What holds for rows that don't say it. None means `Defaults`.

    Raises:
        ConfigurationError: It is something else, or can't be read.
    """
    with _readable(path):
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigurationError(
                f"{path} is not a file", hint="Name the file that holds the tokens"
            )
        with path.open("rb") as file:
            head = file.read(len(_SQLITE))
    if head == _SQLITE:
        return _SQLiteFile(path, defaults or Defaults())
    encoding = encoding or _MARKS.get(head[:2], "utf-8-sig")
    return _CSVFile(path, encoding, defaults or Defaults())


class _File(OfficialSource):
    """A file whose columns are those of the SDK, in whatever order."""

    def __init__(self, path: Path, columns: Sequence[str], what: str, defaults: Defaults) -> None:
        super().__init__(str(path), columns, defaults)
        self.path = path
        if not NEEDED <= set(columns) <= KNOWN or len(set(columns)) != len(columns):
            raise ConfigurationError(
                f"{path} {what}",
                hint="What can be imported is the file of the official SDK's FileStore, the table "
                "of its DBStore (mysql://user@host/database), or its sample's SQLite database",
            )
        self._stamp = self._look()

    def lines(self) -> Iterator[tuple[int, Sequence[object]]]:
        """See `OfficialSource.lines`."""
        self._expect_unchanged()
        yield from self.values()
        self._expect_unchanged()

    @abstractmethod
    def values(self) -> Iterator[tuple[int, Sequence[object]]]:
        """Yield what is in the file now."""

    def _look(self) -> tuple[int, int, int]:
        with _readable(self.path):
            found = self.path.stat()
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _expect_unchanged(self) -> None:
        if self._look() != self._stamp:
            raise ConfigurationError(
                f"{self.path} was written while it was read",
                hint="Stop the programs that use it, then try again",
            )


class _CSVFile(_File):
    kind = "CSV file of the official SDK"

    def __init__(self, path: Path, encoding: str, defaults: Defaults) -> None:
        self.path = path
        self._encoding = encoding
        first: list[str] = next((values for _, values in self._lines()), [])
        what = "holds no tokens of the official SDK: its first line differs"
        super().__init__(path, _names(first), what if first else "is empty", defaults)

    def values(self) -> Iterator[tuple[int, Sequence[object]]]:
        # Two processes that start at once may both write the header.
        return (each for each in self._lines() if _names(each[1]) != self.columns)

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the lines that are not blank, with their numbers."""
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST))
        try:
            # Without newline="" a line break inside a token would be changed.
            with _readable(self.path), self.path.open(encoding=self._encoding, newline="") as file:
                # Strict: else a quote that was never closed hides all that follows.
                reader = csv.reader(file, strict=True)
                begins = 1
                for values in reader:
                    if any(values):
                        yield begins, values
                    begins = reader.line_num + 1
        except LookupError as exc:
            raise ConfigurationError(f"There is no encoding {self._encoding!r}") from exc
        except UnicodeError as exc:
            raise ConfigurationError(
                f"{self.path} is not text in {self._encoding.removesuffix('-sig')}",
                hint="Name its encoding with --encoding, e.g. cp1252 for a file of a Western "
                "European Windows",
            ) from exc
        except csv.Error as exc:
            raise ConfigurationError(
                f"{self.path} is damaged behind line {reader.line_num}: {exc}",
                hint="Mend or remove that line in a copy, and import the copy",
            ) from exc


class _SQLiteFile(_File):
    kind = "SQLite database of the official SDK's sample"

    def __init__(self, path: Path, defaults: Defaults) -> None:
        self.path = path
        for suffix in ("-journal", "-wal"):
            beside = path.with_name(path.name + suffix)
            if beside.exists() and beside.stat().st_size:
                raise ConfigurationError(
                    f"{path} is in use, or was when its program ended: {beside.name} holds "
                    "what is not in it yet",
                    hint="Stop the programs that use it; if none does, open it once with "
                    "the one that made it",
                )
        with self._open() as db:
            found = db.execute("SELECT name FROM pragma_table_info(?)", (_TABLE,)).fetchall()
        what = f"has no table {_TABLE} as the official SDK's sample makes it"
        super().__init__(path, [name.lower() for (name,) in found], what, defaults)

    def values(self) -> Iterator[tuple[int, Sequence[object]]]:
        names = ", ".join(self.columns)  # each of them one of those we know
        with self._open() as db:
            yield from enumerate(db.execute(f"SELECT {names} FROM {_TABLE} ORDER BY rowid"), 1)  # noqa: S608

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # mode=ro alone would make -wal and -shm files beside a database in WAL mode.
        uri = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(uri, uri=True)) as db:
                yield db
        except sqlite3.Error as exc:
            raise ConfigurationError(
                f"{self.path} can't be read: {exc}",
                hint="It is damaged; import a copy from a backup",
            ) from exc


def _names(values: Sequence[str]) -> list[str]:
    return [value.strip().lower() for value in values]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what the operating system says about a file into our error."""
    try:
        yield
    except OSError as exc:
        raise ConfigurationError(
            f"{path} can't be read: {exc.strerror or os.strerror(exc.errno or 0)}",
            hint="Name a file that exists and that this user may read",
        ) from exc
