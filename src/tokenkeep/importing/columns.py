"""What the columns of the SDK's stores are called, by generation, and what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenkeep.importing.row import Row
from tokenkeep.token import Token

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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

_FIELDS = {
    "user_name": "user",
    "user_mail": "user",
    "redirect_url": "redirect_uri",
    **{
        name: name
        for name in (
            "client_id",
            "client_secret",
            "refresh_token",
            "access_token",
            "grant_token",
            "redirect_uri",
            "api_domain",
        )
    },
}
"""Column -> attribute of a token."""

_KNOWN = {*_FIELDS, "id", "expiry_time"}
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


def are_ours(columns: Sequence[str]) -> bool:
    """Tell whether columns are those of a store of the SDK, in whatever order."""
    return set(columns) <= _KNOWN and set(columns) >= _NEEDED and len(set(columns)) == len(columns)


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


def row_of_table(
    number: int, columns: Sequence[str], values: Sequence[object], client_id: str | None = None
) -> Row:
    """
    Return what a row of a database holds.

    Args:
        number: Where it is.
        columns: As for `row`.
        values: As a driver returns them.
        client_id: As for `row`.
    """
    if any(isinstance(value, bytes) for value in values):
        return Row(number=number, problem="it holds bytes where text belongs")
    texts = [None if value is None else str(value) for value in values]
    return row(number, columns, texts, client_id)


def row(
    number: int,
    columns: Sequence[str],
    values: Sequence[str | None],
    client_id: str | None = None,
) -> Row:
    """
    Return what a row holds.

    Args:
        number: Where it is.
        columns: The names of the columns.
        values: As many; empty texts count as None.
        client_id: Of a row that does not say its own. None means that its
            refresh token is of no use.
    """
    found = {
        name: None if (name, value) in _NOTHING else value or None
        for name, value in zip(columns, values, strict=True)
    }
    found["client_id"] = found.get("client_id") or client_id
    source_id = found.get("id")
    fields: dict[str, str | None] = {
        _FIELDS[name]: value for name, value in found.items() if name in _FIELDS
    }
    problem = _problem(fields)
    if problem is not None:
        return Row(number=number, source_id=source_id, problem=problem)
    expiry = found["expiry_time"]
    expires_at = _seconds(expiry)
    if expiry and expires_at is None:
        return Row(number=number, source_id=source_id, problem="its expiry_time is no time")
    token = Token(**fields, provider="zoho", expires_at=expires_at)  # type: ignore[arg-type]  # text fields only
    return Row(number=number, source_id=source_id, token=token)


def _problem(fields: Mapping[str, str | None]) -> str | None:
    """Say why a row can't be taken over. None if it can."""
    names = ("access_token", "refresh_token", "grant_token")
    if not any(fields.get(name) for name in names):
        return "it holds no token"
    if fields.get("refresh_token") and not fields.get("client_id"):
        return "its refresh token has no client_id, so nobody could renew with it: --client-id"
    return None


def _seconds(milliseconds: str | None) -> float | None:
    """Return epoch milliseconds as epoch seconds. None if that is not what it is."""
    text = (milliseconds or "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(_YEAR_5138)):
        return None
    return int(text) / 1000 if int(text) < _YEAR_5138 else None
