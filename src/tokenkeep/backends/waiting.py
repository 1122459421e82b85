"""
Waiting for others, in bounds: for a server by the wall clock, for other processes by turns.

Drivers bound each step; a server that drips, a name server that never
answers and a process that was suspended need somebody who waits outside: a
daemon thread works meanwhile.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from itertools import chain, repeat
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Result = TypeVar("_Result")

KEPT = 64
"""How many threads of a process wait for more to do. All others end with what they did."""

_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02)
_LONGEST = 0.025


class NoThread(TimeoutError):
    """No thread can be started: nothing was begun."""


class Begun(Generic[_Result]):
    """What another thread does; as a future, in half the time, and on the way of every lookup."""

    def __init__(self, work: Callable[[], _Result]) -> None:
        self._work = work
        self._running = threading.Lock()
        self._running.acquire()
        self._result: Any = None
        self._error: BaseException | None = None

    def result(self, seconds: float) -> _Result:
        """
        Wait for it, and return what it returned or raise what it raised.

        Args:
            seconds: How long, on the wall clock.

        Raises:
            TimeoutError: It takes longer, and goes on.
        """
        if not self._running.acquire(timeout=max(seconds, 0)):
            raise TimeoutError
        self._running.release()
        try:
            if self._error is not None:
                raise self._error
            return self._result  # type: ignore[no-any-return]
        finally:
            del self  # or the error would hold this frame, and this the error

    def run(self) -> None:
        """Do it, in this thread."""
        try:
            self._result = self._work()
        except BaseException as exc:  # noqa: BLE001 - raised again by who waits
            self._error = exc
        finally:
            del self._work
            self._running.release()
            del self  # as above


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
    return begin(work).result(seconds)


def begin(work: Callable[[], _Result]) -> Begun[_Result]:
    """
    Begin something in another thread; it may be waited for.

    Raises:
        NoThread: It was not begun.
    """
    begun = Begun(work)
    _of_this_process().begin(begun)
    return begun


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


def can_be_read(link: Any) -> bool:
    """
    Return whether something has come on a connection, be it its end.

    Args:
        link: What has a ``fileno``, such as a socket.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(link, selectors.EVENT_READ)
        return bool(selector.select(0))


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


class _Threads:
    """Daemon threads, one for each work under way, and some idle: none waits for another's."""

    # Daemons, lest one that hangs keeps the process alive. Nothing here takes a lock that a
    # signal handler could find taken by its own thread: whoever takes a thread's queue out of
    # those that are idle gives it one piece.

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._idle: deque[SimpleQueue[Begun[Any]]] = deque()

    def begin(self, begun: Begun[Any]) -> None:
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
        queue.put(begun)

    def _run(self, queue: SimpleQueue[Begun[Any]]) -> None:
        while True:
            # Nothing is kept of it: a thread that waits keeps no result and no error alive.
            queue.get().run()
            if len(self._idle) >= KEPT:
                return
            self._idle.append(queue)


def _of_this_process() -> _Threads:
    global _threads  # noqa: PLW0603 - the one pool of a process
    if _threads.pid != os.getpid():  # a fork, of Python's or a library's: no thread came along
        _threads = _Threads()
    return _threads


_threads = _Threads()
