"""Where sealed records are kept: one file each, imported when used."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from tokenkeep.backends.base import Backend, Record
from tokenkeep.backends.frames import without_frames
from tokenkeep.backends.urls import StoreURL, scheme_of
from tokenkeep.errors import DriverMissing, UnknownName

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["BACKENDS", "Backend", "Kind", "Record", "file_of", "kind_of", "open_backend"]

ENTRY_POINTS = "tokenkeep.backends"
"""
The group in which other packages offer a backend: the name is the scheme, the
object takes the URL and returns a `Backend`, as ``my_package:MyBackend.from_url``.
"""


class Kind(NamedTuple):
    """
    Where a backend is, and where what it keeps.

    Args:
        module: Imported when the first such store is opened.
        name: Its class there; ``from_url`` takes the URL.
        place: The records are in the memory of this process, in a file of this
            machine that the URL names by its path, or with a server.
        extra: What to install for its driver. None if nothing is needed.
    """

    module: str
    name: str
    place: Literal["memory", "file", "server"]
    extra: str | None = None


BACKENDS = {
    "memory": Kind("tokenkeep.backends.memory", "MemoryBackend", "memory"),
    "sqlite": Kind("tokenkeep.backends.sqlite", "SQLiteBackend", "file"),
    "file": Kind("tokenkeep.backends.file", "FileBackend", "file"),
    "mysql": Kind("tokenkeep.backends.sql", "SQLBackend", "server", "mysql"),
    "postgresql": Kind("tokenkeep.backends.sql", "SQLBackend", "server", "postgres"),
    "redis": Kind("tokenkeep.backends.redis", "RedisBackend", "server", "redis"),
    "rediss": Kind("tokenkeep.backends.redis", "RedisBackend", "server", "redis"),
    "aws-secretsmanager": Kind(
        "tokenkeep.backends.secretsmanager", "SecretsManagerBackend", "server", "aws"
    ),
    "dynamodb": Kind("tokenkeep.backends.dynamodb", "DynamoDBBackend", "server", "aws"),
}
"""The backends that come with tokenkeep, by the scheme of their URL."""


@without_frames
def open_backend(url: str) -> Backend:
    """
    Open the backend that a URL names.

    Args:
        url: Such as ``sqlite:///tokens.db``; docs/stores.md lists them all.

    Raises:
        UnknownName: No backend has this scheme.
        DriverMissing: What the backend needs is not installed.
        ConfigurationError: The rest of the URL is wrong.
        StoreError: The store can't be opened.
    """
    kind, scheme = kind_of(url), scheme_of(url)
    try:
        if kind is None:
            opener = _entry_point(scheme).load()
        else:
            opener = getattr(import_module(kind.module), kind.name).from_url
    except ModuleNotFoundError as exc:
        package = f"'tokenkeep[{kind.extra}]'" if kind and kind.extra else exc.name
        raise DriverMissing(
            f"A {scheme} store needs the module {exc.name}, which is not installed",
            hint=f"Install it: pip install {package}",
        ) from exc
    return cast("Backend", opener(url))


def kind_of(url: str) -> Kind | None:
    """
    Return the kind of backend that a URL names. None for one of another package, or of none.

    Raises:
        ConfigurationError: It is no URL.
    """
    return BACKENDS.get(scheme_of(url))


@without_frames
def file_of(url: str) -> Path | None:
    """
    Return the file that a URL names as a store, be it there or not. None if it names none.

    Raises:
        ConfigurationError: It is no URL, or has no path where one belongs.
    """
    kind = kind_of(url)
    if kind is None or kind.place != "file":
        return None
    return Path(os.path.realpath(StoreURL.parse(url).path()))


def _entry_point(scheme: str) -> EntryPoint:
    from importlib.metadata import entry_points

    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if scheme in found:
        return found[scheme]
    raise UnknownName(
        f"There is no kind of store named {scheme!r}",
        hint=f"Known: {', '.join(sorted({*BACKENDS, *found}))}",
    )
