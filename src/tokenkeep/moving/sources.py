"""What rows are brought into a store: those of another one, or of the official SDK's."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from abc import ABC, abstractmethod
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING, Any

from tokenkeep import saving
from tokenkeep.errors import ConfigurationError, StoreError
from tokenkeep.lookup import credentials
from tokenkeep.providers import Place
from tokenkeep.token import Token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.errors import TokenKeepError
    from tokenkeep.providers import Providers
    from tokenkeep.vault import Vault

_CLOCKS = 86_400.0
"""How far the clocks of other hosts may be ahead, in seconds."""

_KEEP_BEST = """
    INSERT INTO best VALUES (?, ?, ?) ON CONFLICT (thing) DO UPDATE
    SET rank = excluded.rank, name = excluded.name
    WHERE (excluded.rank, excluded.name) > (rank, name)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One row of a source, or another id of one.

    Args:
        token: What it holds, with the id that it has there. Without a version
            nobody knows when it was written.
        number: The line it begins in, or the row of a table, from 1. None if
            a source does not count them.
        to: The row that an id leads to. None if this is a row itself.
        problem: Why it is left out. None if it is not.
        failed: Whether that is a failure.
    """

    token: Token
    number: int | None = None
    to: Token | None = None
    problem: str | None = None
    failed: bool = False


class Source(ABC):
    """Tokens, which are only read."""

    @abstractmethod
    def rows(self, now: float, providers: Providers) -> Iterator[Row]:
        """
        Yield the rows in order, never holding them all; other ids of them come last.

        Args:
            now: Epoch seconds.
            providers: They know where a token is valid.

        Raises:
            ConfigurationError: The source is damaged, was written meanwhile,
                or does not say where its tokens are valid.
            StoreError: It can't be read, or is not settled.
        """

    def expect_settled(self) -> None:
        """
        Refuse a source whose rows are not all there is of its tokens.

        Raises:
            StoreError: They are not.
        """


class StoreSource(Source):
    """
    The rows of a store, deleted ones with something to revoke too.

    Args:
        store: Which one. Only a login that a crash has left on its way is
            brought to its row, as by any lookup.
    """

    def __init__(self, store: Vault) -> None:
        self.store = store

    def rows(self, now: float, providers: Providers) -> Iterator[Row]:  # noqa: ARG002
        """See `Source.rows`; what does not open is a row that has failed."""
        self.settle(now)
        errors: list[TokenKeepError] = []
        told: set[str | None] = set()  # what is due as well is met twice
        due = self.store.due(now + _CLOCKS, errors.append)
        found = chain(
            (Row(token=each) for each in self.store.iter_tokens(on_error=errors.append)),
            (Row(token=each) for each in due if each.ended),
            self._ids(errors),
        )
        for row in chain(found, [None]):
            for exc in errors:
                if exc.token_id not in told:
                    told.add(exc.token_id)
                    lost = Token(id=exc.token_id, user=exc.user)
                    yield Row(token=lost, problem=exc.what, failed=True)
            errors.clear()
            if row is not None:
                yield row

    def settle(self, now: float) -> None:
        """Refuse it if it is not settled, and bring logins on their way to their rows."""
        self.expect_settled()
        self.store.finish_moves(now + _CLOCKS)

    def expect_settled(self) -> None:
        """
        Refuse it while answers of the provider wait to be saved: its rows are out of date then.

        With a provider that rotates, their refresh tokens are spent. Only
        this host's answers can be seen.
        """
        waiting = sum(1 for _ in self.store.journal.entries())
        if waiting:
            raise StoreError(
                f"{waiting} of the provider's answers wait to be saved in "
                f"{self.store.backend.describe()}: what is stored there is out of date",
                hint="Save them with: tokenkeep sweep --store …, then run this again",
            )

    def _ids(self, errors: list[TokenKeepError]) -> Iterator[Row]:
        for token_id, to in self.store.iter_added_ids(errors.append):
            row = self.store.reread(to)  # it may lead there by way of another id
            if row is not None:
                yield Row(token=Token(id=token_id), to=row)


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

    It is read once before the first row is yielded: of several rows of one
    user, or with one credential, the last one with a refresh token counts, and
    the others are left out.

    Args:
        name: Where it is, for people; without a password.
        defaults: What holds for rows that don't say it.
    """

    kind: str
    """What it is, for people."""

    total: int = 0
    """How many rows were read, as the first one is yielded."""

    def __init__(self, name: str, defaults: Defaults) -> None:
        self.name = name
        self.defaults = defaults

    def rows(self, now: float, providers: Providers) -> Iterator[Row]:
        """See `Source.rows`."""
        given, self.total = self._given(providers), 0
        with closing(Best()) as best:
            for row in self._located(given, providers):
                self.total += 1
                rank = 2 * bool(row.token.user) + bool(row.token.refresh_token)
                for thing in _things(row.token):
                    best.add(thing, rank, row.number)
            for row in self._located(given, providers):
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

    @abstractmethod
    def read(self) -> Iterator[Row]:
        """Yield the rows as they are, each time the same ones from the first one on."""

    def close(self) -> None:
        """Let go of connections."""

    def _given(self, providers: Providers) -> dict[str, str]:
        """Return what is filled into rows that don't say where they are valid."""
        center, environment = self.defaults.data_center, self.defaults.environment
        if center is None:
            return {}
        domain = providers.named("zoho").api_domain(Place(center, environment))
        if domain is not None:
            return {"api_domain": domain}
        return {"data_center": center, "environment": environment}

    def _located(self, given: dict[str, str], providers: Providers) -> Iterator[Row]:
        """Yield the rows, with where their tokens are valid."""
        for row in self.read():
            token = row.token
            if row.problem is None and not token.api_domain:
                if not given:
                    raise ConfigurationError(
                        f"Row {row.number} of {self.name} does not say where its token is valid: "
                        "older generations of the SDK did not write it",
                        hint="Say it: --data-center us, and --environment if it is not production",
                    )
                token = token.but(**given)
            yield replace(row, token=providers.locate(token))


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


def _things(token: Token) -> list[list[str | None]]:
    """Return what a row is for: its user, then its credentials."""
    place = [token.provider, token.client_id, token.data_center, token.environment]
    whose = [[*place, "user", token.user]] if token.user else []
    return whose + [[*place, *pair] for pair in credentials(token)]
