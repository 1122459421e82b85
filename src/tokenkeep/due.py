"""When a background job has something to do about a token. Pure."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from tokenkeep.decision import blocked_until, windows
from tokenkeep.notices import next_tell
from tokenkeep.token import Status

if TYPE_CHECKING:
    from tokenkeep.policy import Policies
    from tokenkeep.providers.base import Profile
    from tokenkeep.token import Token

IN_USE = 86_400.0
"""Who has used a token within so many seconds before its end is served before the others."""


def due_at(token: Token, now: float, policies: Policies, profile: Profile) -> float | None:
    """
    Return when there is something to do, in epoch seconds. None if there is nothing.

    That is a revocation to be confirmed, the end of a session, of a dead row or an idle
    token, something to tell, or a renewal ahead of need.

    Args:
        token: As it is written.
        now: As it is written, in epoch seconds.
        policies: Of the store.
        profile: The habits of its provider.
    """
    at = []
    if token.ended or token.renewal.to_revoke:
        at.append(token.updated_at or 0.0)
    if (tells := next_tell(token)) is not None:
        at.append(tells)
    if not policies or token.ended:
        return min(at, default=None)
    ends = policies.ending(token), policies.purging(token)
    at += [each.at for each in ends if each is not None]
    fresh = renewed_at(token, now, policies, profile)
    return min(at if fresh is None else [*at, fresh], default=None)


def renewed_at(token: Token, now: float, policies: Policies, profile: Profile) -> float | None:
    """Return when a token is renewed ahead of need; None if it is not. As for `due_at`."""
    can_be = token.refresh_token or not profile.needs_login
    if token.status is not Status.OK or not can_be or token.expires_at is None:
        return None
    if not policies.limits(token).keep_fresh:
        return None
    claim = token.renewal.claim
    if claim is not None:  # then others see whether it was left behind
        return claim.taken_at + claim.length
    mandatory, advisory = windows(token, profile)
    # Those in use in the first half of the time in which callers would renew it anyway, so
    # that none of them waits; the others in the second. Spread, or all would be due at once.
    used_at = max(token.last_used_at or 0.0, token.logged_in_at or 0.0)
    half = (advisory - mandatory) / 2
    begins = token.expires_at - advisory
    if used_at < begins - IN_USE:
        begins += half
    after = half * _spread(str(token.version))
    at = max(begins + after, blocked_until(token, now, profile) or 0.0)
    quiet_until = policies.quiet_until(token, at)
    # At the end of quiet hours all would be due at once.
    return at if quiet_until == at else quiet_until + after


def _spread(version: str) -> float:
    """Return a number from 0 to 1, another one for each version of a token."""
    return zlib.crc32(version.encode()) / 0xFFFFFFFF
