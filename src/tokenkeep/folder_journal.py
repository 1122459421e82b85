"""The journal as sealed files of this host, one for each answer."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeVar

from tokenkeep.clock import ClockError
from tokenkeep.errors import KeyMissing, StoreTampered, StoreUnavailable, TokenKeepError
from tokenkeep.journal import Entry, Journal
from tokenkeep.lookup import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tokenkeep.sealing import KeyRing

_FORMAT = "tokenkeep journal 1"
_ANSWER = ".answer"
_PART = ".part"
_CLOCK = ".clock"
_ROOM = 16_384
"""Bytes kept free for one answer; access tokens of some providers are long."""

_Kept = TypeVar("_Kept", Entry, ClockError)


class FolderJournal(Journal):
    """
    One sealed file for each answer, and for each issuer's clock that differs.

    Args:
        folder: Made with mode 0700 when it is first needed; or what returns
            it, asked each time.
        ring: The keys of the store it belongs to.
    """

    def __init__(self, folder: Path | Callable[[], Path], ring: KeyRing) -> None:
        self._where = folder
        self._ring = ring

    @property
    def _folder(self) -> Path:
        return self._where() if callable(self._where) else self._where

    def prepare(self) -> str | None:
        """See `Journal.prepare`."""
        room = f"{secrets.token_hex(16)}{_PART}"
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
        # An id from somebody's own store may be no file name.
        name = f"{digest_of(entry.token_id)[:32]}-{secrets.token_hex(8)}{_ANSWER}"
        entry = entry.named(name)
        with self._writing(entry.token_id):
            self._put(name, entry, room)
        return entry

    def remove(self, entry: Entry) -> None:
        """See `Journal.remove`."""
        with self._writing(entry.token_id):
            (self._folder / str(entry.name)).unlink(missing_ok=True)

    def entries(
        self,
        token_id: str | None = None,
        *,
        on_error: Callable[[TokenKeepError], None] | None = None,
    ) -> Iterator[Entry]:
        """See `Journal.entries`."""
        start = "" if token_id is None else digest_of(token_id)[:32]
        for name in self._names(_ANSWER):
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

    def tidy(self, before: float) -> None:
        """See `Journal.tidy`."""
        for name in self._names(_PART):
            path = self._folder / name
            with suppress(OSError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def reseal(self) -> None:
        """See `Journal.reseal`."""
        for entry in self.entries():
            self.put(entry)
            self.remove(entry)

    def clock_error(self, issuer: str | None) -> ClockError | None:
        """See `Journal.clock_error`."""
        return self._opened(self._folder / _clock_of(issuer), ClockError)

    def note_clock(self, issuer: str | None, error: ClockError) -> None:
        """See `Journal.note_clock`."""
        with self._writing():
            self._put(_clock_of(issuer), error, None)

    def _put(self, name: str, kept: Entry | ClockError, room: str | None) -> None:
        _, sealed = self._ring.seal(json.dumps(asdict(kept)).encode(), bound=(_FORMAT, name))
        aside = self._folder / (room or f"{secrets.token_hex(16)}{_PART}")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(aside, sealed, os.O_CREAT | (0 if room else os.O_EXCL))
        aside.replace(self._folder / name)
        sync_folder(self._folder)

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
        """Read and open a file. None if there is none, or another process has removed it."""
        try:
            sealed = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise self._unreadable(exc) from exc
        try:
            return kind(**json.loads(self._ring.open(sealed, bound=(_FORMAT, path.name))))
        except KeyMissing as exc:
            exc.what = f"The journal entry {path} can't be opened. {exc.what}"
            raise
        except (StoreTampered, ValueError, TypeError) as exc:
            raise StoreTampered(
                f"The journal entry {path} does not open: it was changed",
                hint="Move it away; its user may have to log in again",
            ) from exc

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


def _clock_of(issuer: str | None) -> str:
    return f"{digest_of(issuer or '')[:32]}{_CLOCK}"
