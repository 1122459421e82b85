"""When somebody else's claim may be taken over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenkeep import holder
from tokenkeep.decision import CLOCK_SKEW

if TYPE_CHECKING:
    from tokenkeep.clock import Clock
    from tokenkeep.token import Claim

MARGIN = 2.0
"""Added to a claim's length before a waiter takes it over, in seconds."""


class Watch:
    """
    One waiter's view of other people's claims.

    Args:
        clock: The waiter's clock.
        rotates: Whether the provider rotates refresh tokens without grace;
            then no clock but the waiter's own is believed.
    """

    def __init__(self, clock: Clock, *, rotates: bool) -> None:
        self._clock = clock
        self._rotates = rotates
        self._nonce: str | None = None
        self._since = 0.0

    def takeable(self, claim: Claim) -> bool:
        """
        Tell whether a claim may be taken over now.

        That is when its holder is known dead; when this waiter has seen it
        unchanged for its length on its own monotonic clock; or when its own
        end lies far enough back, whoever's clock is wrong.
        """
        if holder.is_dead(claim.holder):
            return True
        now = self._clock.monotonic()
        if claim.nonce != self._nonce:
            self._nonce, self._since = claim.nonce, now
        if now - self._since >= claim.length + MARGIN:
            return True
        ended = claim.taken_at + claim.length
        return not self._rotates and self._clock.now() > ended + CLOCK_SKEW
