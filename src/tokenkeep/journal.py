"""Answers that must not be lost before they are saved; on disk, one sealed file for each."""

from __future__ import annotations

import json
import os
import secrets
import time
from base64 import b64decode, b64encode
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from tokenkeep.backends import private_file
from tokenkeep.errors import StoreTampered, StoreUnavailable, TokenKeepError
from tokenkeep.folders import STATE
from tokenkeep.lookup import digest_of
from tokenkeep.providers.base import Reply
from tokenkeep.token import Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tokenkeep.header import Header

_ANSWER = ".answer"
_PART = ".part"
_ABANDONED = 86400.0
"""After so many seconds the writer of a part is dead."""
_ROOM = 16_384
"""So many bytes have to fit in before the provider is asked; an answer seldom has more."""
_STILL_ROOM = 1.0
"""For so many seconds there is room, once there was: a call takes longer."""
_OF_A_REPLY = ("status", "content_type", "fault")
_OF_A_TOKEN = (
    *("id", "user", "provider", "issuer", "client_id", "client_secret", "data_center"),
    *("environment", "access_token", "refresh_token"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    A provider's answer, and the pair it replaces.

    Args:
        asked: The token as it was asked with: what says whose it is, its pair,
            and the client's secret and issuer of the caller.
        access_token: None if it is not known: the answer could not be read, and is *unread*.
        refresh_token: The refresh token from now on, new or not.
        expires_at: When the new access token ends, in epoch seconds. None if it did not say.
        lifetime: How long it lives in all, in seconds. None likewise.
        learnt: What else is known now: for each field of the token what it
            was at the claim, and what it is. Written only where it still is that.
        holder: The process that asked.
        answered_at: In epoch seconds.
        unread: What there was to read, as `packed` puts it, and when the row had been
            renewed last (``renewed_at``). None once it is read.
        name: Given by the journal.
    """

    asked: Token
    access_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    lifetime: float | None = None
    learnt: Mapping[str, Sequence[object]] = field(default_factory=dict, repr=False, hash=False)
    holder: str
    answered_at: float
    unread: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    name: str | None = None

    @property
    def base(self) -> tuple[str | None, str | None]:
        """The pair that the answer replaces."""
        return self.asked.pair

    @property
    def pair(self) -> tuple[str | None, str | None]:
        """The pair as it is after the renewal."""
        return self.access_token, self.refresh_token

    @property
    def reply(self) -> Reply | None:
        """What is *unread*. None likewise."""
        if self.unread is None:
            return None
        kept = {name: self.unread[name] for name in _OF_A_REPLY}
        return Reply(body=b64decode(self.unread["body"]), **kept)


def packed(reply: Reply) -> dict[str, Any]:
    """Return a reply as JSON can hold it."""
    kept = {name: getattr(reply, name) for name in _OF_A_REPLY}
    return {**kept, "body": b64encode(reply.body).decode()}


class Journal:
    """
    Keep answers until they are saved.

    This one keeps them in memory, for stores that don't outlive the process either.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Entry] = {}

    def prepare(self) -> None:
        """
        Make the place for answers, and see that there is room, before the provider is asked.

        Raises:
            StoreUnavailable: There is none: better not to ask.
        """

    def put(self, entry: Entry) -> Entry:
        """
        Keep an answer; on disk before it returns it, named.

        Raises:
            StoreUnavailable: It could not be written.
        """
        start = self._start(entry.asked.refresh_token)
        entry = replace(entry, name=f"{start}-{secrets.token_hex(8)}{_ANSWER}")
        self._write(entry)
        return entry

    def remove(self, entry: Entry) -> None:
        """Forget an answer. Silent if it is gone already."""
        self._kept.pop(str(entry.name), None)

    def entries(
        self, *, on_error: Callable[[TokenKeepError], None] | None = None, start: str = ""
    ) -> Iterator[Entry]:
        """
        Yield what is kept; of that whose names begin with *start*.

        Raises:
            StoreTampered: An entry does not open. With *on_error* that is called instead.
        """
        del on_error
        # A copy, in one step: other threads put and remove.
        yield from [each for name, each in [*self._kept.items()] if name.startswith(start)]

    def answers(self, base_refresh: str | None) -> list[Entry]:
        """
        Return the answers to a refresh token, the first one first.

        Raises:
            StoreTampered: An entry does not open.
        """
        start = self._start(base_refresh)
        del base_refresh  # crash reports show the locals of each frame
        return sorted(self.entries(start=start), key=lambda entry: entry.answered_at)

    def _start(self, base_refresh: str | None) -> str:
        """Return how the names of the answers begin that replace a refresh token."""
        return digest_of(base_refresh or "")

    def _write(self, entry: Entry) -> None:
        self._kept[str(entry.name)] = entry


class FolderJournal(Journal):
    """
    A folder of this host, of sealed files.

    A file's name says which refresh token its answer replaces, as a keyed digest. It is
    written as a ``.part`` and renamed; one whose writer died in between does not count.

    Args:
        folder: Made with mode 0700 when it is first needed; or what returns
            it, asked each time: below TOKENKEEP_STATE, or None where there is no
            place for it.
        header: The keys of the store it belongs to.
        monotonic: Seconds that never run backwards.
    """

    def __init__(
        self,
        folder: Path | Callable[[], Path | None],
        header: Header,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._where = folder
        self._header = header
        self._monotonic = monotonic
        self._had_room = float("-inf")

    def prepare(self) -> None:
        """See `Journal.prepare`."""
        now = self._monotonic()
        if now - self._had_room < _STILL_ROOM:
            return
        with self._open(make=True) as folder:
            room = folder / f"{secrets.token_hex(8)}{_PART}"
            with private_file.written(room) as file:
                file.write(bytes(_ROOM))
            room.unlink()
            for part in folder.glob(f"*{_PART}"):
                with suppress(OSError):  # another process may be faster
                    if part.stat().st_mtime < time.time() - _ABANDONED:
                        part.unlink()
        self._had_room = now

    def put(self, entry: Entry) -> Entry:
        """See `Journal.put`."""
        self._header.make()  # nobody would have the keys of one that is not there
        return super().put(entry)

    def remove(self, entry: Entry) -> None:
        """See `Journal.remove`."""
        with suppress(FileNotFoundError), self._open() as folder:
            (folder / str(entry.name)).unlink()

    def entries(
        self, *, on_error: Callable[[TokenKeepError], None] | None = None, start: str = ""
    ) -> Iterator[Entry]:
        """See `Journal.entries`."""
        names: list[str] = []
        # One that can't be read is not empty: a refresh token that is spent would be sent again.
        with suppress(FileNotFoundError), self._open() as folder:
            names = sorted(os.listdir(folder))  # noqa: PTH208  # plain names are what is wanted
        for name in names:
            if name.startswith(start) and name.endswith(_ANSWER):
                try:
                    with suppress(FileNotFoundError), self._open() as folder:
                        yield self._opened(folder / name)
                except TokenKeepError as exc:
                    if on_error is None:
                        raise
                    on_error(exc)

    def _start(self, base_refresh: str | None) -> str:
        return self._header.keys.digest("answer", base_refresh or "")

    def _write(self, entry: Entry) -> None:
        name = str(entry.name)
        with self._open(make=True) as folder:
            plain = json.dumps(_packed_entry(entry)).encode()
            number, sealed = self._header.keys.seal(plain, bound=f"journal\0{name}")
            del plain  # as above
            outside = {"key": number, "sealed": b64encode(sealed).decode()}
            part = folder / f"{name}{_PART}"
            with private_file.written(part) as file:  # on a full disk nothing is left
                file.write(json.dumps(outside).encode())
            part.replace(folder / name)
            private_file.sync_folder(part)

    def _opened(self, path: Path) -> Entry:
        private_file.look_at(path)
        content = path.read_bytes()
        # What is suppressed has an answer in it: no error may come from it.
        with suppress(StoreTampered, ValueError, TypeError, KeyError, RecursionError):
            outside = json.loads(content)
            number, sealed = outside["key"], b64decode(outside["sealed"])
            if number not in self._header.keys:
                self._header.look()
            bound = f"journal\0{path.name}"
            return _entry(json.loads(self._header.keys.open(number, sealed, bound=bound)))
        raise StoreTampered(
            f"The journal entry {path} does not open: it was changed, or is another store's",
            hint="Move it away; its user may have to log in again",
        )

    @contextmanager
    def _open(self, *, make: bool = False) -> Iterator[Path]:
        """Look at the folder; `FileNotFoundError` where there is none, nor is to be."""
        if callable(self._where):
            place, instead = self._where(), f"Or name another folder in {STATE}"
        else:
            place, instead = self._where, ""
        if place is None:
            if not make:
                raise FileNotFoundError
            raise StoreUnavailable(
                "There is no home folder for the journal, where answers wait to be saved",
                hint=f"Name a folder in {STATE}",
            )
        try:
            private_file.expect_own_folder(place, make=make, instead=instead)
            yield place
        except OSError as exc:
            if isinstance(exc, FileNotFoundError) and not make:
                raise
            private_file.refuse(place, exc, instead)


def _packed_entry(entry: Entry) -> dict[str, Any]:
    inside = {each.name: getattr(entry, each.name) for each in fields(Entry)}
    return inside | {"asked": {name: getattr(entry.asked, name) for name in _OF_A_TOKEN}}


def _entry(inside: dict[str, Any]) -> Entry:
    # A later version may have put more there.
    known = {each.name: inside[each.name] for each in fields(Entry)}
    asked = Token(**{name: inside["asked"][name] for name in _OF_A_TOKEN})
    return Entry(**known | {"asked": asked})
