"""The official SDK's stores, of every generation: its files, what they hold, which row counts."""

from __future__ import annotations

import csv
import json
import os
import re
import secrets
import sqlite3
import stat
from abc import abstractmethod
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from tokenkeep import saving
from tokenkeep.errors import ConfigurationError, LookupFailed
from tokenkeep.lookup import credentials, require_sendable, trimmed
from tokenkeep.moving import zcrm_pickle
from tokenkeep.moving.sources import Row, Source
from tokenkeep.providers import Place
from tokenkeep.token import Token

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tokenkeep.providers import Providers

_SAME = (
    *("id", "client_id", "client_secret", "refresh_token", "access_token", "grant_token"),
    *("redirect_uri", "api_domain"),
)
FIELDS = {name: name for name in _SAME} | {
    "user_name": "user",
    "user_mail": "user",
    "expiry_time": "expires_at",
    "redirect_url": "redirect_uri",
    # zcrmsdk 1 and 2, which know no client
    "useridentifier": "user",
    "accesstoken": "access_token",
    "refreshtoken": "refresh_token",
    "expirytime": "expires_at",
    "useremail": "user",
}
"""What columns are called, by whichever generation -> the field of a token."""

_NEEDED = {"user", "refresh_token", "access_token", "expires_at"}
_NOTHING = {("expires_at", "None"), ("grant_token", "null")}
"""What older generations write where there is nothing."""

_SQLITE = b"SQLite format 3\0"
"""The first bytes of a SQLite database (https://sqlite.org/fileformat2.html)."""

_TABLE = "oauthtoken"
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_LONGEST = 1_000_000
"""How many characters one value may have; more is a quote that was never closed."""

_KEEP_BEST = """
    INSERT INTO best VALUES (?, ?, ?) ON CONFLICT (thing) DO UPDATE
    SET rank = excluded.rank, name = excluded.name
    WHERE (excluded.rank, excluded.name) > (rank, name)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """
    What holds for the rows of older generations of the SDK, which don't say it.

    Args:
        client_id: None means that a row's refresh token is of no use.
        data_center: Such as ``us``. None means that such a row is an error.
        environment: Such as ``production``.
    """

    client_id: str | None = None
    data_center: str | None = None
    environment: str = "production"


def open_source(
    path: Path, *, encoding: str | None = None, defaults: Defaults | None = None
) -> OfficialSource:
    """
    Find out what a file is: by its content, not its name.

    Args:
        path: The official SDK's CSV file, its pickle, or its sample's SQLite database.
        encoding: Of a CSV file or a pickle of Python 2, e.g. ``cp1252``. None
            means UTF-8, or UTF-16 with a byte order mark.
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
    if zcrm_pickle.BEGINS.match(head):
        return _PickleFile(path, encoding or "utf-8", defaults or Defaults())
    encoding = encoding or _MARKS.get(head[:2], "utf-8-sig")
    return _CSVFile(path, encoding, defaults or Defaults())


