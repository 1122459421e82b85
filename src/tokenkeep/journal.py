"""An answer that must not be lost before it is saved."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tokenkeep.clock import ClockError
    from tokenkeep.errors import TokenKeepError


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
        client_secret: The secret it was renewed with.
        data_center: Where the token is valid. None if not known.
        environment: Likewise.
        base_access: The access token it replaces. None if there was none.
        base_refresh: The refresh token it replaces.
        access_token: The new access token.
        refresh_token: The refresh token from now on, new or not.
        expires_at: When the new access token ends, in epoch seconds. None if not known.
        lifetime: How long it lives in all, in seconds. None if not known.
        learnt: What else is known now: for each field of the token what it
            was at the claim, and what it is. Written only where it still is that.
        holder: The process that renewed it.
        answered_at: When, in epoch seconds.
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
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: float | None
    lifetime: float | None
    learnt: Mapping[str, Sequence[object]] = field(repr=False, hash=False)
    holder: str
    answered_at: float
    name: str | None = None

    def named(self, name: str) -> Entry:
        """Return the entry with a name."""
        return replace(self, name=name)

    @property
    def base(self) -> tuple[str | None, str | None]:
        """The pair that the answer replaces."""
        return self.base_access, self.base_refresh

    @property
    def pair(self) -> tuple[str | None, str | None]:
        """The pair as it is after the renewal."""
        return self.access_token, self.refresh_token


class Journal(ABC):
    """Keep answers until they are saved; and how far this host's clock is off."""

    def prepare(self, base_refresh: str | None) -> str | None:  # noqa: ARG002  # for subclasses
        """
        Make room for one answer, before the provider is asked for it.

        Args:
            base_refresh: The refresh token that it will replace.

        Returns:
            What to give to `put` or `give_back`. None if no room is needed.

        Raises:
            StoreUnavailable: There is no room: better not to ask.
        """
        return None

    def give_back(self, room: str | None) -> None:
        """Give room back that was not needed after all."""

    @abstractmethod
    def put(self, entry: Entry, room: str | None = None) -> Entry:
        """
        Keep an answer; on disk before this returns.

        Args:
            entry: The answer.
            room: What `prepare` returned. None if no room was made.

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
        self, *, on_error: Callable[[TokenKeepError], None] | None = None
    ) -> Iterator[Entry]:
        """
        Yield what is kept.

        Args:
            on_error: Called for an entry that can't be opened, instead of
                raising. None raises.

        Raises:
            StoreTampered: An entry does not open.
        """

    def tidy(self, before: float) -> None:
        """
        Remove what writers that are gone have left half-written.

        Args:
            before: Only what is older, in epoch seconds.
        """

    def reseal(self, on_error: Callable[[TokenKeepError], None] | None = None) -> None:
        """
        Seal every answer under the newest data key.

        Args:
            on_error: As for `entries`.
        """

    def clock_error(self, issuer: str | None) -> ClockError | None:  # noqa: ARG002  # for subclasses
        """
        Return what was last noted of this host's clock. None if nothing is.

        Args:
            issuer: Whose clock it was compared with.

        Raises:
            TokenKeepError: It can't be read.
        """
        return None

    def note_clock(self, issuer: str | None, error: ClockError) -> None:
        """
        Note how far this host's clock is off.

        Args:
            issuer: Whose clock it was compared with.
            error: What was measured.

        Raises:
            StoreUnavailable: It could not be written.
        """

    @abstractmethod
    def find(self, base: tuple[str | None, str | None]) -> Entry | None:
        """
        Return the answer that replaces this pair. None if there is none.

        Args:
            base: The pair; secrets, so it is nobody else's, whatever row it is in.

        Raises:
            StoreTampered: An entry does not open.
        """


class MemoryJournal(Journal):
    """For stores that don't outlive the process either."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._clocks: dict[str | None, ClockError] = {}

    def put(self, entry: Entry, room: str | None = None) -> Entry:  # noqa: ARG002  # none is needed
        """See `Journal.put`."""
        named = entry.named(secrets.token_hex(16))
        self._entries[str(named.name)] = named
        return named

    def remove(self, entry: Entry) -> None:
        """See `Journal.remove`."""
        self._entries.pop(str(entry.name), None)

    def entries(
        self, *, on_error: Callable[[TokenKeepError], None] | None = None
    ) -> Iterator[Entry]:
        """See `Journal.entries`; there is nothing to open."""
        del on_error
        return iter(list(self._entries.values()))

    def find(self, base: tuple[str | None, str | None]) -> Entry | None:
        """See `Journal.find`."""
        return next((entry for entry in self.entries() if entry.base == base), None)

    def clock_error(self, issuer: str | None) -> ClockError | None:
        """See `Journal.clock_error`."""
        return self._clocks.get(issuer)

    def note_clock(self, issuer: str | None, error: ClockError) -> None:
        """See `Journal.note_clock`."""
        self._clocks[issuer] = error
