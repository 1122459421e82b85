"""Where the keys come from: the environment, or a file only its owner can read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tokenkeep import environment, folders
from tokenkeep.backends import private_file
from tokenkeep.backends.frames import without_frames
from tokenkeep.errors import ConfigurationError, KeyUnsafe
from tokenkeep.events import logger
from tokenkeep.sealing import KeyRing, generate_key, parse_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = "TOKENKEEP_KEYS"
KEY_FILE = "TOKENKEEP_KEY_FILE"

HOW_TO_MAKE = (
    f"Make one with 'tokenkeep keys generate' and give it in {KEYS}, "
    f"or in a file that {KEY_FILE} names (mode 0600)"
)

_HEADER = "# Keys of tokenkeep, newest first. Without them the stored tokens are lost."

_GOES = {"tmpfs", "ramfs", "overlay", "fuse.fuse-overlayfs", "aufs"}
"""Kinds of file systems that are gone with their container, or when it or the machine stops."""


def key_file(environ: Mapping[str, str]) -> Path | None:
    """Return where the key file is, or would be. None if none is named, and there is no home."""
    home = folders.config()
    return environment.path(environ, KEY_FILE) or (home and home / "keys")


@without_frames
def load(environ: Mapping[str, str]) -> KeyRing | None:
    """
    Return the keys of the environment, else those of the key file. None if there are none.

    Raises:
        ConfigurationError: What is there is not a key, or can't be read.
        KeyUnsafe: Others can read the key file, or may have made it.
    """
    given = parse_keys(environment.given(environ, KEYS), KEYS)
    if given:
        return KeyRing(given)
    path = key_file(environ)
    # A home that this user may not enter has no key of his.
    if path is None or not (environment.given(environ, KEY_FILE) or os.path.lexists(path)):
        return None
    return _read(path)


@without_frames
def make(path: Path | None, *, beside: Path) -> KeyRing:
    """
    Make a key file with one new key, and its folder, unless another process just did.

    *beside* is the data that it protects. Without a *path* there is no place for it.

    Raises:
        KeyUnsafe: *path* would not survive what the data survives.
        ConfigurationError: It can't be written.
    """
    if path is None:
        said = "There is no key, and no home folder to make one in"
        raise ConfigurationError(said, hint=HOW_TO_MAKE)
    mount, kind = _mount(path)
    if kind in _GOES and mount != _mount(beside)[0]:
        raise KeyUnsafe(
            f"A key in {path} would be gone with this container, or when the machine starts "
            f"anew ({kind}), while the tokens in {beside} may stay",
            hint=f"Give the key in {KEYS}, or let {KEY_FILE} name a file on a volume that "
            f"stays, best another one than the tokens'. {HOW_TO_MAKE}",
        )
    try:
        private_file.make_folder(path.parent)
        # Also looks whether a key may be there at all.
        if (ring := _read(path)) is not None:
            return ring
        with suppress(FileExistsError):
            with private_file.appearing(path) as file:
                file.write(f"{_HEADER}\n{generate_key()}\n")
            logger.warning(
                "A new key was made in %s: back it up, without it the stored tokens are lost", path
            )
    except OSError as exc:
        said = f"The key file {path} can't be written: {exc.strerror}"
        raise ConfigurationError(said, hint=HOW_TO_MAKE) from exc
    if (ring := _read(path)) is None:
        raise ConfigurationError(f"The key file {path} is gone again", hint=HOW_TO_MAKE)
    return ring


def _read(path: Path) -> KeyRing | None:
    """Return the keys in a file. None if there is none."""
    text = private_file.read(path, "The key file", variable=KEY_FILE, unsafe=KeyUnsafe)
    if text is None:
        return None
    found = parse_keys(text, str(path))
    if not found:
        raise ConfigurationError(f"The key file {path} holds no key", hint=HOW_TO_MAKE)
    return KeyRing(found)


def _mount(path: Path) -> tuple[str, str]:
    """Return where what a path is on is mounted, and its kind; empty where there is no /proc."""
    kinds: dict[str, str] = {}
    with suppress(OSError):
        for line in Path("/proc/self/mounts").read_bytes().splitlines():
            _, point, kind, *_ = os.fsdecode(line).split(" ")
            kinds[point] = kind  # of several on one point the last one is on top
    real = path.resolve()
    points = (str(at) for at in (real, *real.parents))
    return next(((at, kinds[at]) for at in points if at in kinds), ("", ""))
