"""Threads, processes and forks that do something at the same time, and interruptions."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

    # Of a Backend, or of a TokenStore.
    Factory = Callable[[], Any]
    Work = Callable[[Any, int], object]

PATIENCE = 60.0
"""How long processes may take before the test fails, in seconds."""


def in_threads(work: Callable[[int], Any], count: int) -> list[Any]:
    """Do *work* in threads that start together; return what each returned, in order."""
    start = threading.Barrier(count)

    def run(number: int) -> Any:
        start.wait(PATIENCE)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def in_processes(work: Work, open_backend: Factory, count: int) -> list[Any]:
    """
    Do something at the same time in several fresh processes.

    Args:
        work: Called with a backend or store opened in that process and its number.
        open_backend: Opens it. Must be picklable.
        count: How many processes.

    Returns:
        What the calls returned, in order.

    Raises:
        TimeoutError: A process did not end in time.
        Exception: What a process met.
    """
    # spawn: nothing is inherited, as between programs started by hand.
    context = multiprocessing.get_context("spawn")
    with context.Pool(count, _enter, (context.Barrier(count), work, open_backend)) as pool:
        # Each process takes one: then it waits for the others.
        answers = pool.map_async(_run, range(count), chunksize=1).get(PATIENCE)
        pool.close()
        pool.join()
    return answers


_RACE: list[Any] = []
"""In a process of `in_processes`: its barrier, what is to be done, and what opens the backend."""


def _enter(*given: Any) -> None:
    _RACE[:] = given


def _run(number: int) -> Any:
    start, work, open_backend = _RACE
    try:
        backend = open_backend()
    except BaseException:
        start.abort()  # nobody waits for who failed
        raise
    with closing(backend):
        start.wait(PATIENCE)
        return work(backend, number)


def in_fork(work: Callable[[], object]) -> int:
    """Return how a child that did *work* ended: 0 if well."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


class _Interrupted(Exception):
    """What the signal handler raises."""


def interrupted_after(seconds: float, work: Callable[[], object]) -> None:
    """Do something until a signal handler raises."""
    over = threading.Event()

    def handle(*_: object) -> NoReturn:
        raise _Interrupted

    def send(thread: int, wait: float = seconds) -> None:
        # Again after a second: raised in a finalizer, Python only shows it, and the work goes on.
        while not over.wait(wait):
            signal.pthread_kill(thread, signal.SIGUSR1)
            wait = 1.0

    before = signal.signal(signal.SIGUSR1, handle)
    sender = threading.Thread(target=send, args=(threading.get_ident(),))
    try:
        sender.start()
        work()
    except _Interrupted:
        pass
    finally:
        over.set()
        sender.join()
        signal.signal(signal.SIGUSR1, before)
