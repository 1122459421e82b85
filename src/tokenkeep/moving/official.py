"""The official SDK's stores, from zohocrmsdk5_0 on: what rows hold, and which of them count."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from tokenkeep import saving
from tokenkeep.errors import LookupFailed
from tokenkeep.lookup import (
    SECRETS,
    credentials,
    digest_of,
    owner_of,
    require_sendable,
    trimmed,
)
from tokenkeep.moving.sources import Row, Source
from tokenkeep.token import Token, new_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tokenkeep.providers import Providers

FIELDS = {
    "id": "id",
    "user_name": "user",
    "client_id": "client_id",
    "client_secret": "client_secret",
    "refresh_token": "refresh_token",
    "access_token": "access_token",
    "grant_token": "grant_token",
    "expiry_time": "expires_at",
    "redirect_uri": "redirect_uri",
    "api_domain": "api_domain",
}
"""The SDK's columns, in its order -> the fields of a token."""

Lines: TypeAlias = "Iterator[tuple[int, Sequence[object]]]"
"""Numbered rows in their order, the latest last; their values as in `FIELDS`."""


class OfficialSource(Source):
    """
    The tokens of a store of the official SDK's.

    Of several rows of one user, or of none with one credential, the last one
    with a refresh token counts, and the others are left out. So it is read once
    before the first row is yielded, and a damaged one is refused whole. Of what is
    read, digests are kept in memory, no secret.
    """

    kind: str
    """What it is, for people."""

    @abstractmethod
    def lines(self) -> Lines:
        """Read it from its beginning."""

    def rows(self, now: float, providers: Providers) -> Iterator[Row]:
        """See `Source.rows`."""
        counting: dict[str, tuple[int | None, str]] = {}
        lasting = set[str]()
        for row in self._read(providers):
            if row.problem is None:
                thing, login = _known_by(row.token)
                if row.token.refresh_token:
                    lasting.add(thing)
                if row.token.refresh_token or thing not in lasting:
                    counting[thing] = (row.number, login)
        for row in self._read(providers):
            yield row if row.problem else _judged(row, counting, now)

    def _read(self, providers: Providers) -> Iterator[Row]:
        for number, values in self.lines():
            row = _read_row(number, values, providers)
            del values  # crash reports show the locals of each frame
            yield row


def _known_by(token: Token) -> tuple[str, str]:
    """Return digests: of what a row is for, and of its login, which tells it from others."""
    thing = owner_of(token, None if token.user else credentials(token)[0])
    login = token.refresh_token or token.grant_token or token.access_token
    # Not its number: others may be written before it while it is read.
    return digest_of(thing)[:32], digest_of(repr((token.id, token.client_secret, login)))[:32]


def _judged(row: Row, counting: Mapping[str, tuple[int | None, str]], now: float) -> Row:
    """Return a row as it is saved first, or the reason against it."""
    thing, login = _known_by(row.token)
    number, counts = counting.get(thing, (row.number, login))
    if counts != login:
        return replace(row, problem=f"row {number} is for the same, and counts")
    # Where it comes from it may go on being used, whatever grant it came of.
    given = row.token.with_renewal(given=True)
    first = saving.first(given, login=secrets.token_hex(16), now=now)
    return replace(row, token=first.but(id=new_id()))


def _read_row(number: int, values: Sequence[object], providers: Providers) -> Row:
    """Return what a row holds; or why it can't be taken over, and nothing secret."""
    if len(values) != len(FIELDS):
        problem = f"it has {len(values)} columns, not {len(FIELDS)}"
        return Row(number=number, problem=problem)
    if any(isinstance(value, bytes) for value in values):
        problem = "it holds bytes where text belongs"
        return Row(number=number, problem=problem)
    texts = (trimmed("" if value is None else str(value)) for value in values)
    found = {name: text for name, text in zip(FIELDS.values(), texts, strict=True) if text}
    expiry = found.pop("expires_at", None)
    if found.keys().isdisjoint(SECRETS.values()):
        problem = "it holds no token"
    elif "api_domain" not in found:
        problem = "it has no api_domain, so nobody knows where it is valid: renew it with the SDK"
    elif "\ufffd" in "".join(found.values()):
        problem = "it is not in UTF-8: convert the file first, e.g. iconv -f cp1252 -t utf-8"
    elif expiry and (not expiry.isdecimal() or expiry[14:]):  # milliseconds, up to the year 5138
        problem = "its expiry_time is no time"
    else:
        token = Token(**found, provider="zoho", expires_at=expiry and int(expiry) / 1000)  # type: ignore[arg-type]  # text fields only
        try:
            require_sendable(token)
        except LookupFailed as exc:
            problem = exc.what
        else:
            return Row(number=number, id=token.id, token=providers.locate(token))
    return Row(number=number, id=found.get("id"), problem=problem)
