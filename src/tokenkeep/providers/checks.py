"""Whether an option is what it has to be: a configuration file may hold anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from types import UnionType

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OF_THE_CONNECTION = {
    "Host",
    "Content-Length",
    "Transfer-Encoding",
    "Accept-Encoding",
    "Connection",
}

LONGEST = 10 * 365 * 86_400.0
"""Longest duration an option may name: ten years, in seconds."""


def check_seconds(name: str, value: object, *, zero: bool = False) -> None:
    """
    Refuse what is no duration, for the option of that name; *zero* says whether it may be 0.

    Raises:
        ConfigurationError: *value* is not a number of seconds between 0 and `LONGEST`.
    """
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and (0 < value <= LONGEST or (zero and value == 0))
    ):
        return
    least = "0 or more" if zero else "more than 0"
    raise ConfigurationError(f"{name} has to be a number of seconds, {least}, not {value!r}")


def check_count(name: str, value: object) -> None:
    """
    Refuse what is neither None nor a whole number from 1.

    Raises:
        ConfigurationError: It is something else.
    """
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return
    raise ConfigurationError(f"{name} has to be a whole number, 1 or more, not {value!r}")


def check_type(name: str, value: object, kind: type | UnionType, *, expected: str) -> None:
    """
    Refuse what is not of a type, which *expected* has in words, for the option of that name.

    Raises:
        ConfigurationError: *value* is of another type.
    """
    if not isinstance(value, kind):
        raise ConfigurationError(f"{name} has to be {expected}, not {value!r}")


def check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    """
    Refuse what is not one of the texts that are known, for the option of that name.

    Raises:
        ConfigurationError: *value* is something else.
    """
    if value not in known:
        listed = f"{', '.join(known[:-1])} or {known[-1]}"
        raise ConfigurationError(f"{name} has to be {listed}, not {value!r}")


class Hidden(dict[str, Any]):
    """What may be secret. Crash reports show the locals of each frame: not this."""

    def __repr__(self) -> str:
        return "<...>"


def check_texts(name: str, given: Hidden) -> Hidden:
    """
    Return the option of that name out of those *given*: a table of texts, which no error shows.

    Raises:
        ConfigurationError: It is something else.
    """
    if not isinstance(given[name] or {}, Mapping):
        raise ConfigurationError(f"{name} has to be a table of texts")
    known = Hidden(given[name] or {})
    for each in known:
        if not (isinstance(each, str) and each and isinstance(known[each], str)):
            raise ConfigurationError(f"{name}: {each} has to be a text")
    return known


def check_headers(given: Hidden) -> Hidden:
    """
    Return the option ``headers``, as `check_texts`, with names written as in ``User-Agent``.

    Raises:
        ConfigurationError: Likewise; or one can't be sent, or is the connection's to set.
    """
    known = check_texts("headers", given)
    for name in known:
        if not _HEADER.fullmatch(name) or name.title() in _OF_THE_CONNECTION:
            raise ConfigurationError(f"headers: {name!r} is not a header that can be set")
        if not (known[name].isascii() and known[name].isprintable()):
            raise ConfigurationError(f"headers: {name} has to be visible ASCII")
    return Hidden({name.title(): known[name] for name in known})
