"""Unsealed tokens in memory, each valid for one revision of the store."""

from __future__ import annotations

from collections import OrderedDict
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple

from tokenkeep.backends.forks import renew_in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from tokenkeep.token import Token

_UNSEEN = object()
"""A revision that no store has: what was written here may have been written over."""


class _Entry(NamedTuple):
    token: Token
    revision: Hashable | None
    writes: int = 0
    read_at: float = 0.0


class Cache:
    """
    The *size* tokens used last; 0 keeps none.

    *revision* is the backend's. For one without, what was read counts until this process
    writes anything, for *max_staleness* seconds of the clock *monotonic* at most.
    """

    def __init__(
        self,
        revision: Callable[[], Hashable | None],
        monotonic: Callable[[], float],
        *,
        size: int,
        max_staleness: float,
    ) -> None:
        self._revision = revision
        self._monotonic = monotonic
        self._size = size
        self._max_staleness = max_staleness
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._writes = 0
        self.renew_locks()
        renew_in_child(self)

    def recall(self, key: Hashable, read: Callable[[], Token | None]) -> Token | None:
        """Return what was read before, if nothing was written since; else read it now."""
        # All three before it is read: they vouch for it.
        revision, writes, now = self._revision(), self._writes, self._monotonic()
        entry = self._entries.get(key)
        if entry is not None and entry.revision == revision:
            is_fresh = entry.writes == writes and now - entry.read_at < self._max_staleness
            if is_fresh or revision is not None:
                return entry.token
        token = read()
        if token is not None:
            self._put(key, _Entry(token, revision, writes, now))
        return token

    def last(self, token_id: str) -> Token | None:
        """Return the token last seen with an id, however old. None if it is not kept."""
        entry = self._entries.get(("id", token_id))
        return entry.token if entry else None

    def note(self, token: Token) -> None:
        """Keep what was just written for the next save; no reader is given it unasked."""
        self._put(("id", token.id), _Entry(token, _UNSEEN))

    def wrote(self) -> None:
        """Note that this process wrote, or read past this: what was read before is out of date."""
        self._writes += 1

    def clear(self) -> None:
        """Forget everything, what is being read now too."""
        self.wrote()
        with self._lock:
            self._entries.clear()

    def renew_locks(self) -> None:
        """Start with a new lock: another thread of the parent may hold the old one."""
        # Re-entrant: a signal handler may ask for a token in the midst of this.
        self._lock = RLock()

    def _put(self, key: Hashable, entry: _Entry) -> None:
        with self._lock:
            self._entries.pop(key, None)
            self._entries[key] = entry
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)
