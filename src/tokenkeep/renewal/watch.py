"""When somebody else's claim may be taken over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenkeep import holder
from tokenkeep.decision import CLOCK_SKEW

if TYPE_CHECKING:
    from tokenkeep.clock import Clock
    from tokenkeep.providers.base import Profile
    from tokenkeep.token import Claim

MARGIN = 2.0
"""Added to a claim's length before a waiter takes it over, in seconds."""

_MOST = 1000


class Watch:
    """
    How one process sees other people's claims.

    One for all callers: each alone may have less time than a claim lasts, and
    would see none of them end.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}

    def give_up(self, nonce: str) -> None:
        """Note that nobody is behind a claim of this process, which it could not take away."""
        self._since[nonce] = float("-inf")

    def takeable(self, claim: Claim, profile: Profile) -> bool:
        """
        Tell whether somebody else's claim may be taken over now.

        That is when its holder is known dead, or this process has given it up;
        when this process has seen it unchanged for its length, the profile's at
        most, on its own monotonic clock; or when its own end lies far enough back,
        whoever's clock is wrong: not where refresh tokens rotate without grace.
        """
        if holder.is_dead(claim.holder):
            return True
        length = min(claim.length, profile.claim_length)
        now = self._clock.monotonic()
        # A nonce is never used twice: seen twice, it stood all the time between.
        since = self._since.setdefault(claim.nonce, now)
        if len(self._since) > _MOST:
            self._since = {claim.nonce: since}
        if now - since >= length + MARGIN:
            return True
        ended = claim.taken_at + length
        return not profile.rotates and self._clock.now() > ended + CLOCK_SKEW
