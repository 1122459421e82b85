"""How far this host's clock is behind each issuer's."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from tokenkeep import holder
from tokenkeep.clock import CLOCK_TOLERANCE, Clock, ClockError
from tokenkeep.errors import StoreUnavailable, TokenKeepError

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
    forgotten when the clock is set, or stood still in a suspend.
    """

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._clock = clock
        self._journal = journal
        self._behind: dict[str | None, float] = {}
        self._looked: dict[str | None, float] = {}
        self._zero = self._zero_now()
        self._era = 0

    def learn(self, issuer: str | None, behind: float) -> None:
        """Note an issuer's clock minus this host's, in seconds; 0 if they agree."""
        news = behind != self.of(issuer)
        self._behind[issuer] = behind
        # After it: whoever has looked meanwhile has the number of before.
        self._era += news
        boot = holder.boot()
        # A host whose clock is right leaves no note.
        if boot and abs(behind - (self._noted(issuer) or 0.0)) > CLOCK_TOLERANCE:
            error = ClockError(behind=behind, zero=self._zero_now(), boot=boot)
            with suppress(StoreUnavailable):  # the next process asks once too often
                self._journal.note_clock(issuer, error)

    def of(self, issuer: str | None) -> float:
        """Return an issuer's clock minus this host's, in seconds; 0 if that is not known."""
        self.era()
        return self._known(issuer, self._clock.monotonic(), look_every=_LOOK_EVERY)

    def local(self, token: Token) -> Token:
        """Return a stored token with its end as this host's clock will show it."""
        if token.expires_at is None:
            return token
        # Each find comes this way: the clocks are read once.
        now, monotonic = self._clock.now(), self._clock.monotonic()
        self._forget_if_set(now - monotonic)
        soon = token.expires_at - now < _SOON
        behind = self._known(token.issuer, monotonic, look_every=0.0 if soon else _LOOK_EVERY)
        return token.but(expires_at=token.expires_at - behind) if behind else token

    def era(self) -> int:
        """Return a number that stays the same as long as `local` answers the same."""
        self._forget_if_set(self._zero_now())
        return self._era

    def _forget_if_set(self, zero: float) -> None:
        if abs(zero - self._zero) > CLOCK_TOLERANCE:
            self._behind.clear()
            self._zero = zero
            self._era += 1

    def _known(self, issuer: str | None, monotonic: float, *, look_every: float) -> float:
        """Return what this process knows, else what others have noted meanwhile; else 0."""
        behind = self._behind.get(issuer)
        if behind is not None:
            return behind
        if monotonic - self._looked.get(issuer, -_LOOK_EVERY) < look_every:
            return 0.0
        self._looked[issuer] = monotonic
        noted = self._noted(issuer)
        if noted is not None:
            self._behind.setdefault(issuer, noted)
            self._era += 1
        return noted or 0.0

    def _noted(self, issuer: str | None) -> float | None:
        """Return what this host's processes have noted of the clock as it is. None if nothing."""
        try:
            error = self._journal.clock_error(issuer)
        except TokenKeepError:
            return None
        if error is None or error.boot != holder.boot():
            return None
        return error.behind if abs(error.zero - self._zero_now()) <= CLOCK_TOLERANCE else None

    def _zero_now(self) -> float:
        """Return the time of day at which the monotonic clock was 0; it moves only if set."""
        return self._clock.now() - self._clock.monotonic()
