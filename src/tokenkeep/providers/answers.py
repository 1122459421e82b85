"""Read what a token endpoint answered, without believing any of it."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from tokenkeep.providers.checks import LONGEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.providers.base import Reply

_PAGE = re.compile(rb"\s*<(!doctype\s+html|html)", re.IGNORECASE)
_HOLLOW = (b"", b"{}", b"[]", b"null")
_VISIBLE = re.compile(r"[ -~]+")
_ERROR = re.compile("_*err", re.IGNORECASE)
_MAY_BE_A_CODE = re.compile("err|code|status|type|reason|name|title|message", re.IGNORECASE)
"""What fields are called that may have an error code."""

REFRESH_LIVES = ("refresh_token_expires_in", "refresh_expires_in", "x_refresh_token_expires_in")
"""How providers name the life of a refresh token."""

MOST_EXTRA = 32_768
"""How much of an answer is kept beside its tokens, as JSON, in characters: stores have limits."""


class Unreadable(ValueError):
    """An answer that has no fields; the text says in our own words what it is instead."""


def fields_of(reply: Reply) -> Mapping[str, object]:
    """Return the fields of a JSON object or a form, or raise `Unreadable`."""
    try:
        # Of some the tokens alone are ASCII.
        document = json.loads(reply.body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        form = dict(parse_qsl(reply.body.decode("latin-1").strip()))
        # One that is not whole may end within a token.
        if not reply.fault and form.keys() & {"access_token", "error"}:
            return form
    else:
        if isinstance(document, Mapping):
            return document
        raise Unreadable("answered JSON that is not an object")
    kind = "HTML" if _PAGE.match(reply.body) else "neither JSON nor a form"
    raise Unreadable(reply.fault or f"answered {kind if reply.body.strip() else 'nothing'}")


def may_hold_a_token(body: bytes) -> bool:
    """Tell whether there may be a token in what could not be read: not in nothing, nor in HTML."""
    return body.strip() not in _HOLLOW and not _PAGE.match(body)


def token(fields: Mapping[str, object], name: str) -> str | None:
    """Return a field of visible ASCII (RFC 6749 appendix A), trimmed. None for all else."""
    value = fields.get(name)
    value = value.strip() if isinstance(value, str) else ""
    return value if _VISIBLE.fullmatch(value) else None


def scope(fields: Mapping[str, object]) -> str | None:
    """Return the scopes, as they are written. None where there are none."""
    value = fields.get("scope")
    return value if isinstance(value, str) and value.isprintable() else None


def has_error(fields: Mapping[str, object]) -> bool:
    """Tell whether there is an error, whatever it means."""
    return any(_ERROR.match(name) and is_error(value) for name, value in fields.items())


def is_error(value: object) -> bool:
    """Tell whether what stands in a field for errors is one."""
    return bool(value) and value != "0"


def codes(value: object, name: str = "") -> Iterator[str]:
    """Yield what may be an error code, by what its field is called: that of ``error`` first."""
    if isinstance(value, Mapping):
        for key in sorted(value, key=lambda each: each != "error"):
            yield from codes(value[key], key)
    elif isinstance(value, list):
        for each in value:
            yield from codes(each, name)
    elif isinstance(value, str | int) and _MAY_BE_A_CODE.search(name):
        yield str(value).strip()


def besides(fields: Mapping[str, object], read: Container[str]) -> dict[str, object]:
    """Return the fields that are not *read*; none if they are longer than `MOST_EXTRA`."""
    kept = {name: value for name, value in fields.items() if name not in read}
    return kept if len(json.dumps(kept)) <= MOST_EXTRA else {}


def seconds(value: Any) -> float | None:
    """Return a duration, a number or a text with one, up to `LONGEST`. None for all else."""
    with suppress(TypeError, ValueError, OverflowError):
        number = float(value)
        return number if 0 < number <= LONGEST else None
    return None


def seconds_until(value: Any, now: float) -> float | None:
    """Return how long it is until a time, in epoch seconds or as an ISO 8601 date."""
    with suppress(TypeError, ValueError, OverflowError):
        return seconds(float(value) - now)
    with suppress(TypeError, ValueError, OverflowError):
        date = datetime.fromisoformat(value)
        return seconds(date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now)
    return None


def refresh_life(fields: Mapping[str, object]) -> float | None:
    """Return how long the refresh token lives, in seconds: the first that is said, or None."""
    lives = (seconds(fields.get(name)) for name in REFRESH_LIVES)
    return next(filter(None, lives), None)
