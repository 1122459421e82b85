"""
What decides where our secrets go: who may have put it there, and how it is opened.

Root and this user may have, and whoever made a mount that can't be written: what
they own is believed, and links are followed where one of them made each link, and
nobody else could have changed the folders on the way.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from codecs import BOM_UTF8
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tokenkeep.backends.private_file import refuse, sync_folder
from tokenkeep.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger(__name__)

LONGEST = 1_000_000
"""No key file, configuration or URL is longer, in bytes."""

_POSIX = os.name == "posix"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_FLAGS = ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY")
_AT_ONCE = sum(getattr(os, name, 0) for name in _FLAGS)
"""Never through a link, and without waiting for whoever is at the other end of a pipe."""
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _AT_ONCE
_LINKS = 40
_NOTHING = (FileNotFoundError, NotADirectoryError, PermissionError)
_ODD = {
    errno.ELOOP: "it is a link",
    errno.EINVAL: "it is no file",
    errno.ENXIO: "it is no file",  # a pipe that nobody reads
}

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

    Where *secret*, nobody else may read it either. That is not asked of what
    lies on a mount that can't be written, or is root's and not ours to change:
    as secrets are mounted into containers.

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
        where = path
        if _POSIX:
            where = _walked(path, os.geteuid())
            _expect_file(where.lstat())
        handle = os.open(where, os.O_RDONLY | _AT_ONCE)
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            _expect_file(found)
            if _POSIX and not _is_read_only(handle):
                _expect_owner("it", found, os.geteuid())
                is_ours = found.st_uid == os.geteuid() or _is_exchangeable(where.parent)
                _expect_mode(path, found, secret=secret, is_ours=is_ours)
            content = file.read(LONGEST + 1)
        if len(content) <= LONGEST:
            return content.removeprefix(BOM_UTF8).decode()
        wrong = f"it is longer than {LONGEST:,} bytes"
    except FileNotFoundError:
        return None
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
        handle: Its descriptor. None where folders have none; then it goes by its path.
        owner: Whose its files are, a user id.
    """

    def __init__(self, path: Path, handle: int | None, owner: int | None) -> None:
        self.path = path
        self._handle = handle
        self._owner = owner

    def names(self) -> list[str]:
        """Return the names of what is in it, in order."""
        return sorted(os.listdir(self.path if self._handle is None else self._handle))  # noqa: PTH208  # a descriptor

    def read(self, name: str, longest: int) -> bytes:
        """
        Return what is in a file, up to *longest* bytes; `FileNotFoundError` if there is none.

        Raises:
            StoreUnavailable: It is something else or somebody else's, or can't be read.
        """
        with os.fdopen(self._opened(name, os.O_RDONLY), "rb") as file:
            return file.read(longest)

    def write(self, name: str, content: bytes) -> None:
        """
        Put this and nothing else into a file, new or not; on disk when this returns.

        Raises:
            StoreUnavailable: As for `read`.
            OSError: It can't be written; what is there now does not count.
        """
        handle = self._opened(name, os.O_WRONLY | os.O_CREAT)
        with os.fdopen(handle, "wb") as file:
            if self._owner is not None and os.geteuid() == 0:
                os.fchown(handle, self._owner, -1)
            file.write(content)
            file.truncate()
            file.flush()
            os.fsync(handle)

    def rename(self, name: str, to: str) -> None:
        """Give a file another name, on disk when this returns; it takes the place of one there."""
        os.replace(self._at(name), self._at(to), src_dir_fd=self._handle, dst_dir_fd=self._handle)
        if self._handle is not None:
            os.fsync(self._handle)

    def remove(self, name: str) -> None:
        """Remove a file. Silent if there is none."""
        with suppress(FileNotFoundError):
            os.unlink(self._at(name), dir_fd=self._handle)

    def changed_at(self, name: str) -> float:
        """Return when a file was written last, in epoch seconds."""
        return os.stat(self._at(name), dir_fd=self._handle, follow_symlinks=False).st_mtime

    def _at(self, name: str) -> str:
        return name if self._handle is not None else str(self.path / name)

    def _opened(self, name: str, flags: int) -> int:
        path = self.path / name
        try:
            handle = os.open(self._at(name), flags | _AT_ONCE, 0o600, dir_fd=self._handle)
            try:
                found = os.fstat(handle)
                _expect_file(found)
                if self._owner is not None:
                    _expect_own(path, found, self._owner, alone=bool(flags & os.O_WRONLY))
            except BaseException:
                os.close(handle)
                raise
        except FileNotFoundError:
            raise
        except OSError as exc:
            if exc.errno in _ODD:
                raise _foreign(path, _ODD[exc.errno]) from exc
            refuse(path, exc)
        return handle


