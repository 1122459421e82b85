"""Time as an argument, so that tests can move it."""

from __future__ import annotations

import time


class Clock:
    """The time as the operating system gives it."""

    def now(self) -> float:
        """Return the time of day in epoch seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class CorrectedClock(Clock):
    """
    A clock set right by what a provider says the time is.

    Args:
        clock: This host's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.offset: float = 0.0
        """How far this host's clock is behind, in seconds."""

    def now(self) -> float:
        """Return the time of day in epoch seconds, corrected."""
        return self._clock.now() + self.offset

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        self._clock.sleep(seconds)

    def correct(self, offset: float) -> None:
        """
        Set the clock right.

        Args:
            offset: A provider's clock minus this host's, in seconds.
        """
        self.offset = offset
