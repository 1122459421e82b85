"""
What a backend is: a place that moves records and understands none of them.

A record is an id, a few digests to find it by, times, and sealed bytes. A
backend never sees a token, a key, a clock or a provider. Write these methods
and you get sealing, lookup, one renewal, the cache and the command line for
nothing; subclass `tokenkeep.testing.BackendContract` to know that they are right.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenkeep.errors import StoreConflict, StoreError, StoreForeign, StoreTooNew, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

MARKS = ("user", "tenant", "client", "access", "refresh", "grant", "state")
"""The fields of a record that hold a keyed digest, or None."""

FOUND_BY = ("id", "owner", *MARKS)
"""The fields of a record that `Backend.find` searches."""

WIDTH = 32
"""How many hexadecimal digits an id, a version, an owner and a mark have."""

HEADER = "0" * WIDTH
"""The id and owner of the store's own record, which `Backend.clear` leaves."""

Mark = tuple[str, str]
"""One of `FOUND_BY`, and the value it has to have."""

Due = tuple[float, str]
"""When a record is due, in epoch seconds, and its id: where a page of `Backend.due` ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    One sealed thing.

    All texts but *kind* are `WIDTH` lower-case hexadecimal digits; times are
    epoch seconds. Nothing is to be read from any of them: what counts is
    inside the seal.

    Args:
        id: Random, or what `Backend.id_for` says.
        version: Random, made by the writer; compared, never counted.
        owner: Digest of what the record is for. Unique in the store.
        kind: A short lower-case ASCII word: ``row``, ``alias``, ``lease``, ``ended``, ``header``.
        key: Which of the store's data keys sealed it, from 1. 0 for the header.
        sealed: Any bytes.
        user: Mark of the user. None if not known.
        tenant: Mark of the user's organisation. None if not known.
        client: Mark of the client. None if not known.
        access: Mark of the access token. None if there is none.
        refresh: Mark of the refresh token. None if there is none.
        grant: Mark of the grant token. None if there is none.
        state: Mark of the state it is in. None if it has none.
        due_at: When there is something to do about it. None if there is nothing.
        last_used_at: Last `Backend.touch`, outside the version. None if never.
    """

    id: str
    version: str
    owner: str
    kind: str
    key: int
    sealed: bytes
    user: str | None = None
    tenant: str | None = None
    client: str | None = None
    access: str | None = None
    refresh: str | None = None
    grant: str | None = None
    state: str | None = None
    due_at: float | None = None
    last_used_at: float | None = None


@dataclass(frozen=True, slots=True)
class Risk:
    """
    Something about where the records are that may lose or block them.

    Args:
        text: What it is, and what it may do, as a clause without a capital or full stop.
        hint: What to do about it.
    """

    text: str
    hint: str


def written_first(record_id: str) -> StoreConflict:
    """Return the error for a record of another version than was to be replaced."""
    return StoreConflict("Somebody else wrote this record first", token_id=record_id)


