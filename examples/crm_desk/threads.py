"""Work that waits, done in threads: the SDK and the stores are synchronous."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, TypeVar

from crm_desk.crm import DESK_BUSY, CrmRefused
from crm_desk.pool import Pool
from tokenkeep.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Future

Result = TypeVar("Result")

AT_ONCE = 20
"""How many calls of one login are under way in a worker."""

PATIENCE = 60.0
"""How long a person is kept waiting for Zoho, in seconds."""

GLANCE = 15.0
"""How long a person is kept waiting for what is looked up here, in seconds."""


class Ending(Exception):
    """
    The desk is being stopped, and nobody is kept waiting any longer.

    Args:
        begun: Whether what was waited for had begun, and may be done still.
    """

    def __init__(self, *, begun: bool) -> None:
        super().__init__("The desk is being stopped")
        self.begun = begun


class Threads:
    """
    Pools of threads, so that what hangs leaves threads to everything else.

    For Zoho there is one for each data centre; one is for the stores, and one
    for the desk's own file alone.
    """

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._work: defaultdict[str, Pool] = defaultdict(lambda: Pool(200))
        self._looks = Pool(40)
        self._notes = Pool(20)
        self._limits: set[asyncio.Timeout] = set()
        self._is_ending = False

    async def work(self, call: Callable[[], Result], *, of: str = "", at: str = "") -> Result:
        """
        Do something that asks Zoho.

        Args:
            call: What.
            of: Whose it is: one login has `AT_ONCE` threads at most, and none
                beyond them waits in line. Empty does not count.
            at: The name of the data centre that is asked. Empty if it is not known.

        Raises:
            CrmRefused: Too much is asked for at a time; it was not done.
            TimeoutError: It takes too long; it goes on, and nobody waits for it any more.
            Ending: The desk is being stopped.
        """
        self._go_on()
        if of and self._of[of] >= AT_ONCE:
            raise CrmRefused(DESK_BUSY)
        try:
            job = self._work[at].submit(call)
        except RuntimeError:  # no thread can be started
            raise CrmRefused(DESK_BUSY) from None
        self._count(of, 1)
        # Not before it has really ended.
        job.add_done_callback(lambda _: self._count(of, -1))
        try:
            return await self._result(job, PATIENCE)
        except TimeoutError:
            if job.cancelled():
                raise CrmRefused(DESK_BUSY) from None
            raise

    async def look(self, call: Callable[[], Result]) -> Result:
        """
        Do something that asks the stores only.

        Raises:
            StoreUnavailable: It takes too long.
            Ending: As for `work`.
        """
        return await self._looked(self._looks, call)

    async def note(self, call: Callable[[], Result]) -> Result:
        """As `look`, for what needs the desk's own file only: no store holds it up."""
        return await self._looked(self._notes, call)

    async def _looked(self, pool: Pool, call: Callable[[], Result]) -> Result:
        self._go_on()
        try:
            return await self._result(pool.submit(call), GLANCE)
        except RuntimeError as exc:  # no thread can be started
            raise StoreUnavailable("This desk has too much to do now") from exc
        except TimeoutError as exc:
            raise StoreUnavailable(f"There was no answer within {GLANCE:g} s") from exc

    def end(self) -> None:
        """Let nobody wait any longer: to be called while there is time left to tell them."""
        self._is_ending = True
        now = asyncio.get_running_loop().time()
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(now)

    def _go_on(self) -> None:
        if self._is_ending:
            raise Ending(begun=False)

    async def until_end(self, wait: Callable[[], Awaitable[Result]]) -> Result:
        """
        Wait for something else, however long it takes.

        Raises:
            Ending: As for `work`.
        """
        self._go_on()
        try:
            return await self._limited(wait(), None)
        except TimeoutError:
            raise Ending(begun=False) from None

    async def _result(self, job: Future[Result], patience: float) -> Result:
        try:
            return await self._limited(asyncio.wrap_future(job), patience)
        except TimeoutError:
            has_begun = not job.cancel()
            if self._is_ending:
                raise Ending(begun=has_begun) from None
            raise

    async def _limited(self, waiting: Awaitable[Result], patience: float | None) -> Result:
        async with asyncio.timeout(patience) as limit:
            self._limits.add(limit)
            try:
                return await waiting
            finally:
                self._limits.discard(limit)

    def _count(self, of: str, change: int) -> None:
        with self._counting:
            self._of[of] += change
            if not self._of[of]:
                del self._of[of]
