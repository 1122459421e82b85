"""The one bound for whatever waits for a server."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import threading
import time

import pytest

from tokenkeep.backends.waiting import KEPT, TICK, Bound, NoThread, begin, cut, within


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


def bounded(seconds, link, then=lambda: None):
    with Bound(seconds, lambda: cut(link)):
        return link.recv(1) or then()


def test_bound():
    """What answers in time is left alone; what does not is cut, and said so, also if it ended."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for _ in range(100):
            theirs.send(b"x")
            assert bounded(0.01, ours) == b"x"
        time.sleep(3 * TICK)
        theirs.send(b"x")
        assert bounded(10.0, ours) == b"x"

        start = time.monotonic()
        with pytest.raises(TimeoutError):
            bounded(0.1, ours)

        assert 0.1 <= time.monotonic() - start < 5.0
        assert theirs.recv(1) == b""


def test_many_bounds():
    """Each has its own end, also after nobody was looking for a while."""

    def ended(seconds):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            start = time.monotonic()
            with pytest.raises(TimeoutError):
                bounded(seconds, ours)
            return time.monotonic() - start

    for _ in range(2):
        begun = {n: begin(lambda n=n: ended(n / 10)) for n in range(1, 8)}
        assert all(n / 10 <= each.result(10.0) for n, each in begun.items())
        time.sleep(1.5)


@pytest.mark.parametrize("descriptors", [None, 0], ids=["usual", "none left"])
def test_a_bound_in_a_forked_child(descriptors):
    """A child looks at its own; nothing has to be opened for that."""
    with Bound(10.0, lambda: None):
        pass
    ours, theirs = socket.socketpair()

    pid = os.fork()
    if not pid:
        if descriptors is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
        with contextlib.suppress(TimeoutError):
            bounded(0.1, ours)
            os._exit(1)
        os._exit(0)

    assert os.waitpid(pid, 0)[1] == 0
    ours.close()
    theirs.close()


def test_interrupted_when_somebody_begins_to_look(let_go, monkeypatch):
    """What a signal handler raises then leaves no later bound without an end."""
    time.sleep(2.0)  # until nobody looks any more
    for _ in range(KEPT):
        begin(let_go.wait)  # by all that are idle

    def start(_thread):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(KeyboardInterrupt), Bound(1.0, lambda: None):
            raise AssertionError

    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TimeoutError):
        bounded(0.1, ours)


def test_a_ctrl_c_stays_one():
    """Where a bound is ended at that moment, too."""

    def interrupted():
        with Bound(0.01, lambda: None):
            time.sleep(0.2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_no_thread_for_a_bound(let_go, monkeypatch):
    """Where nobody can look on nothing is begun; later it is."""
    time.sleep(2.0)  # until nobody looks any more
    for _ in range(KEPT):
        begin(let_go.wait)  # by all that are idle

    def start(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(NoThread), Bound(1.0, lambda: None):
            raise AssertionError

    with Bound(10.0, lambda: None):
        pass