class Backend(ABC):
    """
    Move records.

    Every method may raise `StoreUnavailable`, within a bounded time; after a
    write that raises it, the outcome is unknown. Methods may be called from
    any thread, and in a child process after a fork. Records are fetched whole:
    no cursor or transaction outlives a call.
    """

    home: Path | None = None
    """
    A path, unique to this store, beside which files of this host may be put
    (``<home>.journal``). None for a server: the user's state folder is used.
    """

    embedded: bool = False
    """Whether the data lives on this machine alone; then a missing key may be made."""

    finds_late: bool = False
    """
    Whether `find` may miss what was written in the last minutes, unless it is
    asked by id or owner. What it returns is up to date all the same.
    """

    beats_every: float = 0.0
    """
    How old the heartbeat in the header has to be before it is written anew, in
    seconds: for a store that counts the writes of a day. 0 is any age.
    """

    notes_use: bool = True
    """Whether `touch` does anything."""

    def id_for(self, owner: str) -> str | None:  # noqa: ARG002 - for those who override it
        """
        Return the id of the record with an owner. None lets it be random.

        For a store that has nothing unique but names. A record deleted and
        made again then has the same id, and is told apart by its version.

        Args:
            owner: As in `Record`.
        """
        return None

    @abstractmethod
    def read(self, record_id: str) -> Record | None:
        """Return the record with this id. None if there is none."""

    @abstractmethod
    def find(self, marks: Sequence[Mark]) -> list[Record]:
        """
        Return the records that have at least one of *marks*, each once, in one trip.

        Args:
            marks: None or more, of any of `FOUND_BY`, also several of one.
        """

    @abstractmethod
    def write(self, record: Record, *, replaces: str | None) -> None:
        """
        Write a record whole, in one atomic step, on disk before returning.

        ``last_used_at`` is kept as it is stored when a record is replaced.

        Args:
            record: The record, carrying its new version.
            replaces: The version that must be stored now. None inserts.

        Raises:
            StoreConflict: Another version is stored, the record is gone, the id
                exists (when inserting), or the owner is another record's.
        """

    def insert(self, records: Sequence[Record]) -> list[str]:
        """
        Write new records, each whole or not at all, on disk before returning.

        A store that can do it in one trip overrides this; here it is a `write` of each.

        Args:
            records: None or more; some fifty at once.

        Returns:
            The ids of those that were not written: the id or the owner is
            taken, or the store does not take this one. `write` says why.
        """
        left = []
        for record in records:
            try:
                self.write(record, replaces=None)
            except (StoreUnavailable, StoreForeign, StoreTooNew):
                raise
            except StoreError:
                left.append(record.id)
        return left

    @abstractmethod
    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        """
        Delete a record.

        Args:
            record_id: Which one.
            replaces: Delete only this version. None deletes any.

        Returns:
            Whether a record was deleted. False if there was none.

        Raises:
            StoreConflict: Another version than *replaces* is stored.
        """

    @abstractmethod
    def touch(self, record_id: str, last_used_at: float) -> None:
        """
        Note when a token was last handed out, outside the version.

        Never inserts, never moves the time back; silent for an unknown id. A
        store that has no cheap place for it does nothing.
        Not worth a wait: a store that another process keeps busy is left alone.

        Args:
            record_id: Which one.
            last_used_at: Epoch seconds.

        Raises:
            StoreUnavailable: As for every method, and at once if the store is busy.
        """

    @abstractmethod
    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        """
        Return up to *limit* records in the order of their ids.

        Fewer than *limit* means that there are no more.

        Args:
            after: Start behind this id. None starts at the first.
            limit: At least 1.
            mark: Only those that have it, one of `MARKS`. None means all.
        """

    @abstractmethod
    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        """
        Return up to *limit* records whose ``due_at`` is not after *before*.

        In the order of ``due_at`` and id; what is not due is not read. Fewer
        than *limit* means that there are no more.

        Args:
            before: Epoch seconds.
            limit: At least 1.
            after: ``due_at`` and id of the last record of the page before. None
                starts at the first.
        """

    @abstractmethod
    def clear(self) -> int:
        """Delete all records but `HEADER`'s, and return how many there were."""

    def revision(self) -> Hashable | None:
        """
        Return something that differs after any commit, by whoever.

        Cheap (microseconds), read before the record it vouches for, and
        changed no sooner than what was committed can be read. None if there is
        no such thing.
        """
        return None

    @abstractmethod
    def describe(self) -> str:
        """
        Say where the tokens are, for people; without a password.

        A server's journal is named after it, so it says the same in all
        processes of a host.
        """

    def risks(self) -> list[Risk] | None:
        """
        Say what about the server may lose or block records, for ``tokenkeep doctor``.

        It may ask the server. What it is not allowed to see is a risk, too.
        None if there is nothing to ask, as for a store in a file.
        """
        return None

    def close(self) -> None:
        """Let go of connections and files. The next call opens them again."""
