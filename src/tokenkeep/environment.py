"""Environment variables as env files write them: blanks around them, quotes that stay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_QUOTES = ("'", '"')


def given(environ: Mapping[str, str], name: str, *, secret: bool = True) -> str:
    r"""
    Return what a variable holds, without white space around it (``\r`` too); empty if unset.

    Args:
        environ: The environment.
        name: Of the variable.
        secret: Whether an error may not repeat what is in it.

    Raises:
        ConfigurationError: There is a literal quote at an end, which no shell has taken away.
    """
    value = environ.get(name, "").strip()
    ends = [quote if quote in _QUOTES else "" for quote in (value[:1], value[-1:])]
    if not any(ends):
        return value
    shown = "…".join(ends) if secret else value
    del value, environ  # crash reports show the locals of each frame
    raise ConfigurationError(
        f"{name} has literal quotes in it: {shown}",
        hint="Write it without: docker's --env-file keeps them, as YAML does inside other quotes",
    )


def path(environ: Mapping[str, str], name: str) -> Path | None:
    """
    Return the absolute path in a variable; ``~`` is the home. None if it is unset.

    Raises:
        ConfigurationError: There are quotes in it, or a ``~`` where there is no home.
    """
    text = given(environ, name, secret=False)
    if not text:
        return None
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ConfigurationError(
            f"{name} names {text}, and there is no such home folder",
            hint="Name an absolute path",
        ) from None
