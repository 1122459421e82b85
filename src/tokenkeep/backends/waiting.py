"""
The one bound for whatever waits for somebody else: a daemon thread works, the wall clock ends it.

Drivers bound each step; a server that drips, a name server that never
answers and a process that was suspended need somebody who waits outside.
"""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    _Awaited: TypeAlias = "Future[Any] | _Piece"

_Result = TypeVar("_Result")

KEPT = 64
"""How many threads of a process wait for more to do. All others end with what they did."""


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
    piece = _Piece()
    try:
        _of_this_process().begin(piece, work)
        result: _Result = piece.result(seconds)
        return result
    finally:
        piece.cancel()


def begin(work: Callable[[], _Result]) -> Future[_Result]:
    """
    Begin something in another thread; it may be waited for.

    Raises:
        NoThread: It was not begun.
    """
    future: Future[_Result] = Future()
    _of_this_process().begin(future, work)
    return future


def cut(link: Any) -> None:
    """
    End a connection on which another thread waits: that finds its end.

    Args:
        link: What has a ``fileno``, such as a socket. None if there is nothing to end.
    """
    # By a duplicate: a TLS socket that is shut down itself goes on in clear.
    with (
        suppress(AttributeError, OSError, ValueError),
        socket.socket(fileno=os.dup(link.fileno())) as same,
    ):
        same.shutdown(socket.SHUT_RDWR)


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

    There are as many as pieces of work under way, so none waits for another
    one's. Nothing here takes a lock that a signal handler could find taken by
    its own thread: whoever takes a thread's queue out of those that are idle
    gives it one piece.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._idle: deque[SimpleQueue[tuple[_Awaited, Callable[[], Any]]]] = deque()

    def begin(self, awaited: _Awaited, work: Callable[[], Any]) -> None:
        try:
            queue = self._idle.pop()
        except IndexError:
            queue = SimpleQueue()
            thread = threading.Thread(
                target=self._run, args=(queue,), name="tokenkeep-waiting", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                raise NoThread("No thread can be started") from None
        queue.put((awaited, work))

    def _run(self, queue: SimpleQueue[tuple[_Awaited, Callable[[], Any]]]) -> None:
        while True:
            _work(*queue.get())
            if len(self._idle) >= KEPT:
                return
            self._idle.append(queue)


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
