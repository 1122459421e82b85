"""How many calls of one login a worker makes at a time."""

from __future__ import annotations

import threading
from collections import Counter

AT_ONCE = 10
"""How many calls of one login are made at a time."""

CHANGES = 5
"""How many of them may change something: their answers may be long in coming."""


class Turns:
    """Calls under way, by login; one that makes none takes no room."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._changes: Counter[str] = Counter()
        self._given_back = threading.Condition()

    def take(self, whose: str, patience: float, *, writing: bool) -> bool:
        """
        Wait for a turn.

        Args:
            whose: The id of a login.
            patience: How long at most, in seconds.
            writing: Whether something is to be changed.

        Returns:
            Whether there was one; it has to be given back.
        """

        def is_free() -> bool:
            has_room = self._calls[whose] < AT_ONCE
            return has_room and (not writing or self._changes[whose] < CHANGES)

        with self._given_back:
            if not self._given_back.wait_for(is_free, patience):
                return False
            self._calls[whose] += 1
            self._changes[whose] += writing
            return True

    def give_back(self, whose: str, *, writing: bool) -> None:
        """Let another call have the turn."""
        with self._given_back:
            self._calls[whose] -= 1
            self._changes[whose] -= writing
            for counts in (self._calls, self._changes):
                if not counts[whose]:
                    del counts[whose]
            self._given_back.notify_all()
