"""Work that waits, done in threads: the SDK and the stores are synchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio import to_thread

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

PATIENCE = 60.0
"""How long a person is kept waiting for Zoho, in seconds."""

GLANCE = 15.0
"""How long a person is kept waiting for what is looked up here, in seconds."""


class Threads:
    """Two pools, so that a Zoho that hangs leaves threads for looking things up."""

    def __init__(self) -> None:
        self._work = anyio.CapacityLimiter(200)
        self._looks = anyio.CapacityLimiter(40)

    async def work(self, call: Callable[[], Result]) -> Result:
        """
        Do something that asks Zoho.

        Raises:
            TimeoutError: It takes too long; it goes on, and nobody waits for it any more.
        """
        return await _run(call, self._work, PATIENCE)

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
