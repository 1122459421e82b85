"""The one bound for whatever waits for a server."""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import os
import resource
import socket
import threading
import time

import pytest

from tokenkeep.backends.waiting import TICK, Bound, NoThread, begin, cut, within


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


def test_none_waits_for_another():
    """However much hangs, what comes next is done at once."""
    let_go = threading.Event()
    hung = [begin(let_go.wait) for _ in range(100)]

    assert within(10.0, lambda: "done") == "done"
    let_go.set()
    assert all(each.result(10.0) for each in hung)


@pytest.mark.parametrize("how", [os.fork, ctypes.PyDLL(None).fork], ids=["Python's", "C's"])
def test_in_a_forked_child(fork, how):
    """A child has threads of its own, however it was forked."""

    def work(_):
        assert within(10.0, lambda: 7) == 7
        assert ended_after(0.1) >= 0.1

    with Bound(10.0, lambda: None):
        fork(work, how).end()


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


def ended_after(seconds):
    """Return how long a bound of so long was waited for."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            bounded(seconds, ours)
        return time.monotonic() - start


def test_many_bounds():
    """Each has its own end, also after nobody was looking for a while."""
    for _ in range(2):
        begun = {n: begin(lambda n=n: ended_after(n / 10)) for n in range(1, 8)}
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


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nobody_can_look(monkeypatch, error):
    """Where no thread can be started nothing is begun; later it is, whatever came between."""
    time.sleep(2.0)  # until nobody looks any more

    def start(*_):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(_thread, "start_new_thread", start)
        with pytest.raises((NoThread, KeyboardInterrupt)), Bound(1.0, lambda: None):
            raise AssertionError

    assert within(10.0, lambda: "done") == "done"
    assert ended_after(0.1) >= 0.1


def test_a_ctrl_c_stays_one():
    """Where a bound is ended at that moment, too."""

    def interrupted():
        with Bound(0.01, lambda: None):
            time.sleep(0.2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
