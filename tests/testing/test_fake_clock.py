"""FakeClock: time as tests want it."""

from __future__ import annotations

import time

import pytest

from tokenkeep.clock import Clock
from tokenkeep.testing import FakeClock


def test_is_a_clock():
    """It goes wherever a clock goes, and starts in the present."""
    clock = FakeClock()

    assert isinstance(clock, Clock)
    assert abs(clock.now() - time.time()) < 60


def test_stands_still_until_moved():
    """Only `advance` moves it: both the time of day and the monotonic time."""
    clock = FakeClock(1000.0)
    before = clock.monotonic()
    assert (clock.now(), clock.monotonic()) == (1000.0, before)

    assert clock.advance(5) == clock.now() == 1005.0
    assert clock.monotonic() == before + 5


def test_sleep_takes_no_time():
    """A sleep passes at once, and is remembered."""
    clock = FakeClock(1000.0)
    clock.sleep(3600)

    assert clock.now() == 4600.0
    assert clock.slept == [3600]


def test_set_back():
    """The time of day can be turned back; the monotonic time never runs backwards."""
    clock = FakeClock(1000.0)
    before = clock.monotonic()
    clock.set(10.0)

    assert (clock.now(), clock.monotonic()) == (10.0, before)
    with pytest.raises(ValueError, match="forwards"):
        clock.advance(-1)
