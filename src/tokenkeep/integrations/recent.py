"""What one thread was told last, bounded."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

Key = TypeVar("Key")
Value = TypeVar("Value")

MOST = 100
"""How much one thread remembers."""


class Recent(threading.local, Generic[Key, Value]):
    """Remember the last 100 things of each thread by their key. It shows none of them."""

    def __init__(self) -> None:
        self._values: dict[Key, Value] = {}

    def get(self, key: Key) -> Value | None:
        """Return what this thread has noted. None if nothing, or too long ago."""
        return self._values.get(key)

    def note(self, key: Key, value: Value) -> None:
        """Note something; it takes the place of what was noted by this key."""
        self._values.pop(key, None)
        self._values[key] = value
        if len(self._values) > MOST:
            del self._values[next(iter(self._values))]

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def drop(self, key: Key) -> None:
        """Forget it. Silent if there is nothing."""
        self._values.pop(key, None)

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Key]:
        """Yield this thread's keys, the oldest first."""
        return iter(self._values)
