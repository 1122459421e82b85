"""
What a backend is: a place that moves sealed records.

It sees ids, digests, clear copies for listing and sealed bytes; never a
token, a key, a clock or a provider. Write these methods and you get sealing,
lookup, one renewal, the cache and the command line for nothing; subclass
`tokenkeep.testing.BackendContract` to know that they are right.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

FIELDS = ("identity", "user", "access", "refresh", "grant")
"""The fields of a record that `Backend.find` searches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    One sealed token.

    Everything but *sealed* is a key or a copy for listing: what counts is
    inside the seal. Strings may hold any character but a lone surrogate, NUL
    included; *sealed* may hold any byte. Times are epoch seconds.

    Args:
        id: Random, or what `Backend.id_for` says; never that of another identity.
        version: Random, opaque, made by the writer; compared, never counted.
        identity: Digest of what the token is for. Unique in the store.
        access: Digest of the access token. None if there is none.
        refresh: Digest of the refresh token. None if there is none.
        grant: Digest of the grant token. None if there is none.
        user: Copy of the token's user. None if not known.
        client_id: Copy of the token's client id.
        provider: Copy of the token's provider.
        data_center: Copy of the token's data centre.
        environment: Copy of the token's environment.
        status: Copy of the token's status.
        expires_at: Copy of the access token's end. None if not known.
        created_at: When the record was first written.
        updated_at: When this version was written.
        last_used_at: Last `Backend.touch`, outside the version. None if never.
        key_id: Which key sealed it.
        sealed: The token.
    """

    id: str
    version: str
    identity: str
    key_id: str
    sealed: bytes
    access: str | None = None
    refresh: str | None = None
    grant: str | None = None
    user: str | None = None
    client_id: str | None = None
    provider: str | None = None
    data_center: str | None = None
    environment: str | None = None
    status: str | None = None
    expires_at: float | None = None
    created_at: float | None = None
    updated_at: float | None = None
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


class Backend(ABC):
    """
    Move sealed records.

    Every method may raise `StoreUnavailable`, within a bounded time; after a
    write that raises it, the outcome is unknown. Methods may be called from
    any thread, and in a child process after a fork. Rows are fetched whole:
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
    asked by identity. What it returns is up to date all the same.
    """

    def id_for(self, identity: str) -> str | None:  # noqa: ARG002 - for those who override it
        """
        Return the id of the record with an identity. None lets it be random.

        For a store that has nothing unique but names. A record deleted and
        made again then has the same id, and is told apart by its version.

        Args:
            identity: As in `Record`.
        """
        return None

    @abstractmethod
    def read(self, record_id: str) -> Record | None:
        """Return the record with this id. None if there is none."""

    @abstractmethod
    def find(self, field: str, values: Sequence[str]) -> list[Record]:
        """
        Return the records whose *field* equals one of *values*, in one trip.

        Args:
            field: One of `FIELDS`.
            values: Compared byte for byte, case counts. None or more.
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
            StoreConflict: Another version is stored, the row is gone, the id
                exists (when inserting), or the identity is taken by another id.
        """

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

        Never inserts, never moves the time back; silent for an unknown id.
        Not worth a wait: a store that another process keeps busy is left alone.

        Args:
            record_id: Which one.
            last_used_at: Epoch seconds.

        Raises:
            StoreUnavailable: As for every method, and at once if the store is busy.
        """

    @abstractmethod
    def scan(self, after: str | None, limit: int) -> list[Record]:
        """
        Return up to *limit* records in the order of their ids.

        Args:
            after: Start behind this id. None starts at the first.
            limit: At least 1.
        """

    @abstractmethod
    def clear(self) -> int:
        """Delete all records and return how many there were."""

    def revision(self) -> Hashable | None:
        """
        Return something that differs after any commit, by whoever.

        Cheap (microseconds), and read before the row it vouches for. None if
        there is no such thing: then cached tokens are kept for a bounded time.
        """
        return None

    @abstractmethod
    def describe(self) -> str:
        """
        Say where the tokens are, for people; without a password.

        A server's journal is named after it and `store_id`, so it says the
        same in all processes of a host.
        """

    def store_id(self) -> str | None:
        """
        Return what tells this store from any other, by whatever name it is reached.

        Made once, at random, and kept in the store: two servers may be called
        alike. None where nothing of the kind can be kept; then `describe` has
        to tell stores apart.

        Raises:
            StoreUnavailable: As for every method.
        """
        return None

    def risks(self) -> list[Risk] | None:
        """
        Say what about the server may lose or block records, for ``tokenkeep doctor``.

        It may ask the server. What it is not allowed to see is a risk, too.
        None if there is nothing to ask, as for a store in a file.
        """
        return None

    def close(self) -> None:
        """Let go of connections and files. The next call opens them again."""