class OfficialSource(Source):
    """
    The tokens of a store of the official SDK's.

    It is read once before the first row is yielded, so a damaged one is
    refused whole. Of several rows of one user, or with one credential, the
    last one with a refresh token counts, and the others are left out.

    Args:
        name: Where it is, for people; without a password.
        columns: Of those that are read, the names and the fields of a token, see `fields_of`.
        defaults: What holds for rows that don't say it.
    """

    kind: str
    """What it is, for people."""

    total: int = 0
    """How many rows there are, once the first one is yielded."""

    def __init__(self, name: str, columns: Mapping[str, str], defaults: Defaults) -> None:
        self.name = name
        self.columns = columns
        self.defaults = defaults

    @abstractmethod
    def lines(self) -> Iterator[tuple[int, Sequence[object]]]:
        """
        Yield each row's number and its values: the same ones each time, from the first one on.

        Later ones have higher numbers.
        """

    def close(self) -> None:
        """Let go of connections."""

    def rows(self, now: float, providers: Providers) -> Iterator[Row]:
        """See `Source.rows`."""
        self.total = 0
        with closing(Best()) as best:
            for row in self._read(providers):
                self.total += 1
                rank = 2 * bool(row.token.user) + bool(row.token.refresh_token)
                best.add(_things(row.token), rank, row.number)
            for row in self._read(providers):
                # One that names its user counts, whoever else has its credentials.
                asked = _things(row.token)[: 1 if row.token.user else None]
                counts = next((each for each in map(best.of, asked) if each != row.number), None)
                if counts is not None:
                    yield replace(row, problem=f"row {counts} is the same, and counts")
                    continue
                # Where it comes from it may go on being used, whatever grant it came of.
                token = row.token.with_renewal(given=True)
                first = saving.first(token, login=secrets.token_hex(16), now=now)
                yield replace(row, token=first.but(id=token.id))

    def _read(self, providers: Providers) -> Iterator[Row]:
        """Yield what the rows hold, and where that is valid."""
        domain = None
        if self.defaults.data_center is not None:
            place = Place(self.defaults.data_center, self.defaults.environment)
            domain = providers.named("zoho").api_domain(place)
        for number, values in self.lines():
            token, problem = self._held(values)
            del values  # crash reports show the locals of each frame
            if problem is None and not token.api_domain:
                if domain is None:
                    raise ConfigurationError(
                        f"Row {number} of {self.name} does not say where its token is valid: "
                        "older generations of the SDK did not write it",
                        hint="Say it: --data-center us, and --environment if it is not production",
                    )
                token = token.but(api_domain=domain)
            yield Row(number=number, token=providers.locate(token), problem=problem)

    def _held(self, values: Sequence[object]) -> tuple[Token, str | None]:
        """Return what a row holds, and why that can't be taken over. None if it can."""
        if len(values) != len(self.columns):
            return Token(), f"it has {len(values)} columns, not {len(self.columns)}"
        texts = (trimmed(str("" if value is None else value)) for value in values)
        found = {
            name: text
            for name, text in zip(self.columns.values(), texts, strict=True)
            if text and (name, text) not in _NOTHING
        }
        expiry = found.pop("expires_at", None)
        expires_at = _seconds(expiry)
        if self.defaults.client_id:
            found.setdefault("client_id", self.defaults.client_id)
        problem = None
        if any(isinstance(value, bytes) for value in values):
            problem = "it holds bytes where text belongs"
        elif not found.keys() & {"access_token", "refresh_token", "grant_token"}:
            problem = "it holds no token"
        elif "refresh_token" in found and "client_id" not in found:
            problem = (
                "its refresh token has no client_id, so nobody could renew with it: --client-id"
            )
        elif expiry and expires_at is None:
            problem = "its expiry_time is no time"
        if problem is not None:
            return Token(id=found.get("id")), problem
        token = Token(**found, provider="zoho", expires_at=expires_at)  # type: ignore[arg-type]  # text fields only
        try:
            require_sendable(token)
        except LookupFailed as exc:
            return Token(id=found.get("id")), exc.what
        return token, None


