"""The journal as sealed files of this host, one for each answer."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar

from tokenkeep.clock import ClockError
from tokenkeep.errors import StoreTampered, StoreUnavailable, TokenKeepError
from tokenkeep.journal import Entry, Journal
from tokenkeep.lookup import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tokenkeep.header import Header
    from tokenkeep.sealing import DataKeys

_ANSWER = ".answer"
_PART = ".part"
_CLOCK = ".clock"
_MAGIC = b"tokenkeep journal 2\0"
_NUMBER = 4
_HEAD = len(_MAGIC) + 2 * _NUMBER
_ROOM = 16_384
"""Bytes kept free for one answer; access tokens of some providers are long."""

_Kept = TypeVar("_Kept", Entry, ClockError)


class FolderJournal(Journal):
    """
    One sealed file for each answer, and for each issuer's clock that differs.

    A file's name says which refresh token its answer replaces, as a keyed
    digest. It is written as a ``.part`` and renamed; one whose writer died in
    between is read all the same, if all of it was written.

    Args:
        folder: Made with mode 0700 when it is first needed; or what returns
            it, asked each time.
        header: The keys of the store it belongs to.
    """

    def __init__(self, folder: Path | Callable[[], Path], header: Header) -> None:
        self._where = folder
        self._header = header

    @property
    def _folder(self) -> Path:
        return self._where() if callable(self._where) else self._where

    @property
    def _keys(self) -> DataKeys:
        return self._header.keys

    def prepare(self, base_refresh: str | None) -> str | None:
        """See `Journal.prepare`."""
        room = f"{self._start(base_refresh)}-{secrets.token_hex(8)}{_PART}"
        del base_refresh  # crash reports show the locals of each frame
        with self._writing():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(self._folder / room, b"\0" * _ROOM, os.O_CREAT | os.O_EXCL)
        return room

    def give_back(self, room: str | None) -> None:
        """See `Journal.give_back`."""
        if room is not None:
            with suppress(OSError):
                (self._folder / room).unlink()

    def put(self, entry: Entry, room: str | None = None) -> Entry:
        """See `Journal.put`."""
        part = room or f"{self._start(entry.base_refresh)}-{secrets.token_hex(8)}{_PART}"
        name = part.removesuffix(_PART) + _ANSWER
        entry = entry.named(name)
        with self._writing(entry.token_id):
            self._put(name, part, entry, new=room is None)
        return entry

    def remove(self, entry: Entry) -> None:
        """See `Journal.remove`."""
        with self._writing(entry.token_id):
            path = self._folder / str(entry.name)
            path.unlink(missing_ok=True)
            path.with_suffix(_PART).unlink(missing_ok=True)

    def entries(
        self, *, on_error: Callable[[TokenKeepError], None] | None = None
    ) -> Iterator[Entry]:
        """See `Journal.entries`."""
        return self._entries("", on_error)

    def find(self, base: tuple[str | None, str | None]) -> Entry | None:
        """See `Journal.find`."""
        start, wanted = self._start(base[1]), digest_of(repr(base))
        del base  # as above
        found = self._entries(start, None)
        return next((entry for entry in found if digest_of(repr(entry.base)) == wanted), None)

    def tidy(self, before: float) -> None:
        """See `Journal.tidy`."""
        for name in self._names(_PART):
            path = self._folder / name
            with suppress(OSError, TokenKeepError):  # one that does not open is left alone
                if path.stat().st_mtime < before and self._opened(path, Entry) is None:
                    path.unlink()

    def reseal(self, on_error: Callable[[TokenKeepError], None] | None = None) -> None:
        """See `Journal.reseal`."""
        for entry in self.entries(on_error=on_error):
            self.put(entry)
            self.remove(entry)

    def clock_error(self, issuer: str | None) -> ClockError | None:
        """See `Journal.clock_error`."""
        return self._opened(self._folder / _clock_of(issuer), ClockError)

    def note_clock(self, issuer: str | None, error: ClockError) -> None:
        """See `Journal.note_clock`."""
        with self._writing():
            self._put(_clock_of(issuer), f"{secrets.token_hex(16)}{_PART}", error, new=True)

    def _start(self, base_refresh: str | None) -> str:
        """Return how the names of the answers begin that replace a refresh token."""
        return self._keys.digest("answer", base_refresh or "")

    def _put(self, name: str, part: str, kept: Entry | ClockError, *, new: bool) -> None:
        number, sealed = self._keys.seal(json.dumps(asdict(kept)).encode(), bound=_bound(name))
        head = number.to_bytes(_NUMBER) + len(sealed).to_bytes(_NUMBER)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_CREAT | (os.O_EXCL if new else 0)
        self._write(self._folder / part, _MAGIC + head + sealed, flags)
        (self._folder / part).replace(self._folder / name)
        sync_folder(self._folder)

    def _entries(
        self, start: str, on_error: Callable[[TokenKeepError], None] | None
    ) -> Iterator[Entry]:
        for name in (*self._names(_ANSWER), *self._names(_PART)):
            if not name.startswith(start):
                continue
            try:
                entry = self._opened(self._folder / name, Entry)
            except TokenKeepError as exc:
                if on_error is None:
                    raise
                on_error(exc)
            else:
                if entry is not None:
                    yield entry

    def _names(self, suffix: str) -> list[str]:
        # Not glob(): it takes a folder that can't be read for an empty one,
        # and a refresh token that is spent would be sent again.
        try:
            return sorted(p.name for p in self._folder.iterdir() if p.suffix == suffix)
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise self._unreadable(exc) from exc

    def _opened(self, path: Path, kind: type[_Kept]) -> _Kept | None:
        """Read and open a file. None if there is none (any more), or it is but room for one."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise self._unreadable(exc) from exc
        number = int.from_bytes(content[len(_MAGIC) : len(_MAGIC) + _NUMBER])
        length = int.from_bytes(content[len(_MAGIC) + _NUMBER : _HEAD])
        sealed = content[_HEAD : _HEAD + length] if content.startswith(_MAGIC) else b""
        if path.suffix == _PART and (not sealed or len(sealed) < length):
            return None
        if sealed and number not in self._keys:
            self._header.look()
        # What is suppressed has an answer in it: no error may come from it.
        with suppress(StoreTampered, ValueError, TypeError, KeyError, AttributeError):
            bound = _bound(path.name)
            return _made(kind, json.loads(self._keys.open(number, sealed, bound=bound)))
        if path.suffix == _PART:
            return None
        raise StoreTampered(
            f"The journal entry {path} does not open: it was changed, or is another store's",
            hint="Move it away; its user may have to log in again",
        )

    def _unreadable(self, exc: OSError) -> StoreUnavailable:
        return StoreUnavailable(
            f"The journal {self._folder} can't be read: {exc.strerror}",
            hint="Let its owner run this process",
        )

    @contextmanager
    def _writing(self, token_id: str | None = None) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise StoreUnavailable(
                f"The journal {self._folder} can't be written: {exc.strerror}",
                token_id=token_id,
                hint="Make room, or let its owner run this process",
            ) from exc

    def _write(self, path: Path, content: bytes, flags: int) -> None:
        """Write and sync a file; it counts only once it is renamed."""
        handle = os.open(path, os.O_WRONLY | flags, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            # On a full disk, each try would fill it further.
            with suppress(OSError):
                path.unlink()
            raise


def sync_folder(folder: Path) -> None:
    """Make a rename or a new file in a folder survive power loss (fsync(2))."""
    if os.name != "posix":
        return  # Windows can't open folders
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _bound(name: str) -> str:
    """Return what a file's seal is tied to: its name, whether it is renamed already or not."""
    return f"journal\0{name.rpartition('.')[0]}"


def _made(kind: type[_Kept], inside: dict[str, Any]) -> _Kept:
    """Make what is kept of what was sealed; a later version may have put more there."""
    known = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in inside.items() if name in known})


def _clock_of(issuer: str | None) -> str:
    return f"{digest_of(issuer or '')[:32]}{_CLOCK}"
