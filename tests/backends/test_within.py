"""The one bound for whatever waits."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time

import pytest

from tokenkeep.backends import waiting
from tokenkeep.backends.waiting import NoThread, begin, within


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


def test_none_waits_for_another(monkeypatch):
    """However much hangs, what comes next is done at once; few threads are kept afterwards."""
    monkeypatch.setattr(waiting, "_threads", waiting._Threads())
    before, let_go = threading.active_count(), threading.Event()
    hung = [begin(let_go.wait) for _ in range(2 * waiting.KEPT)]

    assert within(10.0, lambda: "done") == "done"
    let_go.set()
    assert all(each.result(10.0) for each in hung)
    for _ in range(100):
        if threading.active_count() - before <= waiting.KEPT:
            break
        time.sleep(0.05)
    assert threading.active_count() - before <= waiting.KEPT


def test_no_thread(monkeypatch):
    """Where none can be started nothing is begun, nor done later."""
    monkeypatch.setattr(waiting, "_threads", waiting._Threads())
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
