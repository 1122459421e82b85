"""
What decides where our secrets go: who may have put it there, and how it is opened.

Root and this user may have, and whoever made a mount that can't be written.
"""

from __future__ import annotations

import errno
import os
import stat
from codecs import BOM_UTF8
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tokenkeep.backends.private_file import sync_folder
from tokenkeep.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 1_000_000
"""No key file, configuration or URL is longer, in bytes."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_AT_ONCE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""Never through a link, and without waiting for whoever is at the other end of a pipe."""

_MOUNTED = ", or mount it read-only, as a container's secret"


class _Unsafe(Exception):
    """What is wrong, and what to do about it."""


def read(
    path: Path,
    what: str,
    *,
    variable: str,
    secret: bool = True,
    unsafe: type[ConfigurationError] = ConfigurationError,
) -> str | None:
    """
    Return the text of a file that nobody else may have made, or can change. None if there is none.

    Where *secret*, nobody else may read it either, unless it is root's, and
    this user is not. None of that is asked of what lies on a mount that can't
    be written, nor on Windows.

    Args:
        path: Where it is.
        what: What it is, with an article, for errors.
        variable: Names it instead.
        secret: Whether there are secrets in it.
        unsafe: Raised for what somebody else may have made, or can read or change.

    Raises:
        ConfigurationError: It can't be read, is no regular file, no text, or beyond `LONGEST`.
    """
    kind: type[ConfigurationError] = ConfigurationError
    hint = f"Name another file in {variable}"
    try:
        real = Path(os.path.realpath(path))
        _expect_file(real)
        if os.name == "posix":
            _expect_believed(path.absolute(), real, secret=secret)
        with real.open("rb") as file:
            content = file.read(LONGEST + 1)
        if len(content) <= LONGEST:
            return content.removeprefix(BOM_UTF8).decode()
        wrong = f"it is longer than {LONGEST:,} bytes"
    except FileNotFoundError:
        if not path.is_symlink():
            return None
        wrong = "it is not a regular file, or a link that leads nowhere"
    except _Unsafe as exc:
        kind, (wrong, hint) = unsafe, exc.args
        hint += f". Or name another file in {variable}"
    except UnicodeDecodeError:
        wrong = "it is not text"
    except OSError as exc:
        wrong = str(exc.strerror)
        if isinstance(exc, PermissionError):
            hint = f"Give this user the right to read it, or name another file in {variable}"
    # Not from within the except: an error of the decoder has all that is in the file.
    raise kind(f"{what} {path} can't be used: {wrong}", hint=hint)


def make_folder(path: Path) -> None:
    """
    Make a folder for this user alone, and those above it that are missing; all on disk.

    Raises:
        OSError: One of them can't be made.
    """
    for each in reversed([each for each in (path, *path.parents) if not each.is_dir()]):
        each.mkdir(mode=0o700, exist_ok=True)  # another process may be faster
        sync_folder(each)


class OwnFolder:
    """
    A folder of this user's alone, held open: what takes its place meanwhile is not touched.

    Args:
        path: Where it is; for errors.
        handle: Its descriptor.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    def names(self) -> list[str]:
        """Return the names of what is in it, in order."""
        return sorted(os.listdir(self._handle))  # noqa: PTH208  # a descriptor

    def read(self, name: str, longest: int) -> bytes:
        """
        Return what is in a file, up to *longest* bytes; nobody is waited for.

        Raises:
            FileNotFoundError: There is none.
            OSError: It can't be read, or is a link or a folder.
        """
        with open(name, "rb", opener=self._opened) as file:  # below a descriptor
            return file.read(longest)

    def write(self, name: str, content: bytes) -> None:
        """
        Put this into a new file, on disk when this returns.

        Raises:
            FileExistsError: Something has this name.
            OSError: It can't be written; what is there now does not count.
        """
        with open(name, "xb", opener=self._opened) as file:  # as above
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def rename(self, name: str, to: str) -> None:
        """Give a file another name, on disk when this returns; it takes the place of one there."""
        os.replace(name, to, src_dir_fd=self._handle, dst_dir_fd=self._handle)
        os.fsync(self._handle)

    def remove(self, name: str) -> None:
        """Remove a file. Silent if there is none."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._handle)

    def _opened(self, name: str, flags: int) -> int:
        return os.open(name, flags | _AT_ONCE, 0o600, dir_fd=self._handle)


