"""One renewal of a token at a time within this process, run to its end whoever is interrupted."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING

from tokenkeep.backends.forks import renew_in_child

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.token import Token


class Flights:
    """
    The attempts under way in this process, by token id, each in a thread that nobody interrupts.

    Those it starts are no daemons: an interpreter that ends waits for them, so that
    an answer of the provider is saved. A Ctrl-C hits only the one who waits.
    """

    def __init__(self) -> None:
        self._running: dict[str, Future[Token | None]] = {}
        self._mine = threading.local()
        renew_in_child(self)

    def start(
        self, token_id: str, attempt: Callable[[], Token | None], *, here: bool = False
    ) -> Future[Token | None] | None:
        """
        Start an attempt, unless one is under way: None then, or an attempt without a result.

        In a thread of its own; or *here*, and it has ended when this returns: in one of our
        own threads, which is no daemon either.

        A caller that is interrupted, wherever it is, neither ends an attempt
        that has begun nor leaves one behind that never will.
        """
        if token_id in self._running:
            return None
        flight: Future[Token | None] = Future()

        def fly() -> None:
            # Not noted by the caller: between its note and this thread's first
            # step a signal handler may raise, and the note would stay for ever.
            self._mine.token_id = token_id
            try:
                is_mine = self._running.setdefault(token_id, flight) is flight
                flight.set_result(attempt() if is_mine else None)
            except BaseException as exc:  # noqa: BLE001  # raised in the thread that waits for it
                flight.set_exception(exc)
            finally:
                self._mine.token_id = None
                if self._running.get(token_id) is flight:
                    del self._running[token_id]

        if here:
            fly()
            return flight
        try:
            threading.Thread(target=fly, name="tokenkeep-renewal", daemon=False).start()
        except RuntimeError:  # no more threads: the interpreter is ending, or a limit
            fly()
        return flight

    def is_own(self, token_id: str) -> bool:
        """Tell whether this thread is making the attempt: a listener that is told of it asks."""
        return getattr(self._mine, "token_id", None) == token_id

    def wait(self, token_id: str, timeout: float) -> bool:
        """Wait for the attempt under way, so many seconds. False, at once, if there is none."""
        flight = self._running.get(token_id)
        if flight is None:
            return False
        wait([flight], timeout)
        return True

    def renew_locks(self) -> None:
        """Forget the parent's attempts: their threads are not in this process."""
        self._running = {}
