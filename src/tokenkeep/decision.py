"""
What to do with a token now: pure, and total over (token, time, profile).

All rules about windows, budgets and failures are here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from tokenkeep.lookup import digest_of
from tokenkeep.policy import NO_POLICIES
from tokenkeep.token import Status

if TYPE_CHECKING:
    from tokenkeep.policy import End, Policies
    from tokenkeep.providers.base import Profile
    from tokenkeep.token import Failure, Token


CLOCK_SKEW = 300.0
"""How far two hosts' clocks may be apart before their times are not believed, in seconds."""

LONGEST_COOL_DOWN = 3600.0
"""However long a provider asks to be left alone, in seconds."""


class Verdict(Enum):
    """What to do now."""

    USE = "use"
    RENEW_SOON = "renew_soon"
    """Usable; one caller should renew it while the others go on."""
    RENEW_NOW = "renew_now"
    WAIT = "wait"
    """Somebody else is renewing it."""
    COOL_DOWN = "cool_down"
    LOGIN_NEEDED = "login_needed"
    REVOKED = "revoked"
    ENDED = "ended"
    """A policy has taken hold; that is to be written."""


@dataclass(frozen=True, slots=True)
class Decision:
    """
    What to do, and until when.

    Args:
        verdict: What to do now.
        until: With `Verdict.COOL_DOWN`: when to ask again, in epoch seconds.
            With `Verdict.USE`: before this time the answer is the same as long
            as the token is; None if that is not known.
        end: With `Verdict.ENDED`: which policy, and since when.
    """

    verdict: Verdict
    until: float | None = None
    end: End | None = None


def decide(  # noqa: PLR0911  # one line a case reads better than one exit
    token: Token,
    now: float,
    profile: Profile,
    *,
    rejected: str | None = None,
    policies: Policies = NO_POLICIES,
) -> Decision:
    """
    Say what to do with a stored token.

    One that is *rejected*, refused by the API, counts as expired if it is still the stored one.
    """
    if token.status is Status.REVOKED:
        return Decision(Verdict.REVOKED)
    if token.status is not Status.OK:
        return Decision(Verdict.LOGIN_NEEDED)
    over = policies.ends_at(token)
    if over is not None and now >= over[0]:
        return Decision(Verdict.ENDED, end=policies.ending(token))
    usable = is_usable(token, now, rejected=rejected)
    left = _left(token, now) if usable and _is_credible(token, now) else 0.0
    mandatory, advisory = windows(token, profile)
    if usable and left >= advisory:
        ends = None if token.expires_at is None else token.expires_at - advisory
        if ends is not None and over is not None and over[0] < ends:
            ends = over[0]
        return Decision(Verdict.USE, ends)
    if not token.refresh_token and profile.needs_login:
        return Decision(Verdict.USE) if usable else Decision(Verdict.LOGIN_NEEDED)
    blocked = blocked_until(token, now, profile)
    if usable and (blocked is not None or (left >= mandatory and token.renewal.claim)):
        return Decision(Verdict.USE)
    if token.renewal.claim:
        return Decision(Verdict.WAIT)
    if blocked is not None:
        return Decision(Verdict.COOL_DOWN, blocked)
    return Decision(Verdict.RENEW_SOON if usable and left >= mandatory else Verdict.RENEW_NOW)


def is_usable(token: Token, now: float, *, rejected: str | None = None) -> bool:
    """Tell whether the API would still accept the access token, as far as is known."""
    return (
        token.status is Status.OK
        and bool(token.access_token)
        and token.access_token != rejected
        and _left(token, now) > 0
    )


def counted(token: Token, now: float, profile: Profile) -> tuple[float, ...]:
    """Return the mint times that count against the budget, and this one. None without a limit."""
    return (*_within(token, now, profile), now) if profile.mint_limit is not None else ()


def has_spare(token: Token, now: float, profile: Profile) -> bool:
    """Tell whether the budget has room for a renewal ahead, and for one that somebody asks for."""
    limit = profile.mint_limit
    return limit is None or len(_within(token, now, profile)) < limit - 1


def may_repeat(token: Token, now: float, profile: Profile) -> bool:
    """
    Tell whether the budget has room for a second call after a fault that may pass.

    Only after the first in a row: an outage must not use the budget up.
    """
    if profile.mint_limit is None:
        return True
    mints = _within(token, now, profile)
    return current_failure(token) is None and len(mints) < profile.mint_limit


def credential_digest(token: Token) -> str:
    """Return the digest of what a failure belongs to: refresh token, secret and issuer."""
    return digest_of(repr((token.refresh_token, token.client_secret, token.issuer)))


def current_failure(token: Token) -> Failure | None:
    """Return the last failure. None if there is none, or it was with another credential."""
    failure = token.renewal.failure
    if failure is None or failure.credential != credential_digest(token):
        return None
    return failure


def cool_down(kind: str, count: int) -> float:
    """Return how long the provider is left alone after so many failures in a row, in seconds."""
    if kind == "configuration":
        return 60.0
    # The exponent is bounded as well: a weekend of failures would overflow.
    return min(2.0 ** min(count - 1, 6), 60.0)


def _left(token: Token, now: float) -> float:
    """Return how long the access token lives, in seconds."""
    if token.expires_at is not None:
        return token.expires_at - now
    # Nobody said when it ends. With a refresh token it is renewed once, to
    # learn; if the provider still does not say, it is used until rejected.
    if token.refresh_token and token.renewal.renewed_at is None:
        return 0.0
    return float("inf")


def _is_credible(token: Token, now: float) -> bool:
    """Tell whether an access token may have that much left: more than it was given is too much."""
    lifetime = token.renewal.lifetime
    return lifetime is None or _left(token, now) <= lifetime + CLOCK_SKEW


def windows(token: Token, profile: Profile) -> tuple[float, float]:
    """Return the mandatory and the advisory window, shortened for short-lived tokens."""
    lifetime = token.renewal.lifetime
    if lifetime is None:
        return profile.mandatory, max(profile.mandatory, profile.advisory)
    mandatory = max(0.0, min(profile.mandatory, lifetime / 2))
    return mandatory, max(mandatory, min(profile.advisory, lifetime / 4))


def _within(token: Token, now: float, profile: Profile) -> tuple[float, ...]:
    # Times far ahead are of a host whose clock is wrong, and would count for ever.
    return tuple(
        at for at in token.renewal.mints if now - profile.mint_window < at <= now + CLOCK_SKEW
    )


def blocked_until(token: Token, now: float, profile: Profile) -> float | None:
    """Return before which time the provider must not be asked. None if it may be."""
    ends = []
    failure = current_failure(token)
    if failure is not None and failure.at <= now + CLOCK_SKEW:
        until = min(failure.until, failure.at + LONGEST_COOL_DOWN)
        ends += [until] if until > now else []
    mints = _within(token, now, profile)
    if profile.mint_limit is not None and len(mints) >= profile.mint_limit:
        ends.append(mints[-profile.mint_limit] + profile.mint_window)
    return max(ends, default=None)
