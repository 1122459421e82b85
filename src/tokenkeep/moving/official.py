"""The official SDK's stores, from zohocrmsdk5_0 on: what rows hold, and which of them count."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from typing import TYPE_CHECKING, TypeAlias

from tokenkeep import saving
from tokenkeep.errors import LookupFailed
from tokenkeep.lookup import SECRETS, require_sendable, trimmed
from tokenkeep.moving.sources import Row, Source
from tokenkeep.token import Token

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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

    Of several rows of one user the last one with a refresh token counts: each
    of one run takes the place of those before.
    """

    kind: str
    """What it is, for people."""

    @abstractmethod
    def lines(self) -> Lines:
        """Read it from its beginning."""

    def rows(self, now: float, providers: Providers) -> Iterator[Row]:
        """See `Source.rows`."""
        for number, values in self.lines():
            row = _read_row(number, values, providers, now)
            del values  # crash reports show the locals of each frame
            yield row


def _read_row(number: int, values: Sequence[object], providers: Providers, now: float) -> Row:
    """Return what a row holds; or why it can't be taken over, and nothing secret."""
    if len(values) != len(FIELDS):
        problem = f"it has {len(values)} columns, not {len(FIELDS)}"
        return Row(number=number, token=Token(), problem=problem)
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
            # Where it comes from it may go on being used, whatever grant it came of.
            given = providers.locate(token).with_renewal(given=True)
            first = saving.first(given, login=secrets.token_hex(16), now=now)
            return Row(number=number, token=first.but(id=token.id))
    return Row(number=number, token=Token(id=found.get("id")), problem=problem)
