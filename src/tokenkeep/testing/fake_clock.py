"""A clock that tests move, so that nothing has to be slept for."""

from __future__ import annotations

import threading
import time

from tokenkeep.clock import Clock


class FakeClock(Clock):
    """
    Stand still until somebody moves it.

    Give it to `tokenkeep.Keeper` and `tokenkeep.open_store`. Threads may share
    it. Time passed in `sleep` passes for all of them, at once.

    Args:
        now: Where it starts, in epoch seconds. None means the present.

    Attributes:
        slept: What `sleep` was asked for, in seconds, in order.
    """

    def __init__(self, now: float | None = None) -> None:
        self._now = time.time() if now is None else now
        self._monotonic = 1000.0
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> float:
        """Return the time of day in epoch seconds."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        """Let the time pass, at once."""
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> float:
        """
        Let time pass: a pause of this process, or nothing happening.

        Args:
            seconds: How long.

        Returns:
            Epoch seconds after it.

        Raises:
            ValueError: *seconds* is negative; only the time of day can be
                `set` back.
        """
        if seconds < 0:
            raise ValueError("time passes forwards only; set() turns the time of day back")
        with self._lock:
            self._now += seconds
            self._monotonic += seconds
            return self._now

    def set(self, now: float) -> None:
        """
        Set the time of day, as an administrator or NTP does.

        Args:
            now: Epoch seconds, earlier ones too; the monotonic time stays.
        """
        with self._lock:
            self._now = now
