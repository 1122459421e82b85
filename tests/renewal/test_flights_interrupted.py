"""A caller that is interrupted while it starts a renewal: nothing is left behind or lost."""

from __future__ import annotations

import signal
import sys
import threading
import time
from itertools import count

import pytest

from tokenkeep.renewal import flights as module
from tokenkeep.renewal.flights import Flights


class Interrupted(BaseException):
    """What a signal handler raises."""


def interrupted_at(line, act):
    """Act, and raise before the line with this number. Return whether it was reached."""
    seen = count(1)

    def trace(frame, event, _):
        if frame.f_code.co_filename != module.__file__:
            return None
        if event == "line" and next(seen) == line:
            raise Interrupted
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    except Interrupted:
        return True
    finally:
        sys.settrace(before)
    return False


def started(flights, attempt):
    """Start an attempt as soon as none is under way."""
    end = time.monotonic() + 20
    while (flight := flights.start("id", attempt)) is None:
        assert time.monotonic() < end, "an attempt that never ends is left behind"
        time.sleep(0.001)
    return flight


def test_interrupted_at_any_line():
    """Wherever the caller is interrupted, the next one can renew; what has begun is ended."""
    for line in count(1):
        flights, begun, ended = Flights(), [], []

        def attempt(begun=begun, ended=ended):
            begun.append(1)
            time.sleep(0.001)
            ended.append(1)

        reached = interrupted_at(line, lambda: flights.start("id", attempt))  # noqa: B023

        assert started(flights, lambda: "a token").done.wait(20)
        for thread in threading.enumerate():
            if thread.name == "tokenkeep-renewal":
                thread.join(20)
        assert begun == ended
        if not reached:
            break

    assert line > 5  # it was interrupted at all


@pytest.mark.parametrize("begins", [False, True])
def test_interrupted_while_the_thread_is_started(monkeypatch, begins):
    """Before the thread runs, nobody renews; once it does, it goes on to the end."""
    flights, begun, done, start = Flights(), threading.Event(), [], threading.Thread.start

    def attempt():
        begun.set()
        time.sleep(0.05)
        done.append(1)

    def interrupted(thread):
        if begins:
            start(thread)
            begun.wait(20)
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(Interrupted):
            flights.start("id", attempt)

    assert started(flights, lambda: "a token").done.wait(20)
    assert done == [1] * begins


def test_interrupted_by_a_signal():
    """The same with a real signal, which comes while the caller waits for the thread."""
    flights, done = Flights(), []

    def interrupted(*_):
        raise Interrupted

    def attempt():
        signal.raise_signal(signal.SIGUSR1)
        time.sleep(0.05)
        done.append(1)

    before = signal.signal(signal.SIGUSR1, interrupted)
    try:
        with pytest.raises(Interrupted):
            flights.start("id", attempt).done.wait(20)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert started(flights, lambda: "a token").done.wait(20)
    assert done == [1]


def test_thread_that_never_gets_to_fly(monkeypatch):
    """A thread that ends before its first step, as after a fork, is not waited for."""
    monkeypatch.setattr(module, "_LOOK_AGAIN", 0.01)
    monkeypatch.setattr(threading.Thread, "run", lambda _: None)

    assert Flights().start("id", lambda: "a token") is None
