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
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    _Awaited: TypeAlias = "Future[Any] | _Piece"

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
    piece = _Piece()
    _of_this_process().begin(piece, work)
    try:
        result: _Result = piece.result(seconds)
        return result
    finally:
        piece.cancel()


def begin(work: Callable[[], _Result]) -> Future[_Result]:
    """
    Begin something in another thread; it may be waited for, or cancelled until it begins.

    Raises:
        RuntimeError: No thread can be started for it.
    """
    future: Future[_Result] = Future()
    _of_this_process().begin(future, work)
    return future


class _Piece:
    """A future for the one who waits, on the way of every lookup: it takes half the time."""

    def __init__(self) -> None:
        self._done = threading.Lock()
        self._done.acquire()
        self._cancelled = False
        self._result: Any = None
        self._error: BaseException | None = None

    def result(self, seconds: float) -> Any:
        if not self._done.acquire(timeout=max(seconds, 0)):
            raise TimeoutError
        try:
            if self._error is not None:
                raise self._error
            return self._result
        finally:
            del self  # or the error would hold this frame, and this the error

    def cancel(self) -> None:
        self._cancelled = True

    def set_running_or_notify_cancel(self) -> bool:
        return not self._cancelled

    def set_result(self, result: Any) -> None:
        self._result = result
        self._done.release()

    def set_exception(self, exception: BaseException) -> None:
        self._error = exception
        self._done.release()


class _Threads:
    """
    Daemon threads that wait for work: one that hangs must not keep the process alive.

    Nothing here takes a lock that a signal handler could find taken by its own thread.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._all: set[threading.Thread] = set()
        self._idle: deque[None] = deque()
        self._waiting: SimpleQueue[tuple[_Awaited, Callable[[], Any]]] = SimpleQueue()

    def begin(self, awaited: _Awaited, work: Callable[[], Any]) -> None:
        self._waiting.put((awaited, work))
        try:
            self._idle.pop()
        except IndexError:
            if len(self._all) < MOST:
                self._start()

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

    def _next(self) -> tuple[_Awaited, Callable[[], Any]]:
        try:
            return self._waiting.get_nowait()
        except Empty:
            self._idle.append(None)
            return self._waiting.get()


def _work(awaited: _Awaited, work: Callable[[], Any]) -> None:
    # A function of its own: a thread that waits keeps no result and no error alive.
    if awaited.set_running_or_notify_cancel():
        try:
            result = work()
        except BaseException as exc:  # noqa: BLE001 - raised again by who waits
            awaited.set_exception(exc)
        else:
            awaited.set_result(result)


def _of_this_process() -> _Threads:
    global _threads  # noqa: PLW0603 - the one pool of a process
    if _threads.pid != os.getpid():  # a fork, of Python's or a library's: no thread came along
        _threads = _Threads()
    return _threads


_threads = _Threads()
