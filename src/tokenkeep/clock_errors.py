"""How far this host's clock is behind each issuer's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenkeep.clock import CLOCK_TOLERANCE

if TYPE_CHECKING:
    from tokenkeep.clock import Clock
    from tokenkeep.token import Token


class ClockErrors:
    """
    How far this host's clock is behind each issuer's, as this process has learnt.

    Ends of access tokens are stored in the issuer's time, and judged in it. All else (claims,
    budgets, cool-downs) is this host's time as it is. What was learnt is not believed once
    the clock was set, or the monotonic one stood still in a suspend.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str | None, tuple[float, float]] = {}

    def learn(self, issuer: str | None, behind: float) -> None:
        """Note an issuer's clock minus this host's, in seconds; 0 if they agree."""
        self._known[issuer] = behind, self._zero()

    def is_known(self, issuer: str | None) -> bool:
        """Tell whether an issuer's clock was compared with this host's since that was set."""
        zero = self._known.get(issuer, (0.0, None))[1]
        return zero is not None and abs(self._zero() - zero) <= CLOCK_TOLERANCE

    def of(self, issuer: str | None) -> float:
        """Return an issuer's clock minus this host's, in seconds; 0 if that is not known."""
        behind = self._known.get(issuer, (0.0, 0.0))[0]
        return behind if behind and self.is_known(issuer) else 0.0

    def largest(self) -> float:
        """Return the one of all issuers that this host is off by most, as `of`; 0 if by none."""
        return max(map(self.of, list(self._known)), key=abs, default=0.0)

    def local(self, token: Token) -> Token:
        """
        Return a stored token with its end as this host's clock will show it.

        A session is as old as the clock says that shows the earlier time: nothing ends early.
        """
        behind, ahead = self.of(token.issuer), self.ahead(token.issuer)
        if not behind:
            return token
        ends, began = token.expires_at, token.logged_in_at
        return token.but(
            expires_at=None if ends is None else ends - behind,
            logged_in_at=None if began is None else began + ahead,
            last_used_at=(token.last_used_at or 0.0) + ahead,
        )

    def ahead(self, issuer: str | None) -> float:
        """Return how far this host's clock is ahead, in seconds; 0 if it is not, as is known."""
        return max(0.0, -self.of(issuer))

    def latest(self, issuer: str | None) -> float:
        """Return the time by an issuer's clock or this host's, in epoch seconds: the later one."""
        return self._clock.now() + max(0.0, self.of(issuer))

    def _zero(self) -> float:
        """Return when the monotonic clock was 0: another time as soon as this one is set."""
        return self._clock.now() - self._clock.monotonic()
