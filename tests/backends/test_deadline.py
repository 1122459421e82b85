"""The end of a call: the nearest one counts, but for a call in the midst of another."""

from __future__ import annotations

import math
from time import monotonic

import pytest

from tokenkeep.backends.deadline import ends_within, left


def is_over():
    try:
        left()
    except TimeoutError:
        return True
    return False


def test_the_nearest_end():
    """An end inside does not put off the one outside, which is back behind it; then none."""
    with ends_within(0.0):
        with ends_within(60.0):
            assert is_over()
        assert is_over()
    with ends_within(60.0):
        with pytest.raises(ValueError, match="in the midst"), ends_within(0.0):
            raise ValueError("in the midst")
        assert not is_over()

    assert math.inf == left()


def test_a_call_in_the_midst_of_another():
    """A signal handler's call has its own end, and leaves the other's."""
    with ends_within(0.0):
        with ends_within(60.0, anew=True):
            assert 50 < left() <= 60
        assert is_over()


def test_time_passes():
    """What is left gets less."""
    with ends_within(0.05):
        begun = monotonic()
        while not is_over():
            pass

    assert 0.04 < monotonic() - begun < 5