@contextmanager
def own_folder(
    path: Path,
    *,
    make: bool = False,
    like: Path | None = None,
    below: Path | None = None,
    instead: str = "",
) -> Iterator[OwnFolder]:
    """
    Open a folder that is this user's alone, or root's; rights that others have are taken away.

    Where they can't be, that is warned of once.

    Args:
        path: Where it is; not a link.
        make: Whether it is made, with those above it, if it is missing.
        like: A file that it belongs to: for root, the folder is its owner's as well.
        below: The folder that was named for it, and which it is in; for root as *like*, and if
            it is missing, the one above it counts. All folders and links on the way have to be
            root's or this owner's.
        instead: What else may be done where they are not.

    Raises:
        FileNotFoundError: There is none, or none that this user could have made.
        OSError: It can't be opened or made.
        StoreUnavailable: Somebody else made it or what is on the way, or it is no folder.
    """
    if not _POSIX:
        if make:
            make_folder(path)
        path.lstat()
        yield OwnFolder(path, None, None)
        return
    owner = _owner_of(below or like)
    try:
        if below is not None:
            path = _walked(path.parent, owner, closed=False, make=make) / path.name
        handle = _folder(path, None if below else owner, make=make)
    except _Unsafe as exc:
        hint = _for_root(f"Let it belong to root or to user {owner}. {instead}")
        raise StoreUnavailable(f"{path} can't be used: {exc.args[0]}", hint=hint) from None
    except _NOTHING as exc:
        # Where this user can't go there is nothing of his.
        if make or os.path.lexists(path):
            raise
        raise FileNotFoundError(errno.ENOENT, "there is none", str(path)) from exc
    try:
        found = os.fstat(handle)
        _expect_own(path, found, owner)
        if os.geteuid() == 0 and found.st_uid != owner:
            with suppress(OSError):  # on a file system that knows no owners
                os.fchown(handle, owner, -1)
        if (mode := stat.S_IMODE(found.st_mode)) & _OTHERS:
            with suppress(OSError):  # root's, or on a file system that knows no modes
                os.fchmod(handle, 0o700)
            if os.fstat(handle).st_mode & _OTHERS:
                _warn_of_open(path, mode)
            else:
                _log.warning("%s was open to other users (mode %o); it no longer is", path, mode)
        yield OwnFolder(path, handle, os.fstat(handle).st_uid)
    finally:
        os.close(handle)


def _folder(path: Path, owner: int | None, *, make: bool) -> int:
    """Open a folder, made as `_make` does if it is missing; refuse what is none."""
    if make and not os.path.lexists(path):
        make_folder(path.parent)
        _make(path, owner)
    try:
        return os.open(path, _FOLDER)
    except OSError as exc:
        if exc.errno not in (errno.ELOOP, errno.ENOTDIR) or not os.path.lexists(path):
            raise
        raise _foreign(path, "it is a link" if path.is_symlink() else "it is no folder") from None


def _owner_of(near: Path | None) -> int:
    """Return this user; for root, him whose *near* is, or else the nearest folder above it."""
    if near is not None and os.geteuid() == 0:
        for each in (near, *near.absolute().parents):
            with suppress(OSError):
                return each.stat().st_uid
    return os.geteuid()


def _make(path: Path, owner: int | None = None) -> None:
    """Make a folder, on disk; for root as *owner*'s, or None: his who has the folder above it."""
    above = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(FileExistsError):  # another process was faster
            os.mkdir(path.name, 0o700, dir_fd=above)
            if os.geteuid() == 0:
                # Never by its path: whoever it goes to could put another of root's there.
                handle = os.open(path.name, _FOLDER, dir_fd=above)
                try:
                    os.fchown(handle, os.fstat(above).st_uid if owner is None else owner, -1)
                finally:
                    os.close(handle)
        os.fsync(above)
    finally:
        os.close(above)


def _expect_own(path: Path, found: os.stat_result, owner: int, *, alone: bool = False) -> None:
    """Refuse what is somebody else's; *alone*: also what others may have linked there, of ours."""
    if found.st_uid not in (0, owner, os.geteuid()):
        raise _foreign(path, f"it belongs to user {found.st_uid}")
    if alone and found.st_nlink > 1:
        raise _foreign(path, "it has another name elsewhere")


