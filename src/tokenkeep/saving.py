"""What a save does to the token that is stored already: the one rule every store follows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tokenkeep.errors import EmptyLookup
from tokenkeep.lookup import SECRETS, require_text
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Iterable

_WRITTEN = (
    "user",
    "client_id",
    "client_secret",
    "access_token",
    "refresh_token",
    "grant_token",
    "redirect_uri",
    "expires_at",
    "scope",
    "provider",
    "issuer",
    "api_domain",
    "data_center",
    "environment",
)
_FIXED = ("user", "client_id", "provider", "data_center", "environment")
"""What a row is for: filled in where it was not known, never changed."""

_DEAD = (Status.REVOKED, Status.LOGIN_NEEDED)


def cleaned(token: Token) -> Token:
    """
    Return the token with empty strings as None.

    Raises:
        EmptyLookup: It holds no token at all.
        LookupFailed: A field is not text.
    """
    require_text(token)
    if not any((token.access_token, token.refresh_token, token.grant_token)):
        raise EmptyLookup(
            "There is no token in what is to be saved",
            token_id=token.id,
            user=token.user,
            hint="Give an access, refresh or grant token",
        )
    empty = {name: None for name in (*_WRITTEN, "id") if getattr(token, name) == ""}
    return token.but(**empty) if empty else token


def same_thing(stored: Token, token: Token) -> bool:
    """Tell whether a save may update a stored token without mixing users."""
    return stored.status is not Status.MOVED and all(
        getattr(stored, name) is None
        or getattr(token, name) is None
        or getattr(stored, name) == getattr(token, name)
        for name in _FIXED
    )


def match(token: Token, stored: Iterable[Token]) -> Token | None:
    """
    Return the stored token that a save updates, from all there are.

    By id, then identity, then refresh, then grant, then access token. None if
    the save makes a new row.
    """
    rows = [t for t in stored if same_thing(t, token)]
    for row in rows:
        if token.id and row.id == token.id:
            return row
    for row in rows:
        if token.user and all(getattr(row, n) == getattr(token, n) for n in _FIXED):
            return row
    for field in ("refresh", "grant", "access"):
        value = getattr(token, SECRETS[field])
        for row in rows:
            if value and getattr(row, SECRETS[field]) == value:
                return row
    return None


def is_new_login(stored: Token, token: Token) -> bool:
    """Tell whether a save brings tokens from another login than the stored ones."""
    if stored.status is Status.PENDING:
        return True
    if token.refresh_token:
        return token.refresh_token != stored.refresh_token
    return bool(token.grant_token and token.grant_token != stored.grant_token)


def merged(stored: Token, token: Token, *, login: str, now: float) -> Token:
    """
    Return what is stored after a save.

    Args:
        stored: The row as it is.
        token: What is saved, cleaned.
        login: Nonce for a new login.
        now: Epoch seconds.

    Returns:
        The row as it has to be; *stored* itself where nothing changes.
    """
    new_login = is_new_login(stored, token)
    if token.status in _DEAD:
        return _died(stored, token.status, now)
    if stored.status in _DEAD and not new_login:
        return stored
    changes = {name: getattr(token, name) for name in _WRITTEN if getattr(token, name) is not None}
    if new_login and stored.status is Status.REVOKED and token.refresh_token is None:
        # What was revoked must not come back with an answer that omits it.
        changes["refresh_token"] = None
    if "access_token" in changes and changes["access_token"] != stored.access_token:
        changes.setdefault("expires_at", token.expires_at)
    after = stored.but(**changes)
    if new_login:
        renewal = replace(after.renewal, claim=None, failure=None, login=login)
        if after.refresh_token != stored.refresh_token:
            renewal = replace(renewal, mints=_minted(after, now))
        after = after.but(status=Status.OK, moved_to=None, renewal=renewal)
    if after.access_token != stored.access_token:
        after = after.with_renewal(lifetime=_lifetime(after, now))
    return stored if after == stored else after.but(updated_at=now)


def inherited(owner: Token, nameless: Token) -> Token:
    """
    Return a user's row with the renewal state of the nameless row it takes over.

    Args:
        owner: The user's row with the nameless row's tokens in it.
        nameless: The row they come from. A pending one has no state.
    """
    if nameless.status is not Status.OK:
        return owner
    mine, its = owner.renewal, nameless.renewal
    return owner.with_renewal(
        claim=its.claim,
        mints=tuple(sorted({*mine.mints, *its.mints})),
        to_revoke=(
            *mine.to_revoke,
            *(each for each in its.to_revoke if each not in mine.to_revoke),
        ),
    )


def first(token: Token, *, login: str, now: float) -> Token:
    """Return what is stored by the first save of a token, but for its id and version."""
    fields = {name: getattr(token, name) for name in _WRITTEN}
    fresh = Token(**fields, created_at=now, updated_at=now, last_used_at=now)
    return fresh.with_renewal(
        login=login, lifetime=_lifetime(fresh, now), mints=_minted(fresh, now)
    )


def _died(stored: Token, status: Status, now: float) -> Token:
    if stored.status in (status, Status.REVOKED):
        return stored
    access_token = None if status is Status.REVOKED else stored.access_token
    dead = stored.but(status=status, access_token=access_token, updated_at=now)
    return dead.with_renewal(claim=None)


def _minted(token: Token, now: float) -> tuple[float, ...]:
    """Return the mint times a new login starts with: its own access token counts."""
    return (now,) if token.access_token else ()


def _lifetime(token: Token, now: float) -> float | None:
    """Return how long an access token that was just saved lives, in seconds."""
    if token.expires_at is None or token.expires_at <= now:
        return None
    return token.expires_at - now
