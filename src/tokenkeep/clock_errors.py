"""How far this host's clock is behind each issuer's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenkeep.clock import CLOCK_TOLERANCE, Clock, ClockError
from tokenkeep.errors import letting_go

if TYPE_CHECKING:
    from tokenkeep.journal import Journal
    from tokenkeep.token import Token

_SOON = 300.0
"""A token this near its end may have been renewed by whoever has just learnt of the clock."""

_LOOK_EVERY = 1.0
"""How often it is looked for what other processes have learnt, in seconds."""


class ClockErrors:
    """
    How far this host's clock is behind each issuer's.

    Ends of access tokens are stored in the issuer's time, and judged in it.
    All else (claims, budgets, cool-downs) is this host's time as it is. What
    was learnt is kept in the journal for the other processes of this host, and
    not believed once the clock was set, or stood still in a suspend.
    """

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._clock = clock
        self._journal = journal
        self._known: dict[str | None, ClockError] = {}
        self._looked: dict[str | None, float] = {}

    def learn(self, issuer: str | None, behind: float) -> None:
        """Note an issuer's clock minus this host's, in seconds; 0 if they agree."""
        error = ClockError(behind=behind, zero=self._clock.now() - self._clock.monotonic())
        self._known[issuer] = error
        noted = self._noted(issuer, error.zero)
        # A host whose clock is right leaves no note.
        if abs(behind - (noted.behind if noted else 0.0)) > CLOCK_TOLERANCE:
            with letting_go():  # the next process asks once too often
                self._journal.note_clock(issuer, error)

    def of(self, issuer: str | None, *, look: bool = False) -> float:
        """
        Return an issuer's clock minus this host's, in seconds; 0 if that is not known.

        With *look* what others have noted is read even if that was done just now.
        """
        monotonic = self._clock.monotonic()
        zero = self._clock.now() - monotonic
        known = self._known.get(issuer)
        if known is None or not known.holds(zero):
            if not look and monotonic - self._looked.get(issuer, -_LOOK_EVERY) < _LOOK_EVERY:
                return 0.0
            self._looked[issuer] = monotonic
            known = self._noted(issuer, zero)
            if known is None:
                return 0.0
            self._known[issuer] = known
        return known.behind

    def local(self, token: Token) -> Token:
        """Return a stored token with its end as this host's clock will show it."""
        if token.expires_at is None:
            return token
        is_soon = token.expires_at - self._clock.now() < _SOON
        behind = self.of(token.issuer, look=is_soon)
        return token.but(expires_at=token.expires_at - behind) if behind else token

    def _noted(self, issuer: str | None, zero: float) -> ClockError | None:
        """Return what this host's processes have noted of the clock as it is. None if nothing."""
        with letting_go():
            error = self._journal.clock_error(issuer)
            return error if error is not None and error.holds(zero) else None
        return None
