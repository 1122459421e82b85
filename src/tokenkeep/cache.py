"""Unsealed tokens in memory, each valid for one revision of the store."""

from __future__ import annotations

from collections import OrderedDict
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable

    from tokenkeep.token import Token


class Entry(NamedTuple):
    """
    A token as it was at one revision of the backend's, and `Cache.mark`, both asked before it was
    read, at *read_at* on the monotonic clock, in seconds.
    """

    token: Token
    revision: Hashable | None
    read_at: float
    mark: int = 0


class Cache:
    """
    The *size* tokens used last; 0 keeps none. *max_staleness*, in seconds, is for stores without a
    revision: that long a token is handed out without asking them again.
    """

    def __init__(self, size: int, max_staleness: float) -> None:
        self._size = size
        self._max_staleness = max_staleness
        self._entries: OrderedDict[Hashable, Entry] = OrderedDict()
        self._written: dict[str, int] = {}
        self._cleared = 0
        self.mark: int = 0
        """Grows with each write of this process; read before the token it vouches for."""
        # Re-entrant: a signal handler may ask for a token in the midst of this.
        self._lock = RLock()

    def get(self, key: Hashable, revision: Hashable | None, now: float) -> Token | None:
        """Return the token put under *key*. None if it may have changed since."""
        entry = self._entries.get(key)
        if entry is None or entry.revision != revision:
            return None
        if revision is None and (
            now - entry.read_at >= self._max_staleness
            or entry.mark < self._written.get(str(entry.token.id), self._cleared)
        ):
            return None
        return entry.token

    def last(self, key: Hashable) -> Token | None:
        """Return the token last seen under *key*, however old. None if it is not kept."""
        entry = self._entries.get(key)
        return entry.token if entry else None

    def put(self, key: Hashable, entry: Entry) -> None:
        """Keep a token, and drop the one kept longest if there are too many."""
        with self._lock:
            self._entries.pop(key, None)
            self._entries[key] = entry
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def wrote(self, token_id: str) -> None:
        """
        Note that this process writes a token; what was read before is out of date.

        Called before and after the write, so that a reader in between can't
        put an old token back.
        """
        with self._lock:
            if len(self._written) >= self._size:
                self._forget()
            self.mark += 1
            self._written[token_id] = self.mark

    def clear(self) -> None:
        """Forget everything, what is being read now too."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self.mark += 1
        self._cleared = self.mark
        self._written.clear()
        self._entries.clear()

    def renew_locks(self) -> None:
        """Start with a new lock: another thread of the parent may hold the old one."""
        self._lock = RLock()