@contextmanager
def own_folder(
    path: Path, *, make: bool = False, below: Path | None = None, instead: str = ""
) -> Iterator[OwnFolder]:
    """
    Open a folder that is this user's alone, or root's; rights that others have are taken away.

    Where they can't be taken away, as on some network drives, it is used all the same.

    Args:
        path: Where it is; not a link.
        make: Whether it is made, with those above it, if it is missing.
        below: The folder that was named for it, and which it is in; if that is missing, the
            one above it. None: it is beside a store, ``<store>.journal``. Root makes none
            where that is another user's, who could not use it.
        instead: What else may be done where it can't be used.

    Raises:
        FileNotFoundError: There is none, or none that this user could have made.
        OSError: It can't be opened or made.
        StoreUnavailable: Somebody else made it, or this is root beside what is another user's.
    """
    if not os.path.lexists(path):
        if not make:
            raise FileNotFoundError(errno.ENOENT, "there is none", str(path))
        if os.name != "posix":
            raise OSError(errno.ENOSYS, "on this system no folder is known to be its user's alone")
        if os.geteuid() == 0:
            near = below or path.with_suffix("")
            near = next(each for each in (near, *near.absolute().parents) if each.exists())
            _expect_own(near, near.stat(), instead)
        make_folder(path)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _AT_ONCE)
    try:
        found = os.fstat(handle)
        _expect_own(path, found, instead)
        if found.st_mode & _OTHERS:
            with suppress(OSError):
                os.fchmod(handle, 0o700)
        yield OwnFolder(path, handle)
    finally:
        os.close(handle)


def _expect_own(path: Path, found: os.stat_result, instead: str) -> None:
    if found.st_uid not in _trusted():
        raise StoreUnavailable(
            f"{path} can't be used: it belongs to user {found.st_uid}; it is left as it is",
            hint="If tokenkeep runs as that user here, run this so, too: "
            f"sudo -u '#{found.st_uid}' … Else look who has put it there, and move it away. "
            f"{instead}",
        )


def _trusted() -> set[int]:
    """Return who may have made a file of ours."""
    # Whoever owns / can do anything: in a user namespace that is not always root's number.
    return {0, os.geteuid(), Path("/").stat().st_uid}


def _expect_file(path: Path) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EINVAL, "it is a folder, or not a regular file")


def _expect_believed(path: Path, real: Path, *, secret: bool) -> None:
    """
    Refuse a file that somebody else may have put there, or can change, or read.

    Args:
        path: Its absolute path.
        real: Where that leads.
        secret: As for `read`.
    """
    for each in (*reversed(real.parents), *reversed(path.parents), path, real):
        try:
            found = each.lstat()
        except FileNotFoundError:
            continue
        is_link = stat.S_ISLNK(found.st_mode)
        if os.statvfs(each.parent if is_link else each).f_flag & os.ST_RDONLY:
            continue
        if found.st_uid not in _trusted():
            raise _Unsafe(
                f"{each} belongs to user {found.st_uid}, neither to root nor to who runs this "
                f"({os.geteuid()})",
                f"Let it belong to root or to user {os.geteuid()}, or mount it read-only",
            )
        if stat.S_ISDIR(found.st_mode):
            if _others_write(found) and not found.st_mode & stat.S_ISVTX:
                raise _Unsafe(
                    f"others can exchange what is in the folder {each}",
                    f"Take their right away: chmod go-w {each}",
                )
        elif not is_link:
            _expect_mode(each, found, secret=secret)


def _expect_mode(path: Path, found: os.stat_result, *, secret: bool) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if (mode & _OTHERS_WRITE) if secret else _others_write(found):
        raise _Unsafe(
            f"others can write it (mode {mode:o})",
            f"If nobody has: chmod {'600' if secret else 'go-w'} {path}{_MOUNTED}",
        )
    # Root has opened its own to others on purpose.
    if secret and found.st_uid == os.geteuid() and mode & _OTHERS:
        raise _Unsafe(
            f"others can read it (mode {mode:o})",
            f"If nobody has: chmod 600 {path}{_MOUNTED}. Otherwise put another secret into it",
        )


def _others_write(found: os.stat_result) -> bool:
    """Tell whether others may write; a user's own group, as the umask 002 goes with, is none."""
    mine = found.st_gid == os.getegid()
    return bool(found.st_mode & (stat.S_IWOTH if mine else _OTHERS_WRITE))
