"""The one bound for whatever waits for a server."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time

import pytest

from tokenkeep.backends.waiting import KEPT, NoThread, begin, within


def test_the_result():
    """What the work returns or raises is its caller's."""
    assert within(10.0, lambda: 7) == 7
    with pytest.raises(KeyError):
        within(10.0, lambda: {}["x"])


def test_ends_on_the_wall_clock():
    """Who waits is let go in time; what has begun goes on."""
    let_go, done = threading.Event(), threading.Event()

    with pytest.raises(TimeoutError):
        within(0.01, lambda: let_go.wait() and done.set())
    let_go.set()

    assert done.wait(10.0)


def kept():
    """One call after the other is made in the same thread; as many threads as calls at once."""
    assert len({within(10.0, threading.current_thread) for _ in range(20)}) <= 2
    together = threading.Barrier(5)
    for each in [begin(lambda: together.wait(10.0)) for _ in range(5)]:
        each.result(10.0)


def alone():
    """However much hangs, what comes next is done at once; few threads are kept afterwards."""
    before, let_go = threading.active_count(), threading.Event()
    hung = [begin(let_go.wait) for _ in range(2 * KEPT)]

    assert within(10.0, lambda: "done") == "done"
    let_go.set()
    assert all(each.result(10.0) for each in hung)
    end = time.monotonic() + 5.0
    while threading.active_count() - before > KEPT:
        assert time.monotonic() < end
        time.sleep(0.01)


def no_thread():
    """Where none can be started nothing is begun, nor done later."""
    late, start = [], threading.Thread.start
    threading.Thread.start = lambda _: (_ for _ in ()).throw(RuntimeError("can't start"))
    for ask in (lambda: within(10.0, lambda: late.append(1)), lambda: begin(late.pop)):
        with pytest.raises(NoThread):
            ask()
    threading.Thread.start = start

    assert within(10.0, lambda: "done") == "done"
    assert late == []


@pytest.mark.parametrize("how", [os.fork, ctypes.PyDLL(None).fork], ids=["Python's", "C's"])
@pytest.mark.parametrize("promise", [kept, alone, no_thread])
def test_threads(fork, promise, how):
    """A child has threads of its own, however it was forked, and as few as it can do with."""
    within(10.0, lambda: None)

    fork(lambda _: promise(), how).end()


def test_in_a_signal_handler():
    """A handler's own call is made while its thread waits for another one."""
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append(within(10.0, lambda: "handled")))
    try:
        within(10.0, lambda: (os.kill(os.getpid(), signal.SIGUSR1), time.sleep(0.05)))
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert seen == ["handled"]
