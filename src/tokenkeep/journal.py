"""An answer that must not be lost before it is saved: sealed files of this host."""

from __future__ import annotations

import json
import os
import secrets
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from tokenkeep.errors import StoreTampered, StoreUnavailable, TokenKeepError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tokenkeep.sealing import KeyRing

_FORMAT = "tokenkeep journal 1"
_SUFFIX = ".answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    A provider's answer, and the pair it replaces.

    Args:
        token_id: Which token was renewed.
        user: Whose. None if not known.
        provider: Who answered.
        issuer: The token endpoint that answered.
        client_id: The client it was renewed for.
        base_access: The access token it replaces. None if there was none.
        base_refresh: The refresh token it replaces.
        access_token: The new access token.
        refresh_token: The refresh token from now on, new or not.
        expires_at: When the new access token ends, in epoch seconds. None if not known.
        lifetime: How long it lives in all, in seconds. None if not known.
        client_secret: The secret it was renewed with.
        holder: The process that renewed it.
        answered_at: When, in epoch seconds.
        name: Given by the journal.
    """

    token_id: str
    user: str | None
    provider: str | None
    issuer: str | None
    client_id: str | None
    base_access: str | None = field(repr=False)
    base_refresh: str | None = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: float | None
    lifetime: float | None
    client_secret: str | None = field(repr=False)
    holder: str
    answered_at: float
    name: str | None = None

    @property
    def base(self) -> tuple[str | None, str | None]:
        """The pair that the answer replaces."""
        return self.base_access, self.base_refresh

    @property
    def pair(self) -> tuple[str | None, str | None]:
        """The pair as it is after the renewal."""
        return self.access_token, self.refresh_token


class Journal(ABC):
    """Keep answers until they are saved."""

    @abstractmethod
    def put(self, entry: Entry) -> Entry:
        """
        Keep an answer; on disk before this returns.

        Returns:
            The entry with its name.

        Raises:
            StoreUnavailable: It could not be written.
        """

    @abstractmethod
    def remove(self, entry: Entry) -> None:
        """Forget an answer. Silent if it is gone already."""

    @abstractmethod
    def entries(
        self,
        token_id: str | None = None,
        *,
        on_error: Callable[[TokenKeepError], None] | None = None,
    ) -> Iterator[Entry]:
        """
        Yield what is kept.

        Args:
            token_id: Only for this token. None yields all.
            on_error: Called for an entry that can't be opened, instead of
                raising. None raises.

        Raises:
            KeyMissing: An entry was sealed under a key that is not in the ring.
            StoreTampered: An entry does not open.
        """

    def tidy(self, before: float) -> None:
        """
        Remove what writers that are gone have left half-written.

        Args:
            before: Only what is older, in epoch seconds.
        """

    def find(self, token_id: str, base: tuple[str | None, str | None]) -> Entry | None:
        """Return the answer that replaces this pair of this token. None if there is none."""
        return next((e for e in self.entries(token_id) if e.base == base), None)


class MemoryJournal(Journal):
    """For stores that don't outlive the process either."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def put(self, entry: Entry) -> Entry:
        """See `Journal.put`."""
        named = _named(entry)
        self._entries[str(named.name)] = named
        return named

    def remove(self, entry: Entry) -> None:
        """See `Journal.remove`."""
        self._entries.pop(str(entry.name), None)

    def entries(
        self,
        token_id: str | None = None,
        *,
        on_error: Callable[[TokenKeepError], None] | None = None,  # noqa: ARG002  # nothing to open
    ) -> Iterator[Entry]:
        """See `Journal.entries`."""
        kept = list(self._entries.values())
        return (e for e in kept if token_id in (None, e.token_id))


class FolderJournal(Journal):
    """
    One sealed file for each answer.

    Args:
        folder: Made with mode 0700 when the first answer is kept.
        ring: The keys of the store it belongs to.
    """

    def __init__(self, folder: Path, ring: KeyRing) -> None:
        self._folder = folder
        self._ring = ring

    def put(self, entry: Entry) -> Entry:
        """See `Journal.put`."""
        named = _named(entry)
        name = str(named.name)
        plain = json.dumps(asdict(named)).encode()
        _, sealed = self._ring.seal(plain, bound=(_FORMAT, name))
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(self._folder / name, sealed)
        except OSError as exc:
            raise StoreUnavailable(
                f"The journal {self._folder} can't be written: {exc.strerror}",
                token_id=entry.token_id,
                hint="Make room, or let its owner run this process",
            ) from exc
        return named

    def remove(self, entry: Entry) -> None:
        """See `Journal.remove`."""
        try:
            (self._folder / str(entry.name)).unlink(missing_ok=True)
        except OSError as exc:
            # Replaying it later is harmless: its base is not stored any more.
            raise StoreUnavailable(
                f"An answer that was saved can't be removed from {self._folder}: {exc.strerror}",
                token_id=entry.token_id,
            ) from exc

    def entries(
        self,
        token_id: str | None = None,
        *,
        on_error: Callable[[TokenKeepError], None] | None = None,
    ) -> Iterator[Entry]:
        """See `Journal.entries`."""
        for path in sorted(self._folder.glob(f"{token_id or '*'}-*{_SUFFIX}")):
            try:
                entry = self._opened(path)
            except TokenKeepError as exc:
                if on_error is None:
                    raise
                on_error(exc)
            else:
                if entry is not None:
                    yield entry

    def tidy(self, before: float) -> None:
        """See `Journal.tidy`."""
        for path in self._folder.glob("*.part"):
            with suppress(OSError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def _opened(self, path: Path) -> Entry | None:
        """Read and open an entry. None if another process has removed it."""
        try:
            sealed = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise StoreUnavailable(
                f"The journal {self._folder} can't be read: {exc.strerror}"
            ) from exc
        try:
            return Entry(**json.loads(self._ring.open(sealed, bound=(_FORMAT, path.name))))
        except (StoreTampered, ValueError, TypeError) as exc:
            raise StoreTampered(
                f"The journal entry {path} does not open: it was changed",
                token_id=path.name.split("-")[0],
                hint="Move it away; its user may have to log in again",
            ) from exc

    def _write(self, path: Path, sealed: bytes) -> None:
        """Write aside, sync, rename, sync the folder: whole, or not there."""
        aside = path.with_suffix(".part")
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(sealed)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        sync_folder(self._folder)


def sync_folder(folder: Path) -> None:
    """Make a rename or a new file in a folder survive power loss (fsync(2))."""
    if os.name != "posix":
        return  # Windows can't open folders
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _named(entry: Entry) -> Entry:
    name = f"{entry.token_id}-{secrets.token_hex(8)}{_SUFFIX}"
    return Entry(**{**asdict(entry), "name": name})
