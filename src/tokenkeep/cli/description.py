"""A stored token in facts, none of them secret."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tokenkeep import clock, holder
from tokenkeep.cli.output import time_left
from tokenkeep.decision import current_failure
from tokenkeep.errors import UnknownName
from tokenkeep.providers import Profile
from tokenkeep.token import Status

if TYPE_CHECKING:
    from tokenkeep.keeper import Keeper
    from tokenkeep.token import Token

_FOR_EVER = 1e15
"""Beyond any time that is meant, in epoch seconds."""

_NAMES = ("id", "user", "provider", "data_center", "environment")
_MORE = ("client_id", "scope", "issuer", "api_domain", "redirect_uri")
_TIMES = ("logged_in_at", "created_at", "updated_at", "last_used_at")


def summary(token: Token, now: float) -> dict[str, Any]:
    """Return what a listing says of a token at a time in epoch seconds, ready for JSON."""
    ends, login_ends = moment(token.expires_at), refresh_end(token)
    return {
        **{name: getattr(token, name) for name in _NAMES},
        "status": token.status.value,
        "expires_in": None if ends is None or not token.access_token else int(ends - now),
        "refresh_expires_in": None if login_ends is None else int(login_ends - now),
    }


def refresh_end(token: Token) -> float | None:
    """Return when a living login ends by itself, in epoch seconds. None if it is not known."""
    is_alive = token.refresh_token and token.status is Status.OK
    return moment(token.refresh_expires_at) if is_alive else None


def moment(at: object) -> float | None:
    """Return a time as stored, in epoch seconds. None for what is no number: NaN, text."""
    return at if isinstance(at, int | float) and abs(at) < _FOR_EVER else None


def describe(keeper: Keeper, token: Token) -> dict[str, Any]:
    """Return everything about a stored token that is not secret, ready for JSON."""
    profile = Profile()  # the usual habits, where its provider is not known here
    with suppress(UnknownName):
        profile = keeper.providers.of(token).profile
    now, renewal = keeper.clock.now(), token.renewal
    failure, claim = current_failure(token), renewal.claim
    if failure:
        names = ("kind", "error", "at", "until", "count")
        failed = {name: getattr(failure, name) for name in names}
    if claim:
        taken = {"taken_at": claim.taken_at, "length": claim.length}
    return {
        **summary(token, now),
        **{name: getattr(token, name) for name in _MORE},
        "expires_at": moment(token.expires_at),
        "refresh_expires_at": moment(token.refresh_expires_at),
        **{name: getattr(token, name) for name in _TIMES},
        "has_access_token": bool(token.access_token),
        "has_refresh_token": bool(token.refresh_token),
        "has_client_secret": bool(token.client_secret),
        "renewed_at": renewal.renewed_at,
        "renewed_by": renewal.renewed_by,
        "renewals_in_window": sum(at > now - profile.mint_window for at in renewal.mints),
        "renewals_allowed": profile.mint_limit,
        "renewal_window": profile.mint_window,
        "failure": failed if failure else None,
        "claim": {"holder": holder.name(claim.holder), **taken} if claim else None,
        "revocation_pending": bool(renewal.to_revoke),
        "history": [asdict(each) for each in token.history],
    }


def in_words(facts: dict[str, Any]) -> dict[str, Any]:
    """Return what `describe` says as people read it."""
    words = dict(facts)
    for name, value in facts.items():
        if name.endswith("_in"):
            words[name] = time_left(value)
        elif name.endswith("_at"):
            words[name] = clock.moment(value)
        elif isinstance(value, bool):
            words[name] = "yes" if value else "no"
    allowed, used = words.pop("renewals_allowed"), words.pop("renewals_in_window")
    of = "" if allowed is None else f" of {allowed}"
    words["renewals"] = f"{used}{of} in the last {words.pop('renewal_window'):g} s"
    if failure := facts["failure"]:
        many = f"{failure['error']} ({failure['kind']}, {failure['count']} in a row)"
        words["failure"] = f"{many}, asked again after {clock.moment(failure['until'])}"
    if claim := facts["claim"]:
        words["claim"] = f"{claim['holder']} since {clock.moment(claim['taken_at'])}"
    words["history"] = "; ".join(map(_happening, facts["history"])) or None
    return words


def _happening(each: dict[str, Any]) -> str:
    times = f", {each['count']} times" if each["count"] > 1 else ""
    by = f" by {each['by']}" if each["by"] else ""
    return f"{each['what'].replace('_', ' ')} {clock.moment(each['at'])}{by}{times}"


def named(token: Token) -> str:
    """Return how a sentence names a token."""
    return f"{token.user} ({token.id})" if token.user else f"token {token.id}"
