"""Time as an argument, so that tests can move it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenkeep.token import Token


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
    All else (claims, budgets, cool-downs) is this host's time as it is.
    """

    def __init__(self) -> None:
        self._behind: dict[str | None, float] = {}

    def learn(self, issuer: str | None, behind: float) -> None:
        """
        Note an issuer's clock minus this host's.

        Args:
            issuer: The token endpoint.
            behind: In seconds; 0 if they agree.
        """
        self._behind[issuer] = behind

    def of(self, issuer: str | None) -> float:
        """Return an issuer's clock minus this host's, in seconds; 0 if that is not known."""
        return self._behind.get(issuer, 0.0)

    def local(self, token: Token) -> Token:
        """Return a stored token with its end as this host's clock will show it."""
        behind = self._behind.get(token.issuer)
        if not behind or token.expires_at is None:
            return token
        return token.but(expires_at=token.expires_at - behind)
