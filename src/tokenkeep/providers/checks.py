"""Whether an option is what it has to be: a configuration file may hold anything."""

from __future__ import annotations

from tokenkeep.errors import ConfigurationError

LONGEST = 10 * 365 * 86_400.0
"""Longest duration an option may name: ten years, in seconds."""

_WORDS = ((str, "a text"), (list, "a list"), (dict, "a table"))


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


def check_type(name: str, value: object, kind: type, *, expected: str) -> None:
    """
    Refuse what is not of a type, which *expected* has in words, for the option of that name.

    Raises:
        ConfigurationError: *value* is of another type.
    """
    if not isinstance(value, kind):
        # A text, or what is in a list or table, may be a secret in the wrong place.
        shown = next((words for each, words in _WORDS if isinstance(value, each)), repr(value))
        raise ConfigurationError(f"{name} has to be {expected}, not {shown}")
