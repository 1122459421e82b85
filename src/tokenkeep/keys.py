"""Where the keys come from: the environment, or a file only its owner can read."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tokenkeep import environment, folders
from tokenkeep.backends import owned, private_file
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

_FLEETING = {"tmpfs": 0, "ramfs": 0, "overlay": 1, "fuse-overlayfs": 1, "aufs": 1}
"""File systems that are gone when the machine starts anew, and those that are with a container."""
_EVER = 2


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
    if path is None or not (environ.get(KEY_FILE, "").strip() or os.path.lexists(path)):
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
    refuse_fleeting(path, beside, _mounts())
    try:
        owned.make_folder(path.parent)
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


def refuse_fleeting(key: Path, data: Path, mounts: list[tuple[str, str, str]]) -> None:
    """
    Refuse a key that is gone with the container while its data stays.

    *mounts* are the mount point, device and file system type of each mount.

    Raises:
        KeyUnsafe: The key would lie on a container's own layer, the data elsewhere.
    """
    key_mount, data_mount = _mount_of(key, mounts), _mount_of(data, mounts)
    if key_mount is None or data_mount is None or key_mount[1] == data_mount[1]:
        return
    if _life(key_mount) < _EVER and _life(key_mount) <= _life(data_mount):
        raise KeyUnsafe(
            f"A key in {key} would be gone with this container, or when the machine starts anew "
            f"({key_mount[2]}), while the tokens in {data} stay",
            hint=f"Give the key in {KEYS}, or let {KEY_FILE} name a file on a volume that "
            f"stays, best another one than the tokens'. {HOW_TO_MAKE}",
        )


def _read(path: Path) -> KeyRing | None:
    """Return the keys in a file. None if there is none."""
    text = owned.read(path, "The key file", variable=KEY_FILE, unsafe=KeyUnsafe)
    if text is None:
        return None
    found = parse_keys(text, str(path))
    if not found:
        raise ConfigurationError(f"The key file {path} holds no key", hint=HOW_TO_MAKE)
    return KeyRing(found)


def _life(mount: tuple[str, str, str]) -> int:
    return _FLEETING.get(mount[2].removeprefix("fuse."), _EVER)


def _mounts() -> list[tuple[str, str, str]]:
    """Return what is mounted where; empty where there is no ``/proc``."""
    lines: list[str] = []
    with suppress(OSError):
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    found = []
    for line in lines:
        _, _, device, _, point, *more = line.split()
        # Blanks and the like in its name are written in octal digits.
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point)
        found.append((point, device, more[more.index("-") + 1]))
    return found


def _mount_of(path: Path, mounts: list[tuple[str, str, str]]) -> tuple[str, str, str] | None:
    real = Path(os.path.realpath(path))
    above = [mount for mount in mounts if real.is_relative_to(mount[0])]
    # The last one of the longest mount points is the one on top.
    return max(reversed(above), key=lambda mount: len(mount[0]), default=None)
