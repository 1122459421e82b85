"""
Files for this user alone: who may have made them, how they are written, and what can go wrong.

What decides where our secrets go may be root's or this user's, or lie on a mount that can't be
written: whoever made that may do anything.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import stat
from codecs import BOM_UTF8
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn, TextIO

from tokenkeep.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger(__name__)

_OTHERS = stat.S_IRWXG | stat.S_IRWXO

_ANOTHER = "Put another secret into it, or, if nobody has, "

LONGEST = 1_000_000
"""No key file or configuration is longer, in bytes."""

HINT = "Its folder has to be there, with room, and this user be allowed to read and write there"
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
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
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


def open_to_append(path: Path) -> int:
    """
    Open a file to read and to append to, made with mode 0600, and its folder, if it is missing.

    It has to be this user's or root's, and so has its folder, where nobody else may exchange it;
    its mode is tightened. Root's are the folder's owner's, whose programs write there too.

    Returns:
        A descriptor.

    Raises:
        OSError: It can't be opened or made, or is a link, or no regular file.
        StoreUnavailable: Somebody else has made it, or can exchange it.
    """
    if not path.parent.is_dir():
        make_folder(path.parent)
    folder = expect_shared(path.parent)
    is_root, is_new = os.geteuid() == 0, False
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        file = os.open(path, flags)
    except FileNotFoundError:
        file, is_new = os.open(path, flags | os.O_CREAT, 0o600), True
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            refuse(path, IsADirectoryError(errno.EISDIR, "it is not a regular file"))
        if is_root and is_new:
            os.fchown(file, folder.st_uid, folder.st_gid)
        found = os.fstat(file)
        if not is_root or found.st_uid != folder.st_uid:
            _expect_own(path, found, "")
        tighten(path)
        if is_new:
            sync_folder(path)
    except BaseException:
        os.close(file)
        raise
    return file


def expect_shared(path: Path) -> os.stat_result:
    """
    Look whether a folder is this user's or root's, to root anybody's, and not open to all.

    Raises:
        StoreUnavailable: It is not.
    """
    found = path.stat()
    if os.geteuid() != 0:
        _expect_own(path, found, "")
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise StoreUnavailable(
            f"{path} can't be used: others can write to it",
            hint=f"Take their right away: chmod o-w {path}",
        )
    return found


def tighten(path: Path) -> None:
    """Take a file's rights away from group and others, if it is this user's. Silent if missing."""
    with suppress(FileNotFoundError, PermissionError):
        found = path.lstat()
        mode = stat.S_IMODE(found.st_mode)
        if mode & _OTHERS and os.name != "nt" and not stat.S_ISLNK(found.st_mode):
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


# What decides where our secrets go


def read(
    path: Path,
    what: str,
    *,
    variable: str,
    secret: bool = True,
    private: bool = False,
    unsafe: type[ConfigurationError] = ConfigurationError,
) -> str | None:
    """
    Return the text of a file that nobody else may have made, or can change. None if there is none.

    Where there is none and others can put one, that is refused, too.

    Where *secret*, nobody else may read it either, unless it is root's, and
    this user is not. None of that is asked of what lies on a mount that can't
    be written, nor on Windows.

    Args:
        path: Where it is.
        what: What it is, with an article, for errors.
        variable: Names it instead.
        secret: Whether there are secrets in it.
        private: Whether nobody else may read it though there are none.
        unsafe: Raised for what somebody else may have made, or can read or change.

    Raises:
        ConfigurationError: It can't be read, is no regular file, no text, or beyond `LONGEST`.
    """
    kind, cure = ConfigurationError, "Correct that"
    try:
        real = Path(os.path.realpath(path))
        size = look_at(real).st_size if real.exists() else 0
        if doubt := _doubt(real, secret=secret or private):
            kind, (wrong, cure) = unsafe, doubt
            cure = cure.removeprefix(_ANOTHER) if private else cure
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
    if os.name != "posix":
        return None
    me = os.geteuid()
    for each in (*reversed(path.parents), path):
        if not each.exists() or os.statvfs(each).f_flag & os.ST_RDONLY:
            continue
        found = each.stat()
        if found.st_uid not in _trusted():
            cure = f"Let it belong to root or to this user ({me}), or mount it read-only"
            return f"{each} belongs to user {found.st_uid}", cure
        # A user's own group, as the umask 002 goes with, is no other.
        others = stat.S_IWOTH if found.st_gid == os.getegid() else stat.S_IWGRP | stat.S_IWOTH
        is_sticky = each != path and found.st_mode & stat.S_ISVTX
        if found.st_mode & others and not is_sticky:
            return f"others can write to {each}", f"Take their right away: chmod go-w {each}"
        # Root has opened its own to others on purpose.
        if secret and each == path and found.st_uid == me and found.st_mode & _OTHERS:
            wrong = f"others can read or change it (mode {stat.S_IMODE(found.st_mode):o})"
            cure = f"{_ANOTHER}chmod 600 {path}"
            return wrong, f"{cure}; or mount it read-only, as a container's secret"
    return None
