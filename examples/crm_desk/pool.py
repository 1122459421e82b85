"""Threads that nobody waits for as a process ends."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
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
        self._idle = 0
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._more = threading.Condition()

    def submit(self, call: Callable[[], Result]) -> Future[Result]:
        """
        Have something done; what has not begun can be cancelled.

        Raises:
            RuntimeError: There is no thread, and none can be started; it will not be done.
        """
        future: Future[Result] = Future()
        with self._more:
            # An idle thread is as good as taken by each call that is in line already.
            if self._idle <= len(self._calls) and self._threads < self._most:
                self._start()
            self._calls.append((future, call))
            self._more.notify()
        return future

    def _start(self) -> None:
        try:
            threading.Thread(target=self._serve, name="crm-desk", daemon=True).start()
        except RuntimeError:  # no more threads: those that there are have to do
            if not self._threads:
                raise
        else:
            self._threads += 1

    def _serve(self) -> None:
        while True:
            with self._more:
                while not self._calls:
                    self._idle += 1
                    self._more.wait()
                    self._idle -= 1
                future, call = self._calls.popleft()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as exc:  # noqa: BLE001  # raised where it is waited for
                    future.set_exception(exc)
            # Not kept until the next one comes.
            del future, call
