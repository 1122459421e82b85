"""Waiting for other processes, without keeping this one's threads or forks waiting too."""

from __future__ import annotations

import time
from itertools import chain, repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02)
_LONGEST = 0.025


def tries(timeout: float) -> Iterator[None]:
    """
    Yield once, and again after ever longer sleeps, until the time is over.

    To be walked through without a lock: who tries takes it for each try alone.

    Args:
        timeout: In seconds. 0 yields once.
    """
    deadline = time.monotonic() + timeout
    for pause in chain(_PAUSES, repeat(_LONGEST)):
        yield
        left = deadline - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(pause, left))
