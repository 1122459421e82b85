"""Unsealed tokens in memory, each valid for one revision of the store."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from tokenkeep.token import Token

_UNSEEN = object()
"""A revision that no store has: what was written here may have been written over."""


class Cache:
    """
    The *size* tokens used last; 0 keeps none.

    *revision* is the backend's. Of one without, they only spare opening a version again.
    """

    def __init__(self, revision: Callable[[], Hashable | None], *, size: int) -> None:
        self._revision = revision
        self._size = size
        # Without a lock, as each of its methods is one step: what a thread, a signal
        # handler or a fork comes between is at most a token more or less.
        self._entries: OrderedDict[Hashable, tuple[Token, Hashable]] = OrderedDict()

    def recall(self, key: Hashable, read: Callable[[], Token | None]) -> Token | None:
        """Return what was read before, if nothing was written since; else read it now."""
        revision = self._revision()  # before it is read: it vouches for it
        entry = self._entries.get(key)
        if entry is not None and entry[1] == revision is not None:
            return entry[0]
        token = read()
        if token is not None:
            self._put(("id", token.id) if revision is None else key, token, revision)
        return token

    def last(self, token_id: str) -> Token | None:
        """Return the token last seen with an id, however old. None if it is not kept."""
        entry = self._entries.get(("id", token_id))
        return entry[0] if entry else None

    def note(self, token: Token) -> None:
        """Keep what was just written for the next save; no reader is given it unasked."""
        self._put(("id", token.id), token, _UNSEEN)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def _put(self, key: Hashable, token: Token, revision: Hashable) -> None:
        self._entries.pop(key, None)
        self._entries[key] = token, revision
        with suppress(KeyError):  # another thread has taken the last one out
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)
