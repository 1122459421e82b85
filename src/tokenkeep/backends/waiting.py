"""
Waiting for others, in bounds: for a server by the wall clock, for other processes by turns.

Drivers bound each step; a server that drips, a name server that never
answers and a process that was suspended need somebody who looks at the clock
outside. Where there is a connection to cut, `Bound` has a daemon thread look
on; for what can't be ended (names, connecting, other people's clients)
`within` has one do the work.
"""

from __future__ import annotations

import math
import os
import select
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

TICK = 0.05
"""How often a `Bound` is looked at, in seconds."""

_LINGER = 20
"""After how many ticks without any bound nobody looks any more; who has not looked for as many
is taken for ended."""

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


class Bound:
    """
    Wait in this thread, but only so long: then another one ends what is waited for.

    Entering costs a microsecond, where `within` costs a hop to another thread and back.

    Args:
        seconds: How long, on the wall clock; `TICK` more at most.
        end: Ends it, such as by `cut`. Called in another thread, if at all.

    Raises:
        TimeoutError: It was ended: raised where the block is left, whatever came of it.
        NoThread: Nobody can look on: raised where it is entered.
    """

    __slots__ = ("_end", "_ending", "_seconds", "_threads", "deadline")

    def __init__(self, seconds: float, end: Callable[[], object]) -> None:
        self._seconds, self._end = seconds, end
        self._ending: Begun[object] | None = None

    def __enter__(self) -> None:
        now = time.monotonic()
        self.deadline: float = now + self._seconds
        self._threads = _of_this_process()
        self._threads.look_at(self, now)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if _taken(self._threads.bounds, self):
            return
        # It is being ended: what it was may be closed, or used again, only afterwards.
        while self._ending is None:
            time.sleep(_PAUSES[0])
        with suppress(Exception):
            self._ending.result(self._seconds)
        if kind is None or issubclass(kind, Exception):  # not a Ctrl-C
            raise TimeoutError from None

    def end(self) -> None:
        """End what is waited for; in this thread if there is no other."""
        self._ending = Begun(self._end)
        try:
            self._threads.begin(self._ending)
        except NoThread:
            self._ending.run()


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


class _Threads:
    """Daemon threads, one for each work under way, and some idle: none waits for another's."""

    # Daemons, lest one that hangs keeps the process alive. Nothing here takes a lock that a
    # signal handler could find taken by its own thread: whoever takes a thread's queue out of
    # those that are idle gives it one piece.

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._idle: deque[SimpleQueue[Begun[Any]]] = deque()
        self.bounds: dict[Bound, None] = {}
        self._watch: object = None
        self._looked = -math.inf
        """When somebody has looked at the bounds, on the monotonic clock."""

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

    def look_at(self, bound: Bound, now: float) -> None:
        self.bounds[bound] = None
        # By when somebody looked, not by whether one was begun: what a signal handler raises may
        # have been in the way of that. If several begin, the last of them goes on.
        if now - self._looked > _LINGER * TICK:
            try:
                self.begin(Begun(self._look))
            except NoThread:
                self.bounds.pop(bound, None)
                raise

    def _look(self) -> None:
        mine = self._watch = object()
        quiet = 0
        while self._watch is mine:
            now = self._looked = time.monotonic()
            for bound in list(self.bounds):
                if bound.deadline <= now and _taken(self.bounds, bound):
                    bound.end()
            quiet = 0 if self.bounds else quiet + 1
            if quiet > _LINGER:
                self._looked = -math.inf
                if not self.bounds:  # nor one that came just before that
                    return
            time.sleep(TICK)

    def _run(self, queue: SimpleQueue[Begun[Any]]) -> None:
        while True:
            # Nothing is kept of it: a thread that waits keeps no result and no error alive.
            queue.get().run()
            if len(self._idle) >= KEPT:
                return
            self._idle.append(queue)


def _taken(place: dict[Bound, None], bound: Bound) -> bool:
    """Take a bound out of where it is. Return False if somebody else was faster."""
    try:
        del place[bound]
    except KeyError:
        return False
    return True


def _of_this_process() -> _Threads:
    global _threads  # noqa: PLW0603 - the one pool of a process
    if _threads.pid != os.getpid():  # a fork, of Python's or a library's: no thread came along
        _threads = _Threads()
    return _threads


_threads = _Threads()
