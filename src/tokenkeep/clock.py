"""Time as an argument, so that tests can move it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

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


def moment(at: float | None) -> str | None:
    """Return a time as people and programs both read it, in UTC. None for None."""
    if at is None:
        return None
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{at:g} s after 1970"
