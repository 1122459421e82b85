"""
Waiting for others, in bounds: for a server by the wall clock, for other processes by turns.

Drivers bound each step; a server that drips, a name server that never
answers and a process that was suspended need somebody who looks at the clock
outside. Where there is a connection to cut, `Bound` has a daemon thread look
on; for what can't be ended (names, connecting, other people's clients)
`within` has one do the work.
"""

from __future__ import annotations

import _thread
import os
import select
import socket
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Result = TypeVar("_Result")

TICK = 0.05
"""How often a `Bound` is looked at, in seconds."""

_LINGER = 20
"""After how many ticks without any bound nobody looks any more."""

_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02)
_LONGEST = 0.025


class NoThread(TimeoutError):
    """No thread can be started: nothing was begun."""


def within(seconds: float, work: Callable[[], _Result]) -> _Result:
    """
    Do something in another thread, and wait for it only so long.

    Args:
        seconds: How long, on the wall clock.
        work: What to do. What it raises is raised here.

    Raises:
        TimeoutError: It takes longer, and goes on; nobody hears of it.
        NoThread: It was not begun.
    """
    return begin(work).result(max(seconds, 0))


def begin(work: Callable[[], _Result]) -> Future[_Result]:
    """
    Begin something in another thread; it may be waited for.

    Raises:
        NoThread: It was not begun.
    """
    begun: Future[_Result] = Future()
    # Nobody waits for its end when the process ends, as for an executor's. And not in threading's
    # own list, out of which gevent's can't be taken in a child: there they come along.
    try:
        _thread.start_new_thread(_do, (work, begun))
    except RuntimeError:
        raise NoThread("No thread can be started") from None
    return begun


def _do(work: Callable[[], _Result], begun: Future[_Result]) -> None:
    try:
        begun.set_result(work())
    except BaseException as exc:  # noqa: BLE001 - raised again by who waits
        begun.set_exception(exc)
    finally:
        del work, begun  # or the error would hold this frame, and this the error


class Bound:
    """
    Wait in this thread, but only so long: then another one ends what is waited for.

    Entering costs a microsecond, where `within` costs a thread.

    Args:
        seconds: How long, on the wall clock; `TICK` more at most.
        end: Ends it, such as by `cut`. Called in another thread, if at all.

    Raises:
        TimeoutError: It was ended: raised where the block is left, whatever came of it.
        NoThread: Nobody can look on: raised where it is entered.
    """

    __slots__ = ("_end", "_seconds", "_watch", "deadline", "ended")

    def __init__(self, seconds: float, end: Callable[[], object]) -> None:
        self._seconds, self._end = seconds, end
        self.ended: threading.Event | None = None

    def __enter__(self) -> None:
        self.deadline: float = time.monotonic() + self._seconds
        self._watch = _of_this_process()
        self._watch.add(self)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._watch.take(self):
            return
        # It is being ended: what it was may be closed, or used again, only afterwards.
        if self.ended:
            self.ended.wait(self._seconds)
        if kind is None or issubclass(kind, Exception):  # not a Ctrl-C
            raise TimeoutError from None

    def end(self) -> None:
        """End what is waited for."""
        with suppress(Exception):
            self._end()
        if self.ended:
            self.ended.set()


class _Watch:
    """A daemon thread that looks at the bounds of this process, as long as there are some."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.RLock()  # a signal handler may ask in the midst of this
        self._bounds: set[Bound] = set()
        self._looks = False

    def add(self, bound: Bound) -> None:
        with self._lock:
            self._bounds.add(bound)
            if not self._looks:
                try:
                    begin(self._look)
                except BaseException:
                    self._bounds.discard(bound)
                    raise
                self._looks = True

    def take(self, bound: Bound) -> bool:
        """Look at a bound no more. Return False if it is being ended."""
        with self._lock:
            is_there = bound in self._bounds
            self._bounds.discard(bound)
        return is_there

    def _look(self) -> None:
        quiet = 0
        while True:
            time.sleep(TICK)
            now = time.monotonic()
            with self._lock:
                late = {each for each in self._bounds if each.deadline <= now}
                self._bounds -= late
                for each in late:
                    each.ended = threading.Event()
                quiet = 0 if late or self._bounds else quiet + 1
                if quiet > _LINGER:
                    self._looks = False
                    return
            for each in late:
                try:
                    begin(each.end)
                except NoThread:
                    each.end()


def _of_this_process() -> _Watch:
    global _watch  # noqa: PLW0603 - the one of a process
    if _watch.pid != os.getpid():  # a fork, of Python's or a library's: no thread came along
        _watch = _Watch()
    return _watch


_watch = _Watch()


def cut(link: Any) -> None:
    """
    End a connection on which another thread waits: that finds its end.

    Args:
        link: What has a ``fileno``, such as a socket. None if there is nothing to end.
    """
    # As a socket of its own: a TLS socket that is shut down itself goes on in clear. And not by
    # a duplicate: a process may have no descriptor left for that.
    with suppress(AttributeError, OSError, ValueError):
        same = socket.socket(fileno=link.fileno())
        try:
            same.shutdown(socket.SHUT_RDWR)
        finally:
            same.detach()


def can_be_read(link: Any) -> bool:
    """
    Return whether something has come on a connection, be it its end.

    Args:
        link: What has a ``fileno``, such as a socket.
    """
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([link], [], [], 0)[0])
    poll = select.poll()  # a selector by epoll costs 30 µs, a third of a query
    poll.register(link, select.POLLIN)
    return bool(poll.poll(0))


def tries(timeout: float) -> Iterator[None]:
    """
    Yield once, and again after ever longer sleeps, until the time is over.

    To be walked through without a lock: who tries takes it for each try alone.

    Args:
        timeout: In seconds. 0 yields once.
    """
    yield  # without a clock, which would cost a tenth of a lookup
    deadline = time.monotonic() + timeout
    for pause in chain(_PAUSES, repeat(_LONGEST)):
        left = deadline - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(pause, left))
        yield
