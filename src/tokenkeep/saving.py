"""What a save does to the token that is stored already: the one rule every store follows."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from tokenkeep.errors import EmptyLookup, LookupFailed
from tokenkeep.lookup import SECRETS, are_texts, require_text
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
_TEXTS = ("id", *(name for name in _WRITTEN if name != "expires_at"))
_written, _texts = attrgetter(*_WRITTEN), attrgetter(*_TEXTS)

_YEAR_10000 = 253_402_300_800.0
"""A time from then on has no date, and is a number of milliseconds; in epoch seconds."""

_FIXED = ("user", "client_id", "provider", "data_center", "environment")
"""What a row is for: filled in where it was not known, never changed."""

_DEAD = (Status.REVOKED, Status.LOGIN_NEEDED)


def cleaned(token: Token) -> Token:
    """
    Return the token with empty strings as None.

    Raises:
        EmptyLookup: It holds no token at all.
        LookupFailed: A field is not text, or *expires_at* is no time.
    """
    if not are_texts(_texts(token)):
        require_text(token, _TEXTS)
    ends = token.expires_at
    if ends is not None and not (isinstance(ends, int | float) and 0 <= ends < _YEAR_10000):
        raise LookupFailed(
            "The expires_at is not a number of seconds since 1970",
            token_id=token.id,
            user=token.user,
            hint="Give epoch seconds, not milliseconds or text; None if it is not known",
        )
    if not (token.access_token or token.refresh_token or token.grant_token):
        raise EmptyLookup(
            "There is no token in what is to be saved",
            token_id=token.id,
            user=token.user,
            hint="Give an access, refresh or grant token",
        )
    if "" not in _texts(token):
        return token
    return token.but(**{name: None for name in _TEXTS if getattr(token, name) == ""})


def same_thing(stored: Token, token: Token) -> bool:
    """Tell whether a save may update a stored token without mixing users."""
    if stored.status is Status.MOVED:
        return False
    for name in _FIXED:
        is_now, wanted = getattr(stored, name), getattr(token, name)
        if is_now != wanted and None not in (is_now, wanted):
            return False
    return True


def match(token: Token, stored: Iterable[Token]) -> Token | None:
    """
    Return the stored token that a save updates, from all there are.

    By id, then identity, then refresh, then grant, then access token. None if
    the save makes a new row. A row without a name that was revoked, or whose
    refresh token was rejected, goes before the user's row if the save brings
    that refresh token: under a name it must not live on.
    """
    rows = [t for t in stored if same_thing(t, token)]
    for row in rows:
        if token.id and row.id == token.id:
            return row
    for row in rows:
        dead = row.user is None and row.status in _DEAD
        if dead and token.refresh_token and row.refresh_token == token.refresh_token:
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


def twins(saved: Token, stored: Iterable[Token]) -> list[Token]:
    """
    Return the other rows without a name that hold the same login as a row.

    They were saved before it was known whose it is. Left alone, each would
    renew it, and live on when the other is revoked.

    Args:
        saved: The row, as it is after a save; mostly a user's.
        stored: All there are, or those that share a token with it.
    """
    others = (row for row in stored if row.id != saved.id and row.user is None)
    rows = (row for row in others if row.status is not Status.PENDING and same_thing(row, saved))
    return [row for row in rows if is_same_login(row, saved)]


def is_same_login(one: Token, other: Token) -> bool:
    """Tell by the first token that both have: refresh, else grant, else access token."""
    for field in ("refresh", "grant", "access"):
        mine, its = getattr(one, SECRETS[field]), getattr(other, SECRETS[field])
        if mine and its:
            return bool(mine == its)
    return False


def is_new_login(stored: Token, token: Token) -> bool:
    """Tell whether a save brings tokens from another login than the stored ones."""
    if stored.status is Status.PENDING:
        return True
    if token.refresh_token:
        return token.refresh_token != stored.refresh_token
    return bool(token.grant_token and token.grant_token != stored.grant_token)


def brings_another(stored: Token, token: Token) -> bool:
    """Tell whether a save brings a login, or an access token alone, that the row has not."""
    if token.refresh_token or token.grant_token:
        return is_new_login(stored, token)
    return token.access_token not in (None, stored.access_token)


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
    if token.status in _DEAD:
        return _dead(stored, token, login=login, now=now)
    new_login = is_new_login(stored, token)
    if stored.status in _DEAD and not new_login:
        return stored
    changes: dict[str, object] = {
        name: value
        for name, value, was in zip(_WRITTEN, _written(token), _written(stored), strict=True)
        if value is not None and value != was
    }
    if "access_token" in changes:
        changes["expires_at"] = token.expires_at
    if new_login:
        changes.update(status=Status.OK, moved_to=None)
        if stored.status is Status.REVOKED and token.refresh_token is None:
            # What was revoked must not come back with an answer that omits it.
            changes["refresh_token"] = None
    if not changes:
        return stored
    state: dict[str, object] = {}
    if new_login:
        state.update(claim=None, failure=None, login=login)
        if changes.get("refresh_token", stored.refresh_token) != stored.refresh_token:
            state["mints"] = _minted(token.access_token or stored.access_token, now)
    if "access_token" in changes:
        state["lifetime"] = _lifetime(token.expires_at, now)
    renewal = stored.renewal.but(**state)
    return stored.but(**changes, updated_at=now, renewal=renewal)


def inherited(owner: Token, nameless: Token) -> Token:
    """
    Return a user's row with the renewal state of the nameless row it takes over.

    Args:
        owner: The user's row with the nameless row's tokens in it.
        nameless: The row they come from. Of a dead one, or one with another
            refresh token, only what the provider still has to revoke counts.
    """
    mine, its = owner.renewal, nameless.renewal
    to_revoke = (*mine.to_revoke, *(each for each in its.to_revoke if each not in mine.to_revoke))
    if nameless.status is not Status.OK or nameless.refresh_token != owner.refresh_token:
        return owner.with_renewal(to_revoke=to_revoke)
    return owner.with_renewal(
        claim=its.claim or mine.claim,
        mints=tuple(sorted({*mine.mints, *its.mints})),
        to_revoke=to_revoke,
    )


def first(token: Token, *, login: str, now: float) -> Token:
    """Return what is stored by the first save of a token, but for its id and version."""
    fields = {name: getattr(token, name) for name in _WRITTEN}
    fresh = Token(**fields, created_at=now, updated_at=now, last_used_at=now)
    fresh = fresh.with_renewal(
        login=login,
        lifetime=_lifetime(fresh.expires_at, now),
        mints=_minted(fresh.access_token, now),
    )
    return died(fresh, token.status, now) if token.status in _DEAD else fresh


def _dead(stored: Token, token: Token, *, login: str, now: float) -> Token:
    """Return what is stored after a save that ends the token; see `merged`."""
    if stored.status is Status.PENDING:
        stored = merged(stored, token.but(status=Status.OK), login=login, now=now)
    return died(stored, token.status, now)


def died(stored: Token, status: Status, now: float) -> Token:
    """Return a row that is not handed out any more; what is revoked stays so."""
    if stored.status in (status, Status.REVOKED):
        return stored
    access_token = None if status is Status.REVOKED else stored.access_token
    dead = stored.but(status=status, access_token=access_token, updated_at=now)
    return dead.with_renewal(claim=None)


def _minted(access_token: str | None, now: float) -> tuple[float, ...]:
    """Return the mint times a new login starts with: its own access token counts."""
    return (now,) if access_token else ()


def _lifetime(expires_at: float | None, now: float) -> float | None:
    """Return how long an access token that was just saved lives, in seconds."""
    if expires_at is None or expires_at <= now:
        return None
    return expires_at - now
