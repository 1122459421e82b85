"""What the official SDK's stores have in common: columns by generation, and which row counts."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from abc import abstractmethod
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from tokenkeep import saving
from tokenkeep.errors import ConfigurationError
from tokenkeep.lookup import credentials
from tokenkeep.moving.sources import Row, Source
from tokenkeep.providers import Place
from tokenkeep.token import Token

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokenkeep.providers import Providers

_TOKENS = "refresh_token,access_token,grant_token,expiry_time"
HEADERS = (
    # zohocrmsdk5_0 to 8_0; zohocrmsdk2_0 from 6.0.0 and 2_1; zcrmsdk 3.x, zohocrmsdk2_0 1.0.0
    f"id,user_name,client_id,client_secret,{_TOKENS},redirect_uri,api_domain",
    f"id,user_mail,client_id,client_secret,{_TOKENS},redirect_uri",
    f"user_mail,client_id,{_TOKENS}",
)
"""The first line of each generation's CSV file."""

NEEDED = {"client_id", "refresh_token", "access_token", "expiry_time"}
_OTHER_NAMES = {"user_name": "user", "user_mail": "user", "redirect_url": "redirect_uri"}
KNOWN = {*HEADERS[0].split(","), *_OTHER_NAMES}
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
    refused whole. Of several rows of one user, or with one credential, the
    last one with a refresh token counts, and the others are left out.

    Args:
        name: Where it is, for people; without a password.
        columns: The names of the columns, as they are called here.
        defaults: What holds for rows that don't say it.
    """

    kind: str
    """What it is, for people."""

    total: int = 0
    """How many rows there are, once the first one is yielded."""

    def __init__(self, name: str, columns: Sequence[str], defaults: Defaults) -> None:
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
                for thing in _things(row.token):
                    best.add(thing, rank, row.number)
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
        center, environment = self.defaults.data_center, self.defaults.environment
        given = {} if center is None else {"data_center": center, "environment": environment}
        if center is not None:
            domain = providers.named("zoho").api_domain(Place(center, environment))
            given = given if domain is None else {"api_domain": domain}
        for number, values in self.lines():
            token, problem = self._held(values)
            if problem is None and not token.api_domain:
                if not given:
                    raise ConfigurationError(
                        f"Row {number} of {self.name} does not say where its token is valid: "
                        "older generations of the SDK did not write it",
                        hint="Say it: --data-center us, and --environment if it is not production",
                    )
                token = token.but(**given)
            yield Row(number=number, token=providers.locate(token), problem=problem)

    def _held(self, values: Sequence[object]) -> tuple[Token, str | None]:
        """Return what a row holds, and why that can't be taken over. None if it can."""
        if len(values) != len(self.columns):
            return Token(), f"it has {len(values)} columns, not {len(self.columns)}"
        found = {
            _OTHER_NAMES.get(name, name): None if (name, value) in _NOTHING else str(value)
            for name, value in zip(self.columns, values, strict=True)
            if value not in (None, "")
        }
        expiry = found.pop("expiry_time", None)
        expires_at = _seconds(expiry)
        found = {"client_id": self.defaults.client_id} | found
        problem = None
        if any(isinstance(value, bytes) for value in values):
            problem = "it holds bytes where text belongs"
        elif not any(found.get(name) for name in ("access_token", "refresh_token", "grant_token")):
            problem = "it holds no token"
        elif found.get("refresh_token") and not found["client_id"]:
            problem = (
                "its refresh token has no client_id, so nobody could renew with it: --client-id"
            )
        elif expiry and expires_at is None:
            problem = "its expiry_time is no time"
        if problem is not None:
            return Token(id=found.get("id")), problem
        return Token(**found, provider="zoho", expires_at=expires_at), None  # type: ignore[arg-type]  # text fields only


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

    def add(self, thing: object, rank: float, name: Any) -> None:
        """Take a name into account; of those of one rank the greatest counts."""
        self._db.execute(_KEEP_BEST, (self._digest(thing), rank, name))

    def of(self, thing: object) -> Any:
        """Return the name that counts. None if none was added."""
        asked = "SELECT name FROM best WHERE thing = ?"
        with closing(self._db.execute(asked, (self._digest(thing),))) as found:
            return next(found, (None,))[0]

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def _digest(self, thing: object) -> bytes:
        return blake2b(json.dumps(thing).encode(), key=self._key, digest_size=16).digest()


def of_table(columns: Sequence[str]) -> dict[str, str]:
    """
    Return which columns of a table to read, and what they are called here.

    What people have added to the table is left out.

    Returns:
        Empty if it is not a table of the SDK, of whichever generation.
    """
    found = {name: name.lower() for name in columns if name.lower() in KNOWN}
    if set(found.values()) >= NEEDED:
        return found
    first = {name: _FIRST[name.lower()] for name in columns if name.lower() in _FIRST}
    return first if set(first.values()) == set(_FIRST.values()) else {}


def _things(token: Token) -> list[list[str | None]]:
    """Return what a row is for: its user, then its credentials."""
    place = [token.provider, token.client_id, token.data_center, token.environment]
    whose = [[*place, "user", token.user]] if token.user else []
    return whose + [[*place, *pair] for pair in credentials(token)]


def _seconds(milliseconds: str | None) -> float | None:
    """Return epoch milliseconds as epoch seconds. None if that is not what it is."""
    text = (milliseconds or "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(_YEAR_5138)):
        return None
    return int(text) / 1000 if int(text) < _YEAR_5138 else None
