"""Where the keys come from: the environment, or a file only its owner can read."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tokenkeep import folders
from tokenkeep.backends import private_file
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

_FLEETING = ("overlay", "aufs")
"""File systems of containers: gone with the container."""


def key_file(environ: Mapping[str, str]) -> Path:
    """Return where the key file is, or would be."""
    named = environ.get(KEY_FILE, "").strip()
    if named:
        return Path(named).expanduser().absolute()
    return folders.config() / "keys"


def load(environ: Mapping[str, str]) -> KeyRing | None:
    """
    Return the keys of the environment, else those of the key file. None if there are none.

    Raises:
        ConfigurationError: What is there is not a key, or can't be read.
        KeyUnsafe: Others can read the key file.
    """
    given = parse_keys(environ.get(KEYS, ""), KEYS)
    if given:
        return KeyRing(given)
    path = key_file(environ)
    text = _read_private(path)
    if text is None:
        return None
    found = parse_keys(text, str(path))
    if not found:
        raise ConfigurationError(f"The key file {path} holds no key", hint=HOW_TO_MAKE)
    return KeyRing(found)


def make(path: Path, *, beside: Path) -> KeyRing:
    """
    Make a key file with one new key, and its folder, unless another process just did.

    *beside* is the data that it protects.

    Raises:
        KeyUnsafe: *path* would not survive what the data survives.
        ConfigurationError: It can't be written.
    """
    refuse_fleeting(path, beside, _mounts())
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            with private_file.appearing(path) as file:
                file.write(f"{_HEADER}\n{generate_key()}\n")
            logger.warning(
                "A new key was made in %s: back it up, without it the stored tokens are lost", path
            )
    except OSError as exc:
        raise ConfigurationError(
            f"The key file {path} can't be written: {exc.strerror}", hint=HOW_TO_MAKE
        ) from exc
    text = _read_private(path)
    return KeyRing(parse_keys(text or "", str(path)))


def refuse_fleeting(key: Path, data: Path, mounts: list[tuple[str, str, str]]) -> None:
    """
    Refuse a key that is gone with the container while its data stays.

    *mounts* are the mount point, device and file system type of each mount.

    Raises:
        KeyUnsafe: The key would lie on a container's own layer, the data elsewhere.
    """
    key_mount, data_mount = _mount_of(key, mounts), _mount_of(data, mounts)
    if key_mount is None or data_mount is None:
        return
    if key_mount[2] in _FLEETING and key_mount[1] != data_mount[1]:
        raise KeyUnsafe(
            f"A key in {key} would be gone with this container, while the tokens in {data} stay",
            hint=f"Give the key in {KEYS}, or let {KEY_FILE} name a file on a volume that "
            f"stays, best another one than the tokens'. {HOW_TO_MAKE}",
        )


def _read_private(path: Path) -> str | None:
    """Return the text of a file. None if there is none."""
    try:
        # Not Path.open(): a pipe would be waited for without end, and be read only once.
        with open(path, encoding="utf-8", opener=_at_once) as file:
            found = os.fstat(file.fileno())
            if os.name == "posix" and stat.S_IMODE(found.st_mode) & 0o077:
                raise KeyUnsafe(
                    f"Others can read the key file {path}",
                    hint=f"If nobody has: chmod 600 {path}. Otherwise put a new key on top of it",
                )
            return file.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not text"
        raise ConfigurationError(
            f"The key file {path} can't be read: {reason}",
            hint=f"Let it belong to the user who runs this, or name another one in {KEY_FILE}",
        ) from exc


def _at_once(path: str, flags: int) -> int:
    """
    Open a regular file, without waiting for anybody.

    Raises:
        OSError: It is something else, or can't be opened.
    """
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return handle


def _mounts() -> list[tuple[str, str, str]]:
    """Return what is mounted where; empty where there is no ``/proc``."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split()
        found.append((fields[4].replace("\\040", " "), fields[2], after.split()[0]))
    return found


def _mount_of(path: Path, mounts: list[tuple[str, str, str]]) -> tuple[str, str, str] | None:
    real = Path(os.path.realpath(path))
    above = [mount for mount in mounts if real.is_relative_to(mount[0])]
    # The last one of the longest mount points is the one on top.
    return max(reversed(above), key=lambda mount: len(mount[0]), default=None)
