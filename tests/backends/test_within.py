"""The one bound for whatever waits."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time

import pytest

from tokenkeep.backends import waiting
from tokenkeep.backends.waiting import begin, within


def test_the_result():
    """What the work returns or raises is its caller's."""
    assert within(10.0, lambda: 7) == 7
    with pytest.raises(KeyError):
        within(10.0, lambda: {}["x"])


def test_ends_on_the_wall_clock():
    """Who waits is let go in time; what has begun goes on."""
    let_go, done = threading.Event(), threading.Event()

    def work():
        let_go.wait()
        done.set()

    with pytest.raises(TimeoutError):
        within(0.01, work)
    let_go.set()

    assert done.wait(10.0)


def test_threads_are_kept(monkeypatch):
    """One call after the other is made in the same thread; as many threads as calls at once."""
    monkeypatch.setattr(waiting, "_threads", waiting._Threads())
    seen = {within(10.0, threading.current_thread) for _ in range(20)}

    assert len(seen) <= 2
    together = threading.Barrier(5)
    for each in [begin(lambda: together.wait(10.0)) for _ in range(5)]:
        each.result(10.0)


def test_no_more_than_so_many(monkeypatch):
    """What hangs takes no more than its share of threads; what never began is not done late."""
    monkeypatch.setattr(waiting, "_threads", waiting._Threads())
    monkeypatch.setattr(waiting, "MOST", 2)
    let_go, late = threading.Event(), []
    hung = [begin(let_go.wait) for _ in range(2)]
    with pytest.raises(TimeoutError):
        within(0.01, lambda: late.append(1))
    let_go.set()

    assert all(each.result(10.0) for each in hung)
    assert within(10.0, lambda: "free again") == "free again"
    assert late == []


@pytest.mark.parametrize("how", [os.fork, ctypes.PyDLL(None).fork], ids=["Python's", "C's"])
def test_in_a_forked_child(fork, how):
    """A child has threads of its own, however it was forked."""
    within(10.0, lambda: None)
    child = fork(lambda say: say(within(10.0, lambda: 7)), how)

    assert child.end() == ["7"]


def test_in_a_signal_handler():
    """A handler's own call is made while its thread waits for another one."""
    seen = []

    def handler(*_):
        seen.append(within(10.0, lambda: "handled"))

    before = signal.signal(signal.SIGUSR1, handler)
    try:

        def work():
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.05)

        within(10.0, work)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert seen == ["handled"]
