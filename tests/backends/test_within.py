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


@pytest.fixture
def let_go():
    """Twice as much hangs as threads are kept, until it is let go."""
    let_go = threading.Event()
    hung = [begin(let_go.wait) for _ in range(2 * KEPT)]
    yield let_go
    let_go.set()
    assert all(each.result(10.0) for each in hung)


def test_none_waits_for_another(let_go):
    """However much hangs, what comes next is done at once; few threads are kept afterwards."""
    hanging = threading.active_count()

    assert within(10.0, lambda: "done") == "done"
    let_go.set()
    end = time.monotonic() + 10.0
    while threading.active_count() > hanging - KEPT + 1:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.usefixtures("let_go")
def test_no_thread(monkeypatch):
    """Where none can be started nothing is begun, nor done later."""
    late = []

    def start(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        for ask in (lambda: within(10.0, lambda: late.append(1)), lambda: begin(late.pop)):
            with pytest.raises(NoThread):
                ask()

    assert within(10.0, lambda: "done") == "done"
    assert late == []


@pytest.mark.parametrize("how", [os.fork, ctypes.PyDLL(None).fork], ids=["Python's", "C's"])
def test_in_a_forked_child(fork, how):
    """A child has threads of its own, however it was forked; one call after the other in one."""
    within(10.0, lambda: None)

    def work(_):
        assert len({within(10.0, threading.current_thread) for _ in range(20)}) <= 2
        together = threading.Barrier(5)
        for each in [begin(lambda: together.wait(10.0)) for _ in range(5)]:
            each.result(10.0)

    fork(work, how).end()


def test_in_a_signal_handler():
    """A handler's own call is made while its thread waits for another one."""
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append(within(10.0, lambda: "handled")))
    try:
        within(10.0, lambda: (os.kill(os.getpid(), signal.SIGUSR1), time.sleep(0.05)))
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert seen == ["handled"]
