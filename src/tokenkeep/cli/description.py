"""A stored token in facts, none of them secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenkeep import clock, holder
from tokenkeep.cli import output
from tokenkeep.decision import current_failure
from tokenkeep.token import Status

if TYPE_CHECKING:
    from tokenkeep.providers import Profile
    from tokenkeep.token import Token


_FOR_EVER = 1e15
"""Beyond any time that is meant, in epoch seconds."""


def summary(token: Token, now: float) -> dict[str, Any]:
    """
    Return what a listing says of a token, ready for JSON.

    Args:
        token: As stored.
        now: Epoch seconds.
    """
    names = ("id", "user", "provider", "data_center", "environment")
    ends, login_ends = moment(token.expires_at), refresh_end(token)
    return {
        **{name: getattr(token, name) for name in names},
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


def description(token: Token, profile: Profile, now: float) -> dict[str, Any]:
    """
    Return everything about a token that is not secret, ready for JSON.

    Args:
        token: As stored.
        profile: Of its provider.
        now: Epoch seconds.
    """
    renewal = token.renewal
    names = ("client_id", "scope", "issuer", "api_domain", "redirect_uri")
    mints = [at for at in renewal.mints if at > now - profile.mint_window]
    return {
        **summary(token, now),
        **{name: getattr(token, name) for name in names},
        "expires_at": moment(token.expires_at),
        "has_access_token": bool(token.access_token),
        "has_refresh_token": bool(token.refresh_token),
        "has_client_secret": bool(token.client_secret),
        "logged_in_at": token.logged_in_at,
        "refresh_expires_at": moment(token.refresh_expires_at),
        "created_at": token.created_at,
        "updated_at": token.updated_at,
        "last_used_at": token.last_used_at,
        "renewed_at": renewal.renewed_at,
        "renewed_by": renewal.renewed_by,
        "renewals_in_window": len(mints),
        "renewals_allowed": profile.mint_limit,
        "renewal_window": profile.mint_window,
        "failure": _failure(token),
        "claim": _claim(token),
        "revocation_pending": bool(renewal.to_revoke),
        "history": [
            {"what": each.what, "at": each.at, "by": each.by, "count": each.count}
            for each in token.history
        ],
    }


def in_words(facts: dict[str, Any]) -> dict[str, Any]:
    """Return a `description` as people read it."""
    words = dict(facts)
    for name in ("expires_in", "refresh_expires_in"):
        words[name] = output.time_left(facts[name])
    for name, value in facts.items():
        if name.endswith("_at"):
            words[name] = clock.moment(value)
        elif isinstance(value, bool):
            words[name] = "yes" if value else "no"
    allowed, used = words.pop("renewals_allowed"), words.pop("renewals_in_window")
    of = "" if allowed is None else f" of {allowed}"
    words["renewals"] = f"{used}{of} in the last {words.pop('renewal_window'):g} s"
    failure, claim = facts["failure"], facts["claim"]
    if failure:
        words["failure"] = (
            f"{failure['error']} ({failure['kind']}, {failure['count']} in a row), "
            f"asked again after {clock.moment(failure['until'])}"
        )
    words["history"] = "; ".join(map(_happening, facts["history"])) or None
    if claim:
        words["claim"] = f"{claim['holder']} since {clock.moment(claim['taken_at'])}"
    return words


def _happening(each: dict[str, Any]) -> str:
    times = f", {each['count']} times" if each["count"] > 1 else ""
    by = f" by {each['by']}" if each["by"] else ""
    return f"{each['what'].replace('_', ' ')} {clock.moment(each['at'])}{by}{times}"


def _failure(token: Token) -> dict[str, Any] | None:
    failure = current_failure(token)
    if failure is None:
        return None
    return {name: getattr(failure, name) for name in ("kind", "error", "at", "until", "count")}


def _claim(token: Token) -> dict[str, Any] | None:
    claim = token.renewal.claim
    if claim is None:
        return None
    return {
        "holder": holder.name(claim.holder),
        "taken_at": claim.taken_at,
        "length": claim.length,
    }
