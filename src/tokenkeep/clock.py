"""Time as an argument, so that tests can move it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenkeep.token import Token

CLOCK_TOLERANCE = 30.0
"""How far a clock may be off, or be set, before that counts, in seconds."""


class Clock:
    """The time as the operating system gives it."""

    def now(self) -> float:
        """Return the time of day in epoch seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class ClockErrors:
    """
    How far this host's clock is behind each issuer's.

    Ends of access tokens are stored in the issuer's time, and judged in it.
    All else (claims, budgets, cool-downs) is this host's time as it is. What
    was learnt is forgotten when the clock is set, or stood still in a suspend.

    Args:
        clock: This host's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._behind: dict[str | None, float] = {}
        self._set_at = self._zero()
        self._era = 0

    def learn(self, issuer: str | None, behind: float) -> None:
        """
        Note an issuer's clock minus this host's.

        Args:
            issuer: The token endpoint.
            behind: In seconds; 0 if they agree.
        """
        news = behind != self.of(issuer)
        self._behind[issuer] = behind
        # After it: whoever has looked meanwhile has the number of before.
        self._era += news

    def of(self, issuer: str | None) -> float:
        """Return an issuer's clock minus this host's, in seconds; 0 if that is not known."""
        self.era()
        return self._behind.get(issuer, 0.0)

    def local(self, token: Token) -> Token:
        """Return a stored token with its end as this host's clock will show it."""
        behind = self.of(token.issuer)
        if not behind or token.expires_at is None:
            return token
        return token.but(expires_at=token.expires_at - behind)

    def era(self) -> int:
        """Return a number that stays the same as long as `local` answers the same."""
        zero = self._zero()
        if abs(zero - self._set_at) > CLOCK_TOLERANCE:
            self._behind.clear()
            self._set_at = zero
            self._era += 1
        return self._era

    def _zero(self) -> float:
        """Return the time of day at which the monotonic clock was 0; it moves only if set."""
        return self._clock.now() - self._clock.monotonic()
