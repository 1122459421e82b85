"""Environment variables as env files write them: blanks and quotes around a value are no part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


def plain(value: str) -> str:
    r"""Return a value without white space (``\r`` too) and one pair of quotes around it."""
    value = value.strip()
    for quote in ("'", '"'):
        if len(value) > 1 and value[0] == value[-1] == quote:
            return value[1:-1].strip()
    return value


def given(environ: Mapping[str, str], name: str) -> str:
    """Return what a variable holds, as `plain` does; empty if it is unset."""
    return plain(environ.get(name, ""))


def path(environ: Mapping[str, str], name: str) -> Path | None:
    """
    Return the absolute path in a variable; ``~`` is the home. None if it is unset.

    Raises:
        ConfigurationError: There is a ``~`` in it, and no such home.
    """
    text = given(environ, name)
    try:
        return Path(text).expanduser().absolute() if text else None
    except RuntimeError:
        raise ConfigurationError(
            f"{name} names {text}, and there is no such home folder",
            hint="Name an absolute path",
        ) from None
