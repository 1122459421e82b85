"""
When a call has to be over, whatever comes until then.

Drivers wait so long for the next byte; one that drips could keep them for
ever. What waits on a socket asks `left`, under the end that `ends_within` set.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_end: ContextVar[float] = ContextVar("end", default=math.inf)


@contextmanager
def ends_within(seconds: float, *, anew: bool = False) -> Iterator[None]:
    """
    Set an end to what is waited for inside, beside the one that is set already.

    Args:
        seconds: From now on.
        anew: Whether an end set outside does not count: a signal handler's
            call is not part of the one it interrupts.
    """
    end = monotonic() + seconds
    token = _end.set(end if anew else min(end, _end.get()))
    try:
        yield
    finally:
        _end.reset(token)


def left() -> float:
    """
    Return how long may still be waited, in seconds; infinite without an end.

    Raises:
        TimeoutError: Not at all.
    """
    seconds = _end.get() - monotonic()
    if seconds <= 0:
        raise TimeoutError("timed out")
    return seconds
