"""The files of the official SDK, of every generation: its CSV files, and its sample's database."""

from __future__ import annotations

import csv
import os
import sqlite3
import stat
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from tokenkeep.errors import ConfigurationError
from tokenkeep.moving.sources import Defaults, OfficialSource, Row
from tokenkeep.token import Token

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

HEADERS = (
    # zohocrmsdk5_0 to 8_0
    (
        "id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,"
        "expiry_time,redirect_uri,api_domain"
    ),
    # zohocrmsdk2_0 from 6.0.0, zohocrmsdk2_1
    (
        "id,user_mail,client_id,client_secret,refresh_token,access_token,grant_token,"
        "expiry_time,redirect_uri"
    ),
    # zcrmsdk 3.x, zohocrmsdk2_0 1.0.0
    "user_mail,client_id,refresh_token,access_token,grant_token,expiry_time",
)
"""The first line of each generation's CSV file."""

_OTHER_NAMES = {"user_name": "user", "user_mail": "user", "redirect_url": "redirect_uri"}
_KNOWN = {*HEADERS[0].split(","), *_OTHER_NAMES}
_NEEDED = {"client_id", "refresh_token", "access_token", "expiry_time"}
_FIRST = {
    "useridentifier": "user_mail",
    "accesstoken": "access_token",
    "refreshtoken": "refresh_token",
    "expirytime": "expiry_time",
}
"""The columns of zcrmsdk 1 and 2, which know no client -> what they are called since."""

_NOTHING = {("expiry_time", "None"), ("grant_token", "null")}
"""What older generations write where there is nothing."""

_YEAR_5138 = 10**14
"""In epoch milliseconds; what is more is no time."""

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
        return _SQLiteFile(path, defaults)
    return _CSVFile(path, defaults, encoding or _MARKS.get(head[:2], "utf-8-sig"))


# What is in the columns


def of_table(columns: Sequence[str]) -> dict[str, str]:
    """
    Return which columns of a table to read, and what they are called here.

    What people have added to the table is left out.

    Returns:
        Empty if it is not a table of the SDK, of whichever generation.
    """
    found = {name: name.lower() for name in columns if name.lower() in _KNOWN}
    if set(found.values()) >= _NEEDED:
        return found
    first = {name: _FIRST[name.lower()] for name in columns if name.lower() in _FIRST}
    return first if set(first.values()) == set(_FIRST.values()) else {}


def row_of(
    number: int, columns: Sequence[str], values: Sequence[object], client_id: str | None
) -> Row:
    """
    Return what a row holds.

    Args:
        number: Where it is.
        columns: What they are called here.
        values: As many, as a driver returns them; empty texts count as None.
        client_id: Of a row that does not say its own. None means that its
            refresh token is of no use.
    """
    found = {
        _OTHER_NAMES.get(name, name): None if (name, value) in _NOTHING else str(value)
        for name, value in zip(columns, values, strict=True)
        if value not in (None, "")
    }
    expiry = found.pop("expiry_time", None)
    expires_at = _seconds(expiry)
    token = Token(**{"client_id": client_id} | found, provider="zoho", expires_at=expires_at)  # type: ignore[arg-type]  # text fields only
    problem = None
    if any(isinstance(value, bytes) for value in values):
        problem = "it holds bytes where text belongs"
    elif not (token.access_token or token.refresh_token or token.grant_token):
        problem = "it holds no token"
    elif token.refresh_token and not token.client_id:
        problem = "its refresh token has no client_id, so nobody could renew with it: --client-id"
    elif expiry and expires_at is None:
        problem = "its expiry_time is no time"
    return Row(number=number, token=Token(id=token.id) if problem else token, problem=problem)


def _seconds(milliseconds: str | None) -> float | None:
    """Return epoch milliseconds as epoch seconds. None if that is not what it is."""
    text = (milliseconds or "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(_YEAR_5138)):
        return None
    return int(text) / 1000 if int(text) < _YEAR_5138 else None


# Files


class _File(OfficialSource):
    def __init__(self, path: Path, defaults: Defaults | None) -> None:
        super().__init__(str(path), defaults or Defaults())
        self.path = path
        self._stamp = self._look()

    def _look(self) -> tuple[int, int, int]:
        with _readable(self.path):
            found = self.path.stat()
        return found.st_mtime_ns, found.st_ino, found.st_size

    def expect_unchanged(self) -> None:
        if self._look() != self._stamp:
            raise ConfigurationError(
                f"{self.name} was written while it was read",
                hint="Stop the programs that use it, then try again",
            )

    def expect_ours(self, columns: Sequence[str], what: str) -> None:
        """Refuse a file whose columns are not those of the SDK, in whatever order."""
        if not _NEEDED <= set(columns) <= _KNOWN or len(set(columns)) != len(columns):
            raise self.foreign(what)

    def foreign(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self.path} {what}",
            hint="What can be imported is the file of the official SDK's FileStore, the table of "
            "its DBStore (mysql://user@host/database), or the SQLite database of its sample",
        )


class _CSVFile(_File):
    kind = "CSV file of the official SDK"

    def __init__(self, path: Path, defaults: Defaults | None, encoding: str) -> None:
        super().__init__(path, defaults)
        self._encoding = encoding
        first: list[str] = next((values for _, values in self._lines()), [])
        self._header = [name.strip().lower() for name in first]
        if not first:
            raise self.foreign("is empty")
        self.expect_ours(
            self._header, "holds no tokens of the official SDK: its first line differs"
        )

    def read(self) -> Iterator[Row]:
        self.expect_unchanged()
        lines = self._lines()
        next(lines)
        for number, values in lines:
            if len(values) != len(self._header):
                problem = f"it has {len(values)} columns, not {len(self._header)}"
                yield Row(number=number, token=Token(), problem=problem)
            # Two processes that start at once may both write the header.
            elif [value.strip().lower() for value in values] != self._header:
                yield row_of(number, self._header, values, self.defaults.client_id)
        self.expect_unchanged()

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

    def __init__(self, path: Path, defaults: Defaults | None) -> None:
        super().__init__(path, defaults)
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
        self._columns = [name.lower() for (name,) in found]
        if not found:
            raise self.foreign(f"is a SQLite database without a table {_TABLE}")
        self.expect_ours(self._columns, f"has a table {_TABLE}, but not that of the official SDK")

    def read(self) -> Iterator[Row]:
        self.expect_unchanged()
        names = ", ".join(self._columns)  # each of them one of those we know
        with self._open() as db:
            cursor = db.execute(f"SELECT {names} FROM {_TABLE} ORDER BY rowid")  # noqa: S608
            for number, values in enumerate(cursor, 1):
                yield row_of(number, self._columns, values, self.defaults.client_id)
        self.expect_unchanged()

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