class _File(OfficialSource):
    """A file with the SDK's columns and no others, in whatever order; it must not change."""

    path: Path

    def __init__(self, path: Path, names: Sequence[str], what: str, defaults: Defaults) -> None:
        super().__init__(str(path), fields_of(names), defaults)
        if not self.columns or len(self.columns) != len(names):
            raise ConfigurationError(
                f"{path} {what}",
                hint="What can be imported is the file of the official SDK's FileStore, the table "
                "of its DBStore (mysql://user@host/database), zcrm_oauthtokens.pkl, or its "
                "sample's SQLite database",
            )
        self._stamp = self._look()

    def lines(self) -> Iterator[tuple[int, Sequence[object]]]:
        """See `OfficialSource.lines`."""
        self._expect_unchanged()
        yield from self._values()
        self._expect_unchanged()

    @abstractmethod
    def _values(self) -> Iterator[tuple[int, Sequence[object]]]:
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
        super().__init__(path, first, what if first else "is empty", defaults)

    def _values(self) -> Iterator[tuple[int, Sequence[object]]]:
        # Two processes that start at once may both write the header.
        return (each for each in self._lines() if not fields_of(each[1]))

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the lines that are not blank, with their numbers."""
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST))
        try:
            # Without newline="" a line break inside a token would be changed.
            with (
                _decodable(self.path, self._encoding),
                _readable(self.path),
                self.path.open(encoding=self._encoding, newline="") as file,
            ):
                # Strict: else a quote that was never closed hides all that follows.
                reader = csv.reader(file, strict=True)
                begins = 1
                for values in reader:
                    if any(values):
                        yield begins, values
                    begins = reader.line_num + 1
        except csv.Error as exc:
            raise ConfigurationError(
                f"{self.path} is damaged behind line {reader.line_num}: {exc}",
                hint="Mend or remove that line in a copy, and import the copy",
            ) from exc


class _PickleFile(_File):
    kind = "pickle of zcrmsdk 1 or 2"

    def __init__(self, path: Path, encoding: str, defaults: Defaults) -> None:
        self.path = path
        self._encoding = encoding
        super().__init__(path, zcrm_pickle.COLUMNS, "", defaults)
        next(self._values())  # whether it is one

    def _values(self) -> Iterator[tuple[int, Sequence[object]]]:
        with (
            _decodable(self.path, self._encoding),
            _readable(self.path),
            self.path.open("rb") as file,
        ):
            for number, found in enumerate(zcrm_pickle.tokens_in(file, self._encoding), 1):
                if found is None:
                    raise ConfigurationError(
                        f"{self.path} is a pickle, but object {number} of it is no token as "
                        "zcrmsdk 1 and 2 write them. Nothing in it was run",
                        hint="If it is zcrm_oauthtokens.pkl, it is damaged: import a copy from a "
                        "backup. Anything else can't be imported",
                    )
                yield number, [found[name] for name in self.columns]


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
        super().__init__(path, [name for (name,) in found], what, defaults)

    def _values(self) -> Iterator[tuple[int, Sequence[object]]]:
        with self._open() as db:
            yield from enumerate(db.execute(f"SELECT * FROM {_TABLE} ORDER BY rowid"), 1)  # noqa: S608

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # mode=ro alone would make -wal and -shm files beside a database in WAL mode.
        uri = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(uri, uri=True)) as db:
                yield db
        except sqlite3.Error as exc:
            # What SQLite says of text that it can't decode has that text in it.
            said = "it holds text that is not UTF-8" if "decode" in str(exc) else str(exc)
            raise ConfigurationError(
                f"{self.path} can't be read: {said}",
                hint="It is damaged; import a copy from a backup",
            ) from None


class Best:
    """
    Remember for each thing the name of highest rank.

    In a temporary database of keyed digests, so memory does not grow with the
    number of things, and no secret is in it.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)
        # An empty name is a temporary database that spills to disk and has no file name.
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE best (thing BLOB PRIMARY KEY, rank, name)")
        self._db.execute("BEGIN")

    def add(self, things: Iterable[object], rank: float, name: Any) -> None:
        """Take a name into account; of those of one rank the greatest counts."""
        self._db.executemany(_KEEP_BEST, [(self._digest(each), rank, name) for each in things])

    def of(self, thing: object) -> Any:
        """Return the name that counts. None if none was added."""
        asked = "SELECT name FROM best WHERE thing = ?"
        found = self._db.execute(asked, (self._digest(thing),)).fetchone()
        return found and found[0]

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def _digest(self, thing: object) -> bytes:
        return blake2b(json.dumps(thing).encode(), key=self._key, digest_size=16).digest()


def fields_of(names: Iterable[str]) -> dict[str, str]:
    """
    Return which columns of the SDK's there are -> the fields of a token.

    Returns:
        Empty if they are not those of a store of the SDK, of whichever generation.
    """
    called = {name: name.strip().lower() for name in names}
    found = {name: FIELDS[known] for name, known in called.items() if known in FIELDS}
    return found if set(found.values()) >= _NEEDED else {}


def _things(token: Token) -> list[list[str | None]]:
    """Return what a row is for: its user, then its credentials."""
    place = [token.provider, token.client_id, token.data_center, token.environment]
    whose = [[*place, "user", token.user]] if token.user else []
    return whose + [[*place, *pair] for pair in credentials(token)]


def _seconds(milliseconds: str | None) -> float | None:
    """Return epoch milliseconds, up to the year 5138, as epoch seconds. None if it is no time."""
    text = (milliseconds or "").strip()
    return int(text) / 1000 if re.fullmatch("[0-9]{1,14}", text) else None


@contextmanager
def _decodable(path: Path, encoding: str) -> Iterator[None]:
    """Turn what a codec says about a file into our error."""
    try:
        yield
    except LookupError:
        raise ConfigurationError(f"There is no encoding {encoding!r}") from None
    except UnicodeError:
        raise ConfigurationError(
            f"{path} is not text in {encoding.removesuffix('-sig')}",
            hint="Name its encoding with --encoding, e.g. cp1252 for a file of a Western "
            "European Windows",
        ) from None  # what was read is in it


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
