"""Read what a token endpoint answered, without believing any of it."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from tokenkeep.providers.checks import LONGEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.providers.base import Reply

_PAGE = re.compile(r"\s*<(!doctype\s+html|html)", re.IGNORECASE)
_HOLLOW = re.compile(rb"[\s\[\]{}\"']*(null|true|false)?")
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{0,9})?")
_VISIBLE = re.compile(r"[ -~]+")
_FORM = "application/x-www-form-urlencoded"
_PLAINLY_A_FORM = re.compile(r"[A-Za-z0-9_]+=[^\s<>\"]*")
_ERROR = re.compile(
    r"_*(err(or)?s?([_-]?(code|type|name|key|reason|message|status|id)s?)?|sub[_-]?(error|code))",
    re.IGNORECASE,
)
"""Names of fields that say that something went wrong, and what."""

_MAYBE_A_CODE = re.compile(r"_*(code|status|type|reason|name|title|message)", re.IGNORECASE)
"""Names of fields with a code in them that may as well say that all is well."""

REFRESH_ENDS = (
    *("refresh_token_expires_in", "refresh_expires_in", "x_refresh_token_expires_in"),
    *("refresh_token_expires_at", "refresh_expires_at", "authorization_expires_in"),
)
"""How providers name the life of a refresh token, or of the consent it is part of."""

_NO_ERROR: tuple[object, ...] = (None, False, 0, "", "0", [], {})
_LEVELS = 5
_DEEPEST = 20
_YEAR_2000, _MILLISECONDS = 946_684_800.0, 100_000_000_000

MOST_EXTRA = 32_768
"""How much of an answer is kept beside its tokens, as JSON, in characters: stores have limits."""


class Unreadable(ValueError):
    """An answer that has no fields; the text says in our own words what it is instead."""


def fields_of(reply: Reply) -> Mapping[str, object]:
    """Return the fields of a JSON object or a form, or raise `Unreadable`."""
    if not reply.body.strip():
        raise Unreadable("answered nothing")
    # With a byte order mark is not JSON, but some servers write one. What can't be
    # decoded is in no token.
    text = reply.body.decode(json.detect_encoding(reply.body), "replace").removeprefix("\ufeff")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        # One that is not whole may end within a token.
        if not reply.fault and (form := _form(text.strip(), reply.content_type or "")):
            return form
    else:
        if isinstance(document, Mapping):
            return document
        raise Unreadable("answered JSON that is not an object")
    kind = "HTML" if _PAGE.match(text) else "neither JSON nor a form"
    raise Unreadable(reply.fault or f"answered {kind}")


def may_hold_a_token(body: bytes) -> bool:
    """Tell whether there may be a token in what could not be read: not in nothing, nor in HTML."""
    return not (_HOLLOW.fullmatch(body.strip()) or _PAGE.match(body[:1000].decode("latin-1")))


def _form(text: str, content_type: str) -> Mapping[str, object]:
    """Return the fields of a form: of one that says so, or that can be nothing else."""
    fields: Mapping[str, object] = dict(parse_qsl(text, keep_blank_values=True))
    says_so = content_type.partition(";")[0].strip().lower() == _FORM
    is_one = _PLAINLY_A_FORM.fullmatch(text) and fields.keys() & {"access_token", "error"}
    return fields if says_so or is_one else {}


def token(fields: Mapping[str, object], name: str) -> str | None:
    """Return a field of visible ASCII (RFC 6749 appendix A), trimmed. None for all else."""
    value = fields.get(name)
    value = value.strip() if isinstance(value, str) else ""
    return value if _VISIBLE.fullmatch(value) else None


def is_said(fields: Mapping[str, object], name: str) -> bool:
    """Tell whether there is anything in a field, usable or not."""
    value = fields.get(name)
    return bool(value.strip() if isinstance(value, str) else value)


def scope(fields: Mapping[str, object]) -> str | None:
    """Return the scopes, with blanks between those of a list. None where there are none."""
    value = fields.get("scope")
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        value = " ".join(value)
    return value if isinstance(value, str) and value and value.isprintable() else None


def has_error(fields: Mapping[str, object]) -> bool:
    """Tell whether there is an error, whatever it means."""
    return any(_ERROR.fullmatch(name) and value not in _NO_ERROR for name, value in fields.items())


def codes(fields: Mapping[str, object]) -> Iterator[str]:
    """Yield what may be an error code, by its name: ``error`` first, the others, nested too."""
    if "error" in fields:
        yield from _codes("error", fields["error"], _LEVELS)
    for name, value in fields.items():
        yield from _codes(name, value, _LEVELS)


def _codes(name: str, value: object, levels: int) -> Iterator[str]:
    if isinstance(value, Mapping | list) and levels:
        inner = value.items() if isinstance(value, Mapping) else ((name, each) for each in value)
        for key, each in inner:
            yield from _codes(str(key), each, levels - 1)
    elif isinstance(value, str | int) and (
        _ERROR.fullmatch(name) or _MAYBE_A_CODE.fullmatch(name)
    ):
        yield str(value).strip()


def besides(fields: Mapping[str, object], read: Container[str]) -> dict[str, object]:
    """Return what a store can keep of the fields that are not *read*, up to `MOST_EXTRA`."""
    kept: dict[str, object] = {}
    room = MOST_EXTRA
    for name, value in fields.items():
        if name not in read and _can_be_kept(value):
            size = len(name) + len(json.dumps(value))
            if size <= room:
                kept[name] = value
                room -= size
    return kept


def _can_be_kept(value: object, levels: int = _DEEPEST) -> bool:
    """Tell whether a store can write a value: JSON that does not nest on and on."""
    if isinstance(value, dict):
        return all(isinstance(name, str) for name in value) and _can_be_kept(
            list(value.values()), levels
        )
    if isinstance(value, list):
        return levels > 0 and all(_can_be_kept(each, levels - 1) for each in value)
    return value is None or isinstance(value, str | int | float)


def seconds(value: object) -> float | None:
    """Return a duration, a number or a string with one, up to `LONGEST`. None for all else."""
    number = _number(value)
    return number if number is not None and 0 < number <= LONGEST else None


def seconds_until(value: object, now: float) -> float | None:
    """Return how long it is until a time: epoch seconds, milliseconds or an ISO 8601 date."""
    moment = _number(value)
    if moment is None and isinstance(value, str):
        try:
            date = datetime.fromisoformat(value.strip())
            moment = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    if moment is None or moment < _YEAR_2000:
        return None
    return seconds((moment / 1000 if moment > _MILLISECONDS else moment) - now)


def refresh_life(fields: Mapping[str, object], now: float) -> float | None:
    """Return how long the refresh token lives, in seconds: the shortest that is said, or None."""
    said = {name: fields.get(name) for name in REFRESH_ENDS}
    lives = [seconds(value) for name, value in said.items() if name.endswith("_in")]
    ends = [seconds_until(value, now) for value in said.values()]
    return min(filter(None, lives + ends), default=None)


def _number(value: object) -> float | None:
    """Return a number above 0, or that of a string with one. None for all else."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Compared before it becomes a float: JSON integers can be longer than one.
    return float(value) if 0 < value < 10**15 else None
