"""A stored token in facts, none of them secret."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tokenkeep import clock, holder
from tokenkeep.cli.session import time_left
from tokenkeep.decision import current_failure
from tokenkeep.errors import UnknownName
from tokenkeep.providers import Profile
from tokenkeep.token import Status

if TYPE_CHECKING:
    from tokenkeep.keeper import Keeper
    from tokenkeep.token import Token

_NAMES = ("id", "user", "provider", "data_center", "environment")
_MORE = (
    *("client_id", "scope", "issuer", "api_domain", "redirect_uri", "expires_at"),
    *("refresh_expires_at", "logged_in_at", "created_at", "updated_at", "last_used_at"),
)

FIELDS = (*_NAMES, "status", "expires_in", "refresh_expires_in")
"""What a listing says of a token."""


def summary(token: Token, now: float) -> dict[str, Any]:
    """Return `FIELDS` of a token at a time in epoch seconds, ready for JSON."""
    ends = token.expires_at if token.access_token else None
    login = login_ends(token)
    return {
        **{name: getattr(token, name) for name in _NAMES},
        "status": token.status.value,
        "expires_in": None if ends is None else int(ends - now),
        "refresh_expires_in": None if login is None else int(login - now),
    }


def login_ends(token: Token) -> float | None:
    """Return when a login that works ends, in epoch seconds. None if that is not known."""
    is_alive = token.refresh_token and token.status is Status.OK
    return token.refresh_expires_at if is_alive else None


def place(listed: dict[str, Any]) -> str:
    """Return of which provider, data centre and environment it is, without the usual ones."""
    words = (listed[name] for name in ("provider", "data_center", "environment"))
    return " ".join(word for word in words if word and word not in {"zoho", "production"})


def describe(keeper: Keeper, token: Token) -> dict[str, Any]:
    """Return everything about a stored token that is not secret, ready for JSON."""
    profile = Profile()  # the usual habits, where its provider is not known here
    with suppress(UnknownName):
        profile = keeper.providers.of(token).profile
    now, renewal = keeper.clock.now(), token.renewal
    failure, claim = current_failure(token), renewal.claim
    said = ("kind", "error", "at", "until", "count")
    return {
        **summary(token, now),
        **{name: getattr(token, name) for name in _MORE},
        "has_access_token": bool(token.access_token),
        "has_refresh_token": bool(token.refresh_token),
        "has_client_secret": bool(token.client_secret),
        "renewed_at": renewal.renewed_at,
        "renewed_by": renewal.renewed_by,
        "renewals_in_window": sum(at > now - profile.mint_window for at in renewal.mints),
        "renewals_allowed": profile.mint_limit,
        "renewal_window": profile.mint_window,
        "failure": failure and {name: getattr(failure, name) for name in said},
        "renewing": claim and holder.name(claim.holder),
        "revocation_pending": bool(renewal.to_revoke),
        "history": lived(token)["history"],
    }


def lived(token: Token) -> dict[str, Any]:
    """Return whose life it is and what happened in it, ready for JSON."""
    return {
        **{name: getattr(token, name) for name in _NAMES},
        "history": [asdict(each) for each in token.history],
    }


def in_words(name: str, value: Any) -> str | None:
    """Return one of the facts of `describe` as people read it. None for nothing to say."""
    if isinstance(value, dict):
        parts = ((each, in_words(each, part)) for each, part in value.items())
        return ", ".join(w if n == "count" else f"{n} {w}" for n, w in parts if w)
    if name == "count":
        value = f"{value} times" if value > 1 else None
    elif name.endswith("_in"):
        value = time_left(value)
    elif name in {"at", "until"} or name.endswith("_at"):
        value = clock.moment(value)
    elif isinstance(value, bool):
        value = "yes" if value else "no"
    return None if value is None else str(value)


def named(token: Token) -> str:
    """Return how a sentence names a token."""
    return f"{token.user} ({token.id})" if token.user else f"token {token.id}"
