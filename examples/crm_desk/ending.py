"""How a worker ends: soon, whatever hangs, and not before an answer of Zoho's is saved."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from crm_desk.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.process import BaseProcess
    from types import FrameType

    from crm_desk.crm import Crm

GRACE = 6.0
"""How long what is under way may take once a worker is told to end, in seconds."""

CLOSING = 2.0
"""How long letting go of the store may take, in seconds."""

RENEWAL = "tokenkeep-renewal"
"""The name of threads that renew: each has an answer of Zoho's to save."""


@contextmanager
def when_told_to_end(act: Callable[[], None]) -> Iterator[None]:
    """
    Have something done by the running loop a while after this process was told to end.

    The server, which listens already, is told as well: it waits for what is
    under way, and cuts off what takes longer.
    """
    loop = asyncio.get_running_loop()
    servers: dict[int, Callable[..., object]] = {}

    def told(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(loop.call_later, GRACE, act)
        servers[number](number, frame)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            server = signal.getsignal(number)
            if callable(server):
                servers[number] = server
                signal.signal(number, told)
    if any(_is_told(server) for server in servers.values()):
        loop.call_later(GRACE, act)  # before we heard of it
    try:
        yield
    finally:
        for told_by, server in servers.items():
            signal.signal(told_by, server)


def _is_told(server: Callable[..., object]) -> bool:
    """Return whether the uvicorn server whose signal handler this is has been told to end."""
    return getattr(getattr(server, "__self__", None), "should_exit", False)


def end_with(launcher: BaseProcess) -> None:
    """End when the process that started the workers has: killed, it can't tell them to."""

    def wait() -> None:
        launcher.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


class UnderWay:
    """How many there are of something that has to come to its end."""

    def __init__(self) -> None:
        self._number = 0
        self._less = threading.Condition()

    def __enter__(self) -> None:
        with self._less:
            self._number += 1

    def __exit__(self, *_: object) -> None:
        with self._less:
            self._number -= 1
            self._less.notify_all()

    def wait(self) -> None:
        """Wait until there is none."""
        with self._less:
            self._less.wait_for(lambda: not self._number)


async def close(crm: Crm, sign_ins: UnderWay) -> None:
    """Let go of everything, once neither renewal nor login is under way; each ends by itself."""
    # Not left to the interpreter: a server ends itself by the signal it got.
    await asyncio.wrap_future(Pool(1).submit(_renewals_over))
    await asyncio.wrap_future(Pool(1).submit(sign_ins.wait))
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.wrap_future(Pool(1).submit(crm.close)), CLOSING)


def _renewals_over() -> None:
    for thread in threading.enumerate():
        if thread.name == RENEWAL:
            thread.join()
