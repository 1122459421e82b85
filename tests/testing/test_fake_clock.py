"""FakeClock: time as tests want it."""

from __future__ import annotations

import time

import pytest

from tokenkeep.clock import Clock
from tokenkeep.testing import FakeClock


def test_moves_when_told():
    """`advance` and a sleep move both times, at once; only the time of day can be set back."""
    clock = FakeClock(1000.0)
    before = clock.monotonic()

    assert isinstance(clock, Clock)
    assert abs(FakeClock().now() - time.time()) < 60
    assert clock.advance(5) == clock.now() == 1005.0
    clock.sleep(3600)
    assert (clock.now(), clock.monotonic(), clock.slept) == (4605.0, before + 3605, [3600])
    clock.set(10.0)
    assert (clock.now(), clock.monotonic()) == (10.0, before + 3605)
    with pytest.raises(ValueError, match="forwards"):
        clock.advance(-1)
