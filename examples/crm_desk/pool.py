"""Threads that nobody waits for as a process ends."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class Pool:
    """
    Some threads, started as they are needed, which then wait for more.

    They are daemons, unlike those of a ThreadPoolExecutor: an interpreter that
    ends would wait for a call that hangs, for as long as it does.

    Args:
        most: How many there are; what does not find one waits in line.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads = 0
        self._idle = threading.Semaphore(0)
        self._starting = threading.Lock()
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()

    def submit(self, call: Callable[[], Result]) -> Future[Result]:
        """Have something done; what has not begun can be cancelled."""
        future: Future[Result] = Future()
        self._calls.put((future, call))
        if self._idle.acquire(blocking=False):
            return future
        with self._starting:
            if self._threads < self._most:
                self._threads += 1
                threading.Thread(target=self._serve, name="crm-desk", daemon=True).start()
        return future

    def _serve(self) -> None:
        while True:
            try:
                future, call = self._calls.get_nowait()
            except Empty:
                self._idle.release()
                future, call = self._calls.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as exc:  # noqa: BLE001  # raised where it is waited for
                    future.set_exception(exc)
            # Not kept until the next one comes.
            del future, call
