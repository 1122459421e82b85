"""Time as an argument, so that tests can move it."""

from __future__ import annotations

import time
from dataclasses import dataclass

CLOCK_TOLERANCE = 30.0
"""How far a clock may be off, or be set, before that counts, in seconds."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockError:
    """
    How far a host's clock was off when that was measured.

    Args:
        behind: An issuer's clock minus the host's, in seconds.
        zero: When the host's monotonic clock was 0, in epoch seconds on its
            clock; another time as soon as that is set.
        boot: The start of the host since when the monotonic clock has run.
    """

    behind: float
    zero: float
    boot: str
