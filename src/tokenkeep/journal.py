"""Answers that must not be lost before they are saved; on disk, one sealed file for each."""

from __future__ import annotations

import json
import os
import secrets
import struct
from base64 import b64decode, b64encode
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from tokenkeep.backends.owned import OwnFolder, own_folder
from tokenkeep.backends.private_file import refuse
from tokenkeep.clock import ClockError
from tokenkeep.errors import StoreTampered, StoreUnavailable, TokenKeepError, letting_go
from tokenkeep.folders import STATE
from tokenkeep.lookup import digest_of
from tokenkeep.providers.base import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tokenkeep.header import Header

_ANSWER = ".answer"
_PART = ".part"
_CLOCK = ".clock"
_MAGIC = b"tokenkeep journal 2\0"
_HEAD = struct.Struct(f">{len(_MAGIC)}sII")
"""What a file begins with, the number of its data key, and how many bytes are sealed behind it."""
_LONGEST = 16_000_000
"""More bytes are no answer: a provider's are bounded."""
_ROOM = 16_384
"""Bytes kept free for one answer; access tokens of some providers are long."""
_OF_A_REPLY = ("status", "content_type", "fault")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    A provider's answer, and the pair it replaces.

    Issuer, client id and secret are those it was asked with; holder is the
    process that did. None means that it is not known, or that there was none.

    Args:
        access_token: None if it is not known: the answer could not be read, and is *unread*.
        refresh_token: The refresh token from now on, new or not.
        expires_at: When the new access token ends, in epoch seconds.
        lifetime: How long it lives in all, in seconds.
        learnt: What else is known now: for each field of the token what it
            was at the claim, and what it is. Written only where it still is that.
        answered_at: In epoch seconds.
        unread: What there was to read, as `packed` puts it, and when the row had been
            renewed last (``renewed_at``). None once it is read.
        name: Given by the journal.
    """

    token_id: str
    user: str | None
    provider: str | None
    issuer: str | None
    client_id: str | None
    client_secret: str | None = field(repr=False)
    data_center: str | None
    environment: str | None
    base_access: str | None = field(repr=False)
    base_refresh: str | None = field(repr=False)
    access_token: str | None = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: float | None
    lifetime: float | None
    learnt: Mapping[str, Sequence[object]] = field(repr=False, hash=False)
    holder: str
    answered_at: float
    unread: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    name: str | None = None

    @property
    def base(self) -> tuple[str | None, str | None]:
        """The pair that the answer replaces."""
        return self.base_access, self.base_refresh

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


_Kept = TypeVar("_Kept")


class Journal:
    """
    Keep answers until they are saved; and how far this host's clock is off.

    A file for each answer, and for each issuer's clock that differs. A file's
    name says which refresh token its answer replaces, as a digest. It is
    written as a ``.part`` and renamed; one whose writer died in between is
    read all the same, if all of it was written.

    This one keeps them in memory, for stores that don't outlive the process either.
    """

    def __init__(self) -> None:
        self._memory = _Memory()

    def prepare(self, base_refresh: str | None) -> str:
        """
        Make room for the answer that will replace a refresh token, before the provider is asked.

        Returns what to give to `put` or `give_back`.

        Raises:
            StoreUnavailable: There is no room: better not to ask.
        """
        room = self._part(base_refresh)
        del base_refresh  # crash reports show the locals of each frame
        with self._open(make=True) as folder:
            _write(folder, room, b"\0" * _ROOM)
        return room

    def give_back(self, room: str | None) -> None:
        """Give room back that was not needed after all. None is none."""
        if room is not None:
            with letting_go(), self._open() as folder:
                folder.remove(room)

    def expect_room(self) -> None:
        """
        Make sure that room for an answer can be made; nothing is left behind.

        Raises:
            StoreUnavailable: It can't.
        """
        self.give_back(self.prepare(None))

    def put(self, entry: Entry, room: str | None = None) -> Entry:
        """
        Keep an answer, in the room that was made for it; on disk before it returns it, named.

        Raises:
            StoreUnavailable: It could not be written.
        """
        part = room or self._part(entry.base_refresh)
        entry = replace(entry, name=part.removesuffix(_PART) + _ANSWER)
        self._put(str(entry.name), part, entry)
        return entry

    def remove(self, entry: Entry) -> None:
        """Forget an answer. Silent if it is gone already."""
        with suppress(FileNotFoundError), self._open() as folder:
            folder.remove(str(entry.name))
            folder.remove(f"{str(entry.name).rpartition('.')[0]}{_PART}")

    def entries(
        self, *, on_error: Callable[[TokenKeepError], None] | None = None, start: str = ""
    ) -> Iterator[Entry]:
        """
        Yield what is kept; of that whose names begin with *start*.

        Raises:
            StoreTampered: An entry does not open. With *on_error* that is called instead.
        """
        for name in (*self._names(_ANSWER, start), *self._names(_PART, start)):
            entry = None
            try:
                entry = self._opened(name, _entry)
            except TokenKeepError as exc:
                if on_error is None:
                    raise
                on_error(exc)
            if entry is not None:
                yield entry

    def find(self, base: tuple[str | None, str | None]) -> Entry | None:
        """
        Return the answer that replaces this pair. None if there is none.

        A pair is secret, so it is nobody else's, whatever row it is in. One that could
        not be read is not meant: see `unread`.

        Raises:
            StoreTampered: An entry does not open.
        """
        found, wanted = self.entries(start=self._start(base[1])), digest_of(repr(base))
        del base  # as above
        read = (entry for entry in found if entry.unread is None)
        return next((entry for entry in read if digest_of(repr(entry.base)) == wanted), None)

    def unread(self, base_refresh: str | None) -> list[Entry]:
        """
        Return the answers to a refresh token that could not be read, the first one first.

        Raises:
            StoreTampered: As for `find`.
        """
        start = self._start(base_refresh)
        del base_refresh  # as above
        found = [entry for entry in self.entries(start=start) if entry.unread is not None]
        return sorted(found, key=lambda entry: entry.answered_at)

    def tidy(self, before: float) -> None:
        """Remove what was left half-written before a time, in epoch seconds."""
        for name in self._names(_PART):
            # One that does not open is left alone.
            with suppress(OSError, TokenKeepError), self._open() as folder:
                if folder.changed_at(name) < before and self._opened(name, _entry) is None:
                    folder.remove(name)

    def reseal(self, on_error: Callable[[TokenKeepError], None] | None = None) -> None:
        """Seal every answer under the newest data key; *on_error* as for `entries`."""
        for entry in self.entries(on_error=on_error):
            self.put(entry)
            self.remove(entry)

    def clock_error(self, issuer: str | None) -> ClockError | None:
        """
        Return what was last noted of this host's clock beside an issuer's. None if nothing is.

        Raises:
            TokenKeepError: It can't be read.
        """
        return self._opened(_clock_of(issuer), lambda inside: ClockError(**inside))

    def note_clock(self, issuer: str | None, error: ClockError) -> None:
        """
        Note how far this host's clock is off.

        Raises:
            StoreUnavailable: It could not be written.
        """
        self._put(_clock_of(issuer), f"{secrets.token_hex(16)}{_PART}", error)

    def _start(self, base_refresh: str | None) -> str:
        """Return how the names of the answers begin that replace a refresh token."""
        return digest_of(base_refresh or "")

    def _part(self, base_refresh: str | None) -> str:
        return f"{self._start(base_refresh)}-{secrets.token_hex(8)}{_PART}"

    def _put(self, name: str, part: str, kept: Entry | ClockError) -> None:
        content = self._sealed(json.dumps(asdict(kept)).encode(), _bound(name))
        with self._open(make=True) as folder:
            _write(folder, part, content)
            folder.rename(part, name)

    def _names(self, suffix: str, start: str = "") -> list[str]:
        # One that can't be read is not empty: a refresh token that is spent would be sent again.
        try:
            with self._open() as folder:
                there = folder.names()
        except FileNotFoundError:
            return []
        return [name for name in there if name.endswith(suffix) and name.startswith(start)]

    def _opened(self, name: str, made: Callable[[dict[str, Any]], _Kept]) -> _Kept | None:
        """Read and open a file. None if there is none (any more), or it is but room for one."""
        try:
            with self._open() as folder:
                content = folder.read(name, _LONGEST)
        except FileNotFoundError:
            return None
        # What is suppressed has an answer in it: no error may come from it.
        with suppress(StoreTampered, ValueError, TypeError, KeyError, AttributeError):
            return made(json.loads(self._plain(content, _bound(name))))
        if name.endswith(_PART):
            return None
        raise StoreTampered(
            f"The journal entry {folder.path}/{name} does not open: it was changed, or is "
            "another store's",
            hint="Move it away; its user may have to log in again",
        )

    def _open(self, *, make: bool = False) -> AbstractContextManager[OwnFolder | _Memory]:
        """Open what the files are in; `FileNotFoundError` where there is none, nor is to be."""
        del make
        return nullcontext(self._memory)

    def _sealed(self, content: bytes, bound: str) -> bytes:  # noqa: ARG002  # nobody else sees it
        return content

    def _plain(self, sealed: bytes, bound: str) -> bytes:  # noqa: ARG002  # as above
        return sealed


class _Memory:
    """A folder in memory; each method as `OwnFolder` has it."""

    path = "memory"

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def names(self) -> list[str]:
        return sorted([*self._files])

    def read(self, name: str, longest: int) -> bytes:
        if name not in self._files:
            raise FileNotFoundError
        return self._files[name][:longest]

    def write(self, name: str, content: bytes) -> None:
        self._files[name] = content

    def rename(self, name: str, to: str) -> None:
        self._files[to] = self._files.pop(name)

    def remove(self, name: str) -> None:
        self._files.pop(name, None)

    def changed_at(self, _name: str) -> float:
        return 0.0


class FolderJournal(Journal):
    """
    A folder of this host, of sealed files.

    Args:
        folder: Made with mode 0700 when it is first needed; or what returns
            it, asked each time, behind the folder that was named for it and that
            it is below: None where there is no place for it.
        header: The keys of the store it belongs to; file names have keyed digests.
    """

    def __init__(
        self,
        folder: Path | Callable[[], tuple[Path, Path] | None],
        header: Header,
    ) -> None:
        self._where = folder
        self._header = header

    def expect_room(self) -> None:
        """See `Journal.expect_room`; a folder that is missing is not made."""
        found = self._found()
        if found is not None and not os.path.lexists(found[1]):
            above = next(each for each in found[1].parents if os.path.lexists(each))
            if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
                return
        super().expect_room()

    def _start(self, base_refresh: str | None) -> str:
        return self._header.keys.digest("answer", base_refresh or "")

    def _part(self, base_refresh: str | None) -> str:
        self._header.make()  # as below
        return super()._part(base_refresh)

    def _sealed(self, content: bytes, bound: str) -> bytes:
        self._header.make()  # nobody would have the keys of one that is not there
        number, sealed = self._header.keys.seal(content, bound=bound)
        return _HEAD.pack(_MAGIC, number, len(sealed)) + sealed

    def _plain(self, sealed: bytes, bound: str) -> bytes:
        try:
            magic, number, length = _HEAD.unpack_from(sealed)
        except struct.error:
            raise ValueError from None
        if magic != _MAGIC:
            raise ValueError
        if number not in self._header.keys:
            self._header.look()
        inside = sealed[_HEAD.size : _HEAD.size + length]
        return self._header.keys.open(number, inside, bound=bound)

    def _found(self) -> tuple[Path | None, Path] | None:
        """Return the folder that was named, if any, and the journal's; None without a place."""
        return self._where() if callable(self._where) else (None, self._where)

    @contextmanager
    def _open(self, *, make: bool = False) -> Iterator[OwnFolder]:
        found = self._found()
        if found is None:
            if not make:
                raise FileNotFoundError
            raise StoreUnavailable(
                "There is no home folder for the journal, where answers wait to be saved",
                hint=f"Name a folder in {STATE}",
            )
        named, place = found
        instead = f"Or name another folder in {STATE}" if named else ""
        try:
            with own_folder(place, make=make, below=named, instead=instead) as folder:
                yield folder
        except OSError as exc:
            if isinstance(exc, FileNotFoundError) and not make:
                raise
            refuse(place, exc, instead)


def _write(folder: OwnFolder | _Memory, name: str, content: bytes) -> None:
    try:
        folder.write(name, content)
    except OSError:
        with suppress(OSError):  # on a full disk, each try would fill it further
            folder.remove(name)
        raise


def _bound(name: str) -> str:
    """Return what a file's seal is tied to: its name, whether it is renamed already or not."""
    return f"journal\0{name.rpartition('.')[0]}"


def _entry(inside: dict[str, Any]) -> Entry:
    # A later version may have put more there.
    known = {field.name for field in fields(Entry)}
    return Entry(**{name: value for name, value in inside.items() if name in known})


def _clock_of(issuer: str | None) -> str:
    return f"{digest_of(issuer or '')[:32]}{_CLOCK}"
