"""Whether an option is what it has to be: a configuration file may hold anything."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 10 * 365 * 86_400.0
"""Longest duration an option may name: ten years, in seconds."""


def expect(name: str, value: object, expected: str, *, so: bool) -> None:
    """Raise `ConfigurationError` unless an option is *so* as it is *expected*, in words."""
    if not so:
        # A text, or what is in a list or table, may be a secret in the wrong place.
        kinds = ((str, "a text"), (list, "a list"), (dict, "a table"))
        shown = next((words for kind, words in kinds if isinstance(value, kind)), repr(value))
        raise ConfigurationError(f"{name} has to be {expected}, not {shown}")


def expect_seconds(name: str, value: object, *, zero: bool = False) -> None:
    """Raise `ConfigurationError` unless an option is in seconds, up to `LONGEST`; 0 if *zero*."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    so = is_number and (0 < value <= LONGEST or (zero and value == 0))  # type: ignore[operator]
    least = "0 or more" if zero else "more than 0"
    expect(name, value, f"a number of seconds, {least}", so=so)


def expect_taken(given: Mapping[str, object], make: Callable[..., object], what: str) -> None:
    """Raise `ConfigurationError` unless *make* takes the options *given*; shows their names."""
    signature = inspect.signature(make)
    try:
        signature.bind(**dict.fromkeys(given))
    except TypeError as exc:
        hint = f"It takes {', '.join(signature.parameters)}"
        raise ConfigurationError(f"{what}: {exc}", hint=hint) from None


class Hidden(dict[str, Any]):
    """What may be secret. Crash reports show the locals of each frame: not this."""

    def __repr__(self) -> str:
        return "<...>"


def texts(name: str, given: object) -> Hidden:
    """Return an option that is a table of texts, or None: an empty one. No error shows them."""
    known = {} if given is None else given
    if not isinstance(known, Mapping):
        raise ConfigurationError(f"{name} has to be a table of texts")
    for each in known:
        if not (isinstance(each, str) and each and isinstance(known[each], str)):
            raise ConfigurationError(f"{name}: {each} has to be a text")
    return Hidden(known)
