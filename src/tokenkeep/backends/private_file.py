"""Files with tokens in them: for the owner's eyes, safe on disk, errors in sentences."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, NoReturn, TextIO

from tokenkeep.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_log = logging.getLogger(__name__)

_OTHERS = stat.S_IRWXG | stat.S_IRWXO

HINT = (
    "Its folder has to be there, with room in it, and this user be allowed to read and write there"
)
"""What to do about whatever the system says of a file."""


def refuse(path: Path, exc: OSError, instead: str = "") -> NoReturn:
    """
    Raise the error for what a file call raised; *instead* says what else may be done.

    A signal handler may raise a `TimeoutError` of its own in the midst of a
    call; that one has no errno, and is the application's.
    """
    if exc.errno is None:
        raise exc
    hint = ". ".join(filter(None, (HINT, instead)))
    raise StoreUnavailable(f"{path} can't be used: {exc.strerror}", hint=hint) from exc


def look_at(path: Path) -> os.stat_result:
    """Return what `Path.stat` does; `IsADirectoryError` for what is no file: a pipe has no end."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder, or not a regular file", str(path))
    return found


# No function of ours: as it returns a signal handler may raise, and the descriptor is lost.
_private = partial(os.open, mode=0o600)


def create(path: Path) -> None:
    """Create an empty file with mode 0600, if there is none."""
    # Only ever opened when new: SQLite's locks on a file are lost as soon
    # as its process closes any other descriptor of that file.
    with suppress(FileExistsError):
        open(path, "xb", opener=_private).close()


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """
    Write a new file with mode 0600, on disk at the end; nothing is left where that fails.

    Raises:
        FileExistsError: Something is there, if only a link, which is not followed.
        OSError: It can't be written.
    """
    with open(path, "xb", opener=_private) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise


@contextmanager
def appearing(path: Path) -> Iterator[TextIO]:
    """
    Write a file that is there when it is complete, with mode 0600; it never takes another's place.

    Raises:
        FileExistsError: There is one by now.
        OSError: It can't be written.
    """
    if os.path.lexists(path):
        raise FileExistsError
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(aside, "x", encoding="utf-8", newline="", opener=_private) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # A link appears whole and never replaces: the first process wins.
        os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)
        sync_folder(path)  # also another's file, which will be relied on just as well


def tighten(path: Path) -> None:
    """Take a file's rights away from group and others, if it is this user's. Silent if missing."""
    with suppress(FileNotFoundError, PermissionError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & _OTHERS and os.name != "nt":
            path.chmod(mode & ~_OTHERS)
            _log.warning("%s was open to other users (mode %o); it no longer is", path, mode)


def sync_folder(path: Path) -> None:
    """Put the entry of a file in its folder on disk."""
    if os.name != "nt":  # can't open folders there
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
