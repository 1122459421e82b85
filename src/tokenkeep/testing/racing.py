"""Threads, processes and forks that do something at the same time, and interruptions."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.synchronize import Barrier

    # Of a Backend, or of a TokenStore.
    Factory = Callable[[], Any]
    Work = Callable[[Any, int], object]

PATIENCE = 60.0
"""How long a process may take before the test fails, in seconds."""


def in_threads(work: Callable[[int], Any], count: int) -> list[Any]:
    """Do *work* in threads that start together; return what it returned, None where it failed."""
    start = threading.Barrier(count)
    results: list[Any] = [None] * count

    def run(number: int) -> None:
        start.wait(PATIENCE)
        results[number] = work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def in_processes(work: Work, open_backend: Factory, count: int) -> list[Any]:
    """
    Do something at the same time in several fresh processes.

    Args:
        work: Called with a backend or store opened in that process and its number.
        open_backend: Opens it. Must be picklable.
        count: How many processes.

    Returns:
        What the calls returned, in no order.

    Raises:
        AssertionError: A process failed or did not end in time.
    """
    # spawn: nothing is inherited, as between programs started by hand.
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(count)
    answers: SimpleQueue[Any] = context.SimpleQueue()
    processes = [
        context.Process(target=_process, args=(work, open_backend, number, start, answers))
        for number in range(count)
    ]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join(PATIENCE)
        codes = [process.exitcode for process in processes]
        if any(code != 0 for code in codes):  # None: it has not ended
            raise AssertionError(f"processes ended with {codes}")
        return [answers.get() for _ in processes]
    finally:
        for process in processes:
            process.kill()
            process.join()
            process.close()
        answers.close()


def _process(
    work: Work, open_backend: Factory, number: int, start: Barrier, answers: SimpleQueue[Any]
) -> None:
    try:
        backend = open_backend()
    except BaseException:
        start.abort()  # nobody waits for who failed
        raise
    start.wait(PATIENCE)
    answers.put(work(backend, number))
    backend.close()


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
