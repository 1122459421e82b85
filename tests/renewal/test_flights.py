"""One attempt a process: threads share it, and a caller that is interrupted leaves none behind."""

from __future__ import annotations

import sys
import threading
import time
from itertools import count

from renewal_scenario import Crash
from test_one_call import at_once

from tokenkeep.renewal import flights as module


def test_threads_share_one_attempt(world):
    """Invariant 2: while one thread of a process renews, no other one writes a claim."""
    calling, store = threading.Event(), world.here.store
    tried = []
    store.before["claim"] += [lambda: tried.append(calling.is_set())] * 8
    # Others look at a record in which the claim has been lost.
    store.after["claim"].append(world.free)
    world.provider.before.append(lambda: (calling.set(), time.sleep(0.5)))
    # Later, one who read before the answer was saved may try; its old version is refused.
    world.provider.during.append(calling.clear)

    at_once(8, lambda _: world.get())

    assert True not in tried
    assert world.calls == 1


def test_no_more_threads(monkeypatch):
    """Where no thread can be started (a limit, an ending interpreter) the caller's own is used."""

    def refused(self):  # noqa: ARG001  # the interface's
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)

    assert module.Flights().start("id", lambda: "a token").result() == "a token"


def interrupted_at(line, act):
    """Act, and raise before the line with this number. Return whether it was reached."""
    seen = count(1)

    def trace(frame, event, _):
        if frame.f_code.co_filename != module.__file__:
            return None
        if event == "line" and next(seen) == line:
            raise Crash
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    except Crash:
        return True
    finally:
        sys.settrace(before)
    return False


def test_interrupted_at_any_line():
    """Wherever the caller is interrupted, the next one can renew; what has begun is ended."""
    for line in count(1):
        flights, begun, ended = module.Flights(), [], []

        def attempt(begun=begun, ended=ended):
            begun.append(1)
            time.sleep(0.001)
            ended.append(1)

        reached = interrupted_at(line, lambda: flights.start("id", attempt))  # noqa: B023

        until = time.monotonic() + 20
        while (flight := flights.start("id", lambda: "a token")) is None:
            assert time.monotonic() < until, "an attempt that never ends is left behind"
            time.sleep(0.001)
        assert flight.result(20) == "a token"
        for thread in threading.enumerate():
            if thread.name == "tokenkeep-renewal":
                thread.join(20)
        assert begun == ended
        if not reached:
            break

    assert line > 5  # it was interrupted at all
