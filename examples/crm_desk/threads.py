"""Work that waits, done in threads: the SDK and the stores are synchronous."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio import to_thread

from crm_desk.crm import DESK_BUSY, CrmRefused

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

AT_ONCE = 20
"""How many calls of one login are under way in a worker, those that wait for others included."""

PATIENCE = 60.0
"""How long a person is kept waiting for Zoho, in seconds."""

GLANCE = 15.0
"""How long a person is kept waiting for what is looked up here, in seconds."""


class Threads:
    """Two pools, so that a Zoho that hangs leaves threads for looking things up."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._work = anyio.CapacityLimiter(200)
        self._looks = anyio.CapacityLimiter(40)

    async def work(self, call: Callable[[], Result], *, of: str = "") -> Result:
        """
        Do something that asks Zoho.

        Args:
            call: What.
            of: Whose it is: one login has `AT_ONCE` threads at most, and none
                beyond them waits in line. Empty does not count.

        Raises:
            CrmRefused: This login asks for too much at a time.
            TimeoutError: It takes too long; it goes on, and nobody waits for it any more.
        """
        if of and self._of[of] >= AT_ONCE:
            raise CrmRefused(DESK_BUSY)
        begun = False

        def counted() -> Result:
            nonlocal begun
            begun = True
            try:
                return call()
            finally:
                self._count(of, -1)  # not before it has really ended

        self._count(of, 1)
        try:
            return await _run(counted, self._work, PATIENCE)
        finally:
            if not begun:
                self._count(of, -1)

    def _count(self, of: str, change: int) -> None:
        with self._counting:
            self._of[of] += change
            if not self._of[of]:
                del self._of[of]

    async def look(self, call: Callable[[], Result]) -> Result:
        """
        Do something that asks the stores only.

        Raises:
            TimeoutError: As for `work`.
        """
        return await _run(call, self._looks, GLANCE)


async def _run(
    call: Callable[[], Result], limiter: anyio.CapacityLimiter, patience: float
) -> Result:
    with anyio.fail_after(patience):
        return await to_thread.run_sync(call, abandon_on_cancel=True, limiter=limiter)
