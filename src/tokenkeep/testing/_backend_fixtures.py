"""What the contracts of backends share: their one fixture, and what differs between stores."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, ClassVar, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokenkeep.backends.base import Backend

    Factory = Callable[[], Backend]


class BackendFixtures:
    """The fixtures of each contract. Subclasses give the first."""

    very_many: ClassVar[int] = 3000
    """More values than one query may have; fewer where each is a request."""

    largest: ClassVar[int] = 65536
    """How many sealed bytes are tried; fewer where a store has a limit of its own."""

    @pytest.fixture
    def open_backend(self) -> Factory:
        """Return what opens the store once more. Every subclass overrides this."""
        raise NotImplementedError("give the fixture open_backend: see BackendContract")

    @pytest.fixture
    def connect(self, open_backend: Factory) -> Iterator[Factory]:
        """``open_backend``, with every backend closed at the end."""
        opened: list[Backend] = []

        def connect() -> Backend:
            opened.append(open_backend())
            return opened[-1]

        yield connect
        for backend in opened:
            backend.close()

    @pytest.fixture
    def backend(self, connect: Factory) -> Backend:
        """One opening of the store."""
        return connect()


class _Interrupted(Exception):
    """What the signal handler raises."""


def interrupted_after(seconds: float, work: Callable[[], object]) -> None:
    """Do something until a signal handler raises."""

    def handle(*_: object) -> NoReturn:
        raise _Interrupted

    this = threading.get_ident()
    before = signal.signal(signal.SIGUSR1, handle)
    timer = threading.Timer(seconds, signal.pthread_kill, (this, signal.SIGUSR1))
    try:
        timer.start()
        work()
    except _Interrupted:
        pass
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)


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
