"""
The one bound for whatever waits for somebody else: a daemon thread works, the wall clock ends it.

Drivers bound each step; a server that drips, a name server that never
answers and a process that was suspended need somebody who waits outside.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")

MOST = 256
"""How many pieces of work are under way at once in a process. What comes then waits its turn."""


def within(seconds: float, work: Callable[[], _Result]) -> _Result:
    """
    Do something in another thread, and wait for it only so long.

    Args:
        seconds: How long, on the wall clock.
        work: What to do. What it raises is raised here.

    Raises:
        TimeoutError: It takes longer. What has begun goes on and nobody hears
            of it; what has not begun never does.
    """
    future = begin(work)
    try:
        return future.result(seconds)
    finally:
        future.cancel()


def begin(work: Callable[[], _Result]) -> Future[_Result]:
    """
    Begin something in another thread; it may be waited for, or cancelled until it begins.

    Raises:
        RuntimeError: No thread can be started for it.
    """
    global _threads  # noqa: PLW0603 - the one pool of a process
    if _threads.pid != os.getpid():  # a fork, of Python's or a library's: no thread came along
        _threads = _Threads()
    return _threads.begin(work)


class _Threads:
    """
    Daemon threads that wait for work: one that hangs must not keep the process alive.

    Nothing here takes a lock that a signal handler could find taken by its own thread.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._all: set[threading.Thread] = set()
        self._idle: deque[None] = deque()
        self._waiting: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()

    def begin(self, work: Callable[[], _Result]) -> Future[_Result]:
        future: Future[_Result] = Future()
        self._waiting.put((future, work))
        try:
            self._idle.pop()
        except IndexError:
            if len(self._all) < MOST:
                self._start()
        return future

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="tokenkeep-waiting", daemon=True)
        self._all.add(thread)
        try:
            thread.start()
        except RuntimeError:
            self._all.discard(thread)
            if not self._all:
                raise

    def _run(self) -> None:
        while True:
            _work(*self._next())

    def _next(self) -> tuple[Future[Any], Callable[[], Any]]:
        try:
            return self._waiting.get_nowait()
        except Empty:
            self._idle.append(None)
            return self._waiting.get()


def _work(future: Future[Any], work: Callable[[], Any]) -> None:
    # A function of its own: a thread that waits keeps no result and no error alive.
    if future.set_running_or_notify_cancel():
        try:
            result = work()
        except BaseException as exc:  # noqa: BLE001 - raised again by who waits
            future.set_exception(exc)
        else:
            future.set_result(result)


_threads = _Threads()
