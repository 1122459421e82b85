"""One renewal of a token at a time within this process, run to its end whoever is interrupted."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tokenkeep import forks

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.token import Token


class Flight:
    """
    One attempt, in a thread of its own.

    The thread is not a daemon: an interpreter that ends waits for it, so that
    an answer of the provider is saved. A Ctrl-C hits only the one who waits.
    """

    def __init__(self) -> None:
        self.decided: threading.Event = threading.Event()
        """Set once it is known whether this attempt is made, or another is under way."""
        self.done: threading.Event = threading.Event()
        self.is_made: bool = False
        self._token: Token | None = None
        self._error: BaseException | None = None

    def run(self, attempt: Callable[[], Token | None]) -> None:
        """Make the attempt and keep what comes of it."""
        self.is_made = True
        self.decided.set()
        try:
            self._token = attempt()
        except BaseException as exc:  # noqa: BLE001  # kept, and raised in the caller's thread
            self._error = exc

    def result(self) -> Token | None:
        """Return or raise what came of it."""
        if self._error is not None:
            raise self._error
        return self._token


class Flights:
    """The attempts under way in this process, by token id."""

    def __init__(self) -> None:
        self._running: dict[str, Flight] = {}
        forks.renew_in_child(self)

    def start(self, token_id: str, attempt: Callable[[], Token | None]) -> Flight | None:
        """
        Start an attempt, unless one is under way.

        A caller that is interrupted, wherever it is, neither ends an attempt
        that has begun nor leaves one behind that never will.

        Returns:
            The attempt. None if one is under way.
        """
        if token_id in self._running:
            return None
        flight = Flight()

        def fly() -> None:
            # Not noted by the caller: between its note and this thread's first
            # step a signal handler may raise, and the note would stay for ever.
            try:
                if self._running.setdefault(token_id, flight) is flight:
                    flight.run(attempt)
            finally:
                if self._running.get(token_id) is flight:
                    del self._running[token_id]
                flight.decided.set()
                flight.done.set()

        try:
            threading.Thread(target=fly, name="tokenkeep-renewal", daemon=False).start()
        except RuntimeError:  # no more threads: the interpreter is ending, or a limit
            fly()
        flight.decided.wait()
        return flight if flight.is_made else None

    def wait(self, token_id: str, timeout: float) -> bool:
        """Wait for the attempt under way, so many seconds. False, at once, if there is none."""
        flight = self._running.get(token_id)
        if flight is None:
            return False
        flight.done.wait(timeout)
        return True

    def renew_locks(self) -> None:
        """Forget the parent's attempts: their threads are not in this process."""
        self._running = {}
