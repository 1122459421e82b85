"""
What decides where our secrets go: who may have put it there, and who may read it.

Root and this user may have, and whoever made a mount that can't be written.
"""

from __future__ import annotations

import errno
import os
import stat
from codecs import BOM_UTF8
from contextlib import suppress
from pathlib import Path

from tokenkeep.backends.private_file import look_at, sync_folder
from tokenkeep.errors import ConfigurationError, StoreUnavailable

LONGEST = 1_000_000
"""No key file, configuration or URL is longer, in bytes."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


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

    A folder above it where others can put one is refused even then.

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
    kind, cure = ConfigurationError, "Correct that"
    try:
        real = Path(os.path.realpath(path))
        size = look_at(real).st_size if real.exists() else 0
        if doubt := _doubt(real, secret=secret):
            kind, (wrong, cure) = unsafe, doubt
        elif size > LONGEST:
            wrong = f"it is longer than {LONGEST:,} bytes"
        else:
            return real.read_bytes().removeprefix(BOM_UTF8).decode()
    except FileNotFoundError:
        if not path.is_symlink():
            return None
        wrong = "it is a link that leads nowhere"
    except UnicodeDecodeError:
        wrong = "it is not text"
    except OSError as exc:
        wrong = str(exc.strerror)
    # Not from within the except: an error of the decoder has all that is in the file.
    hint = f"{cure}. Or name another file in {variable}"
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


def expect_own_folder(path: Path, *, make: bool = False, instead: str = "") -> None:
    """
    Look whether a folder is this user's, or root's; rights that others have are taken away.

    Where they can't be taken away, as on some network drives, it is used all the same.

    Args:
        path: Where it is; not a link.
        make: Whether it is made, with those above it, if it is missing. Root makes none
            beside a store (``<store>.journal``) or in a folder of another user's, who could
            not use it.
        instead: What else may be done where it can't be used.

    Raises:
        FileNotFoundError: There is none.
        OSError: It can't be opened or made.
        StoreUnavailable: Somebody else made it, or this is root beside what is another user's.
    """
    if not os.path.lexists(path):
        if not make:
            raise FileNotFoundError(errno.ENOENT, "there is none", str(path))
        if os.name != "posix":
            raise OSError(errno.ENOSYS, "on this system no folder is known to be its user's alone")
        if os.geteuid() == 0:
            above = (path.with_suffix(""), *path.absolute().parents)
            near = next(each for each in above if each.exists())
            _expect_own(near, near.stat(), instead)
        make_folder(path)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(handle)
        _expect_own(path, found, instead)
        if found.st_mode & _OTHERS:
            with suppress(OSError):
                os.fchmod(handle, 0o700)
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


def _doubt(path: Path, *, secret: bool) -> tuple[str, str] | None:
    """
    Return how somebody else may have put a file there, or can change or read it, and the cure.

    Args:
        path: Where it is, or would be, with no link in it.
        secret: As for `read`.
    """
    there = [each for each in (path, *path.parents) if each.exists()]
    if os.name != "posix" or os.statvfs(there[0]).f_flag & os.ST_RDONLY:
        return None
    me = os.geteuid()
    for each in reversed(there):
        found = each.stat()
        if found.st_uid not in _trusted():
            wrong = (
                f"{each} belongs to user {found.st_uid}, neither to root nor to this one ({me})"
            )
            return wrong, f"Let it belong to root or to user {me}, or mount it read-only"
        # A user's own group, as the umask 002 goes with, is no other.
        others = stat.S_IWOTH if found.st_gid == os.getegid() else stat.S_IWGRP | stat.S_IWOTH
        is_sticky = each != path and found.st_mode & stat.S_ISVTX
        if found.st_mode & others and not is_sticky:
            return f"others can write to {each}", f"Take their right away: chmod go-w {each}"
        # Root has opened its own to others on purpose.
        if secret and each == path and found.st_uid == me and found.st_mode & _OTHERS:
            wrong = f"others can read or change it (mode {stat.S_IMODE(found.st_mode):o})"
            cure = (
                f"If nobody has: chmod 600 {path}, or mount it read-only, as a container's secret"
            )
            return wrong, f"{cure}. Otherwise put another secret into it"
    return None
