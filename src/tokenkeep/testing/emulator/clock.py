"""The emulator's time, which tests move without waiting."""

from __future__ import annotations

import time


class EmulatorClock:
    """
    Run with the wall clock, plus whatever was added by :meth:`advance`.

    Only the emulator's own idea of time moves: codes and tokens grow old for
    the provider, the client's clock stays as it is.
    """

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Epoch seconds as the emulator sees them."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> float:
        """
        Move the emulator's time.

        Args:
            seconds: How far; negative moves back.

        Returns:
            Epoch seconds after the move.
        """
        self._ahead += seconds
        return self.now()
