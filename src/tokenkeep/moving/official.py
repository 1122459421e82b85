"""The official SDK's stores, of every generation: what rows hold, and which of them count."""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from tokenkeep import saving
from tokenkeep.errors import ConfigurationError, LookupFailed
from tokenkeep.lookup import SECRETS, credentials, owner_of, require_sendable, trimmed
from tokenkeep.moving.sources import Row, Source
from tokenkeep.providers import Place
from tokenkeep.token import Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tokenkeep.providers import Providers

_SAME = ("id", "client_id", "client_secret", *SECRETS.values(), "redirect_uri", "api_domain")
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

Lines: TypeAlias = "Iterator[tuple[int, Sequence[object]]]"
"""Numbered rows in their order, the latest last; before them, the names of their columns."""

_MILLISECONDS = re.compile("[0-9]{1,14}")
"""Since the epoch, up to the year 5138."""

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


class OfficialSource(Source):
    """
    The tokens of a store of the official SDK's.

    It is read once before the first row is yielded, so a damaged one is
    refused whole. Of several rows of one user, or of none with one credential,
    the last one with a refresh token counts, and the others are left out.

    Args:
        kind: What it is, for people.
        name: Where it is, for people; without a password.
        read: Reads it from its beginning, the same each time.
        defaults: What holds for rows that don't say it.
        close: Lets go of connections. None means that there are none.

    Raises:
        ConfigurationError: Its columns are not those of the SDK.
    """

    total: int = 0
    """How many rows there are, once the first one is yielded."""

    def __init__(
        self,
        kind: str,
        name: str,
        read: Callable[[], Lines],
        defaults: Defaults,
        *,
        close: Callable[[], None] | None = None,
    ) -> None:
        self.kind = kind
        self._name = name
        self._read = read
        self._defaults = defaults
        self._close = close
        names = [str(each) for _, values in islice(read(), 1) for each in values]
        fields = fields_of(names)
        if not fields or len(fields) != len(names):
            raise ConfigurationError(
                f"No tokens of the official SDK are in {name}: its columns are not there",
                hint="What can be imported is the file of the official SDK's FileStore, the table "
                "of its DBStore (mysql://user@host/database?table=NAME), zcrm_oauthtokens.pkl, "
                "or its sample's SQLite database. For a store of tokenkeep: tokenkeep copy",
            )
        self._fields = list(fields.values())

    def close(self) -> None:
        """Let go of connections."""
        if self._close is not None:
            self._close()

    def lines(self) -> Lines:
        """Yield each row's number and its values."""
        return islice(self._read(), 1, None)

    def rows(self, now: float, providers: Providers) -> Iterator[Row]:
        """See `Source.rows`."""
        self.total = 0
        with closing(Best()) as best:
            for row in self._held_by(providers):
                self.total += 1
                best.add(_thing(row.token), bool(row.token.refresh_token), row.number)
            for row in self._held_by(providers):
                counts = best.of(_thing(row.token))
                if counts != row.number and row.problem is None:
                    yield replace(row, problem=f"row {counts} is the same, and counts")
                    continue
                # Where it comes from it may go on being used, whatever grant it came of.
                token = row.token.with_renewal(given=True)
                first = saving.first(token, login=secrets.token_hex(16), now=now)
                yield replace(row, token=first.but(id=token.id))

    def _held_by(self, providers: Providers) -> Iterator[Row]:
        """Yield what the rows hold, and where that is valid."""
        domain = None
        if self._defaults.data_center is not None:
            place = Place(self._defaults.data_center, self._defaults.environment)
            domain = providers.named("zoho").api_domain(place)
        for number, values in self.lines():
            token, problem = self._held(values)
            del values  # crash reports show the locals of each frame
            if problem is None and not token.api_domain:
                if domain is None:
                    raise ConfigurationError(
                        f"Row {number} of {self._name} does not say where its token is valid: "
                        "older generations of the SDK did not write it",
                        hint="Say it: --data-center us, and --environment if it is not production",
                    )
                token = token.but(api_domain=domain)
            yield Row(number=number, token=providers.locate(token), problem=problem)

    def _held(self, values: Sequence[object]) -> tuple[Token, str | None]:
        """Return what a row holds, and why that can't be taken over. None if it can."""
        if len(values) != len(self._fields):
            return Token(), f"it has {len(values)} columns, not {len(self._fields)}"
        texts = (trimmed(str("" if value is None else value)) for value in values)
        found = {
            name: text
            for name, text in zip(self._fields, texts, strict=True)
            if text and (name, text) not in _NOTHING
        }
        expiry = found.pop("expires_at", None)
        if self._defaults.client_id:
            found.setdefault("client_id", self._defaults.client_id)
        problem = None
        if any(isinstance(value, bytes) for value in values):
            problem = "it holds bytes where text belongs"
        elif found.keys().isdisjoint(SECRETS.values()):
            problem = "it holds no token"
        elif "refresh_token" in found and "client_id" not in found:
            problem = (
                "its refresh token has no client_id, so nobody could renew with it: --client-id"
            )
        elif expiry and not _MILLISECONDS.fullmatch(expiry):
            problem = "its expiry_time is no time"
        if problem is not None:
            return Token(id=found.get("id")), problem
        token = Token(**found, provider="zoho", expires_at=expiry and int(expiry) / 1000)  # type: ignore[arg-type]  # text fields only
        try:
            require_sendable(token)
        except LookupFailed as exc:
            return Token(id=found.get("id")), exc.what
        return token, None


class Best:
    """
    Remember for each thing the name of highest rank; of those of one rank the greatest.

    In a temporary database of keyed digests, so memory does not grow with the
    number of things, and no secret is in it.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)
        # An empty name is a temporary database that spills to disk and has no file name.
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE best (thing BLOB PRIMARY KEY, rank, name)")
        self._db.execute("BEGIN")

    def add(self, thing: str, rank: float, name: Any) -> None:
        """Take a name into account."""
        self._db.execute(_KEEP_BEST, (self._digest(thing), rank, name))

    def of(self, thing: str) -> Any:
        """Return the name that counts. None if none was added."""
        asked = "SELECT name FROM best WHERE thing = ?"
        found = self._db.execute(asked, (self._digest(thing),)).fetchone()
        return found and found[0]

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def _digest(self, thing: str) -> bytes:
        return blake2b(thing.encode(), key=self._key, digest_size=16).digest()


def fields_of(names: Iterable[str]) -> dict[str, str]:
    """
    Return which columns of the SDK's there are -> the fields of a token.

    Returns:
        Empty if they are not those of a store of the SDK, of whichever generation.
    """
    called = {name: name.strip().lower() for name in names}
    found = {name: FIELDS[known] for name, known in called.items() if known in FIELDS}
    return found if set(found.values()) >= _NEEDED else {}


def _thing(token: Token) -> str:
    """Return what a row is for: its user, else its credential."""
    return owner_of(token, None if token.user else next(iter(credentials(token)), None))