def _foreign(path: Path, why: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"{path} can't be used: {why}; it is left as it is",
        hint=_for_root("Look who has put it there, and move it away; tokenkeep makes its own"),
    )


def _for_root(hint: str) -> str:
    """Return what to do; for root first what is likelier: a service has its answers there."""
    likelier = "If tokenkeep runs as its owner here, run this as that user, too. Else: "
    return f"{likelier}{hint}" if _POSIX and os.geteuid() == 0 else hint


def _walked(path: Path, owner: int, *, closed: bool = True, make: bool = False) -> Path:
    """Return where a path leads, by links and folders of root's and *owner*'s only."""
    here, links = Path("/"), 0
    read_only = _expect_way(here, here.lstat(), owner, closed=closed)
    rest = list(path.absolute().parts[:0:-1])
    while rest:
        name = rest.pop()
        if name == ".." or name.startswith("/"):
            here = here.parent if name == ".." else Path("/")
            continue
        at = here / name
        try:
            found = at.lstat()
        except FileNotFoundError:
            if os.path.lexists(path):  # links of /proc lead to what has no name, such as a pipe
                wrong = "it is not a regular file, or a link that leads nowhere"
                raise OSError(errno.EINVAL, wrong) from None
            if not make:
                raise
            _make(at)
            found = at.lstat()
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _LINKS:
                raise OSError(errno.ELOOP, "its links go in a circle")
            if not read_only:
                _expect_owner(f"the link {at}", found, owner)
            rest += at.readlink().parts[::-1]
            continue
        here = at
        if stat.S_ISDIR(found.st_mode):
            read_only = _expect_way(here, found, owner, closed=closed)
    return here


def _expect_way(folder: Path, found: os.stat_result, owner: int, *, closed: bool) -> bool:
    """
    Refuse a folder that is neither root's nor *owner*'s; return whether it can't be written.

    Where others can exchange what is in it: refused too if *closed*, else warned of once.
    """
    if _is_read_only(folder):
        return True
    # Whoever owns / can do anything: in a user namespace that is not always root's number.
    if found.st_uid != Path("/").lstat().st_uid:
        _expect_owner(f"the folder {folder}", found, owner)
    if _others_write(found) and not found.st_mode & stat.S_ISVTX:
        if closed:
            raise _Unsafe(
                f"others can exchange what is in the folder {folder}",
                f"Take their right away: chmod go-w {folder}",
            )
        if not folder.is_mount():  # volumes of containers are open, to nobody else
            _warn_of_open(folder, stat.S_IMODE(found.st_mode))
    return False


def _others_write(found: os.stat_result) -> bool:
    """Tell whether others may write; a user's own group, as the umask 002 goes with, is none."""
    mine = found.st_gid == os.getegid()
    return bool(found.st_mode & (stat.S_IWOTH if mine else _OTHERS_WRITE))


@cache
def _warn_of_open(folder: Path, mode: int) -> None:
    _log.warning(
        "%s is open to other users (mode %o): who may write there can take away the answers "
        "that wait below it, though not read them: they are sealed. If you can: chmod go-w %s",
        folder,
        mode,
        folder,
    )


def _expect_owner(what: str, found: os.stat_result, owner: int) -> None:
    if found.st_uid not in (0, owner):
        who = "who runs this" if owner == os.geteuid() else "whose it is"
        raise _Unsafe(
            f"{what} belongs to user {found.st_uid}, neither to root nor to {who} ({owner})",
            f"Let it belong to root or to user {owner}, or mount it read-only",
        )


def _expect_mode(path: Path, found: os.stat_result, *, secret: bool, is_ours: bool) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if (mode & _OTHERS_WRITE) if secret else _others_write(found):
        raise _Unsafe(
            f"others can write it (mode {mode:o})",
            f"If nobody has: chmod {'600' if secret else 'go-w'} {path}{_MOUNTED}",
        )
    # What only root can change, root has opened to others on purpose.
    if secret and is_ours and mode & _OTHERS:
        raise _Unsafe(
            f"others can read it (mode {mode:o})",
            f"If nobody has: chmod 600 {path}{_MOUNTED}. Otherwise put another secret into it",
        )


def _is_exchangeable(folder: Path) -> bool:
    """Tell whether this user can put another file in the place of one of root's."""
    found = folder.stat()
    if found.st_uid == os.geteuid():
        return True
    can_write = os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids)
    return can_write and not found.st_mode & stat.S_ISVTX


def _expect_file(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")


def _is_read_only(where: Path | int) -> bool:
    return bool(os.statvfs(where).f_flag & os.ST_RDONLY)
