"""
What a save does to what is stored already: the one rule every store follows. Pure.

A save is a login, an update of the row as it was read, or something older,
which is refused. No refresh token is forgotten alive: what a login replaces is
to be revoked, or kept until its user's login is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokenkeep.errors import (
    DuplicateRefreshToken,
    EmptyLookup,
    LookupFailed,
    StaleToken,
    StoreConflict,
    TokenRevoked,
)
from tokenkeep.lookup import (
    FIXED,
    SECRETS,
    credentials,
    digest_of,
    require_sendable,
    require_text,
)
from tokenkeep.notices import recovered
from tokenkeep.records import EVER
from tokenkeep.token import MOST_HAPPENINGS, Happening, Status, Token, expect_token, is_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Secret = tuple[str, str]
"""The kind of a token (``refresh_token``, ``access_token``) and its value."""

_TEXTS = (
    "id", "user", "client_id", "client_secret", "access_token", "refresh_token", "grant_token",
    "redirect_uri", "scope", "provider", "issuer", "api_domain", "data_center", "environment",
)  # fmt: skip
_ENDS = ("expires_at", "refresh_expires_at")
_WRITTEN = (*_TEXTS[1:], *_ENDS, "extra")

_EMPTY = Token()
"""A copy of an empty one is made in a third of the time of a new one."""

_DEAD = (Status.REVOKED, Status.LOGIN_NEEDED)

_MOST_PAST = 20
"""How many refresh tokens a row remembers to have had, besides those that were revoked."""

_REVOKED = "!"
"""Ends the digest of a refresh token that was revoked: it is remembered for ever."""


class Plan(NamedTuple):
    """
    What a save has to do.

    Args:
        stored: The row it writes over. None inserts.
        row: What is stored then; *stored* itself where nothing changes.
        source: A row whose login is in *row* by then, and that must not stay:
            it was saved before all of what it is for was known. None if there is none.
        carried: *source* with what was saved in it. None likewise.
    """

    stored: Token | None
    row: Token
    source: Token | None = None
    carried: Token | None = None


def cleaned(token: Token, *, needs_login: Callable[[Token], bool] = lambda _: False) -> Token:
    """
    Return the token with empty strings as None.

    *needs_login* says of one without any token whether its provider gives tokens only to who
    logs in (`tokenkeep.providers.Profile`); it may be anybody's. A store that knows no
    providers leaves that to its keeper, who does (`tokenkeep.Keeper.save`).

    Raises:
        TypeError: It is no `Token`.
        EmptyLookup: It holds no token at all, and needs one; or says of no client and user
            what they can be fetched for.
        LookupFailed: A field is not text, or a time is none; or a secret is not
            what the provider gave (`tokenkeep.lookup.require_sendable`).
    """
    expect_token(token)
    require_text(token, _TEXTS)
    require_sendable(token)
    for name in _ENDS:
        ends = getattr(token, name)
        # From the year 10000 on it is a number of milliseconds.
        if ends is not None and not (isinstance(ends, int | float) and 0 <= ends < EVER):
            raise LookupFailed(
                f"The {name} is not a number of seconds since 1970",
                token_id=token.id,
                user=token.user,
                hint="Give epoch seconds, not milliseconds or text; None if it is not known",
            )
    if not credentials(token) and (needs_login(token) or not (token.user and token.client_id)):
        raise EmptyLookup(
            "There is no token in what is to be saved",
            token_id=token.id,
            user=token.user,
            hint="Give an access, refresh or grant token; where the provider gives tokens to the "
            "client alone, a user, any name to ask for it by, and a client id",
        )
    blank = {name: None for name in _TEXTS if getattr(token, name) == ""}
    return token.but(**blank) if blank else token


def plan(
    token: Token,
    rows: Iterable[Token],
    *,
    by_id: Token | None = None,
    login: str,
    now: float,
    revokes_grant: bool = True,
) -> Plan:
    """
    Say what a save does.

    Args:
        token: What is saved, cleaned.
        rows: Those that are for the same, or share a token with it; all there
            are will do.
        by_id: The row that the token's id leads to. None if there is none.
        login: Nonce for a new login.
        now: Epoch seconds.
        revokes_grant: Whether revoking what a login replaces would end the user's consent, the
            new login with it (`tokenkeep.providers.Profile`).

    Raises:
        StoreConflict: The id is gone or another token's, or the row was
            written since *token* was read from it.
        StaleToken: The row had this refresh token before.
        DuplicateRefreshToken: Another row has it.
        TokenRevoked: There is no token in it, and its row is revoked.
    """
    if by_id is None and (token.version or (token.id and is_ours(token.id))):
        raise conflict(
            token,
            "This token was deleted: it does not come back by a save",
            hint="Log in anew, or save it without its id and version",
        )
    if by_id is not None and not same_thing(by_id, token):
        raise conflict(token, "This id is another token's", hint="Save it without its id")
    kept = list({row.id: row for row in (*rows, *([by_id] if by_id else []))}.values())
    target, source = _meant(token, kept, by_id)
    _refuse_others(token, kept, {row.id for row in (target, source) if row is not None})
    if target is None:
        return Plan(None, first(token, login=login, now=now))
    changed = _changed(source or target, token, login, now, revokes_grant=revokes_grant)
    if source is None:
        twin = _for_the_same(changed, kept)
        if twin is not None and twin.id != target.id:
            raise conflict(twin, "What this is for has a row of its own", hint="Save it there")
        return Plan(target, changed)
    if source.status in _DEAD and changed is source:
        return Plan(source, source)  # revoked without a name, it does not live on under one
    return Plan(target, taken(target, changed, revokes_grant=revokes_grant), source, changed)


def same_thing(stored: Token, token: Token) -> bool:
    """Tell whether a save may update a stored token without mixing users."""
    pairs = ((getattr(stored, name), getattr(token, name)) for name in FIXED)
    return all(is_now == wanted or None in (is_now, wanted) for is_now, wanted in pairs)


def fills(stored: Token, token: Token) -> bool:
    """Tell whether a save says more about what a row is for than was known."""
    return any(getattr(token, name) and not getattr(stored, name) for name in FIXED)


def is_login(stored: Token, token: Token) -> bool:
    """
    Tell whether a save brings tokens from another login than the stored ones.

    That is another refresh token, or another grant: a provider may well answer
    it with the refresh token it gave before. Revoked, that one stays so.
    """
    if token.refresh_token and token.refresh_token != stored.refresh_token:
        return True
    if token.refresh_token and stored.status is Status.REVOKED:
        return False
    return bool(token.grant_token and token.grant_token != stored.grant_token)


def is_ended_with(ended: Token, token: Token) -> bool:
    """Tell whether a deleted row has to be revoked with the refresh token that a save brings."""
    its = (ended.refresh_token, *(value for _, value in ended.renewal.to_revoke))
    return bool(token.refresh_token) and token.refresh_token in its


def has_other_tokens(token: Token, stored: Token) -> bool:
    """Tell whether a save would change the tokens of a row, or what may be done with them."""
    pairs = ((getattr(token, name), getattr(stored, name)) for name in SECRETS.values())
    return token.status is not stored.status or any(a not in (None, b) for a, b in pairs)


def is_older(stored: Token, refresh_token: str | None) -> bool:
    """Tell whether a row had a refresh token before, and has another one now."""
    past = stored.renewal.past
    if not (past and refresh_token) or refresh_token == stored.refresh_token:
        return False
    return not {_past_of(refresh_token), _past_of(refresh_token) + _REVOKED}.isdisjoint(past)


def had_login(row: Token, other: Token) -> bool:
    """Tell whether a row has, or had, the refresh token of another one."""
    its = other.refresh_token
    return its is not None and (row.refresh_token == its or is_older(row, its))


def _changed(stored: Token, token: Token, login: str, now: float, *, revokes_grant: bool) -> Token:
    """Return a row with what is saved in it; *stored* itself where nothing changes."""
    if token.version not in (None, stored.version) and has_other_tokens(token, stored):
        raise conflict(stored, "This token was written since it was read")
    if token.status in _DEAD:
        return died(stored, token.status, now)
    if stored.status is Status.REVOKED and not credentials(token):
        raise TokenRevoked(
            "This was revoked, and a save without a token does not bring it back",
            token_id=stored.id,
            user=stored.user,
            hint=f"Delete it first, then save it anew: tokenkeep delete {stored.id}",
        )
    if is_login(stored, token):
        new = first(token.but(logged_in_at=None), login=login, now=now)
        changed = _logged_in(stored, new, revokes_grant=revokes_grant)
        return changed.but(history=stored.history).having("login", now)
    said = _said(stored, token)
    if stored.status in _DEAD or all(getattr(stored, each) == said[each] for each in said):
        return stored
    fresh = stored.but(**said, updated_at=now)
    lifetime = _lifetime(fresh.expires_at, now)
    if stored.access_token == fresh.access_token or lifetime is None:
        return fresh  # an old copy says nothing of how long new ones live
    return fresh.with_renewal(lifetime=lifetime)


def _said(row: Token, token: Token) -> dict[str, object]:
    """Return what a token says of itself, to be written over a row."""
    given = {name: getattr(token, name) for name in _WRITTEN}
    said = {name: value for name, value in given.items() if value is not None and value != {}}
    if token.access_token not in (None, row.access_token):
        said["expires_at"] = token.expires_at
    return said


def _logged_in(row: Token, new: Token, *, revokes_grant: bool) -> Token:
    """Return a row with another login instead of its own, with what that replaces seen to."""
    mine = row.renewal
    fresh = gone_on(row, new)
    if row.status is Status.REVOKED and new.refresh_token is None:
        # What was revoked must not come back with an answer that omits it.
        fresh = fresh.but(refresh_token=None)
    if new.refresh_token or not fresh.refresh_token:
        # Nothing is left of what was said of the login before.
        fresh = fresh.but(refresh_expires_at=new.refresh_expires_at, extra=new.extra)
    if fresh.refresh_token == row.refresh_token:
        fresh = fresh.with_renewal(mints=mine.mints, given=mine.given)
    elif not new.access_token:
        # What is stored is the replaced login's, which may be revoked now.
        fresh = fresh.but(access_token=None, expires_at=None)
    to_revoke, replaced = fresh.renewal.to_revoke, fresh.renewal.replaced
    # What was revoked is in to_revoke already, or confirmed.
    old = secrets_of(row) if row.refresh_token and row.status is not Status.REVOKED else ()
    # One that was in the new login's row before is spent, not replaced.
    old = tuple(s for s in old if not is_older(fresh, s[1]) and s[1] not in fresh.pair)
    if revokes_grant:
        # Revoked now, it would take the new login with it.
        to_revoke, replaced = (), _union(replaced, to_revoke, old)
    elif mine.given:
        replaced = _union(replaced, old)  # it may be in use in another store or program
    else:
        to_revoke = _union(to_revoke, old)
    fresh = fresh.with_renewal(to_revoke=to_revoke, replaced=replaced)
    return _remembering(fresh, secrets_of(row))


def first(token: Token, *, login: str, now: float) -> Token:
    """Return what is stored by the first save of a token, but for its id and version."""
    fresh = _EMPTY.but(
        **{name: getattr(token, name) for name in _WRITTEN},
        created_at=now,
        updated_at=now,
        last_used_at=now,
        logged_in_at=token.logged_in_at or now,
        history=(Happening(what="login", at=now),),
        renewal=_EMPTY.renewal.but(
            login=login,
            lifetime=_lifetime(token.expires_at, now),
            # Its own access token counts.
            mints=(now,) if token.access_token else (),
            # From outside: an import says so, else a code tells.
            given=token.renewal.given or not token.grant_token,
        ),
    )
    return died(fresh, token.status, now) if token.status in _DEAD else fresh


def died(
    stored: Token,
    status: Status,
    now: float,
    by: str | None = None,
    *,
    since: float | None = None,
) -> Token:
    """
    Return a row that is not handed out any more; what is revoked stays so.

    Revoked, it says what the provider has to revoke: all it has, and had. *by*
    is the process that ends it, for people; *since* when it did, None means *now*.
    """
    if stored.status in (status, Status.REVOKED):
        return stored
    dead = stored.but(status=status, updated_at=now).with_renewal(claim=None)
    dead = dead.having(status.value, now if since is None else since, by)
    if status is not Status.REVOKED:
        return dead
    to_revoke = all_secrets_of(stored)
    dead = dead.but(access_token=None).with_renewal(to_revoke=to_revoke, replaced=())
    return _remembering(dead, to_revoke, _REVOKED)


def taken(row: Token, carried: Token, *, revokes_grant: bool) -> Token:
    """
    Return a row with the login of another one that turned out to be for the same.

    A renewal under way goes on in it; *revokes_grant* is as for `plan`.
    """
    mine, its = row.renewal, carried.renewal
    if carried.refresh_token and carried.refresh_token == row.refresh_token:
        return row.with_renewal(
            to_revoke=_union(mine.to_revoke, its.to_revoke),
            replaced=_union(mine.replaced, its.replaced),
        )
    # What happened before one was copied to where the other is, is in both; a run may have gone
    # on in one of them.
    both = sorted((*row.history, *carried.history), key=_when)
    runs = {(each.what, each.since): each for each in both}
    return _logged_in(row, carried, revokes_grant=revokes_grant).but(
        history=tuple(sorted(runs.values(), key=_when)[-MOST_HAPPENINGS:])
    )


def gone_on(row: Token, later: Token) -> Token:
    """Return a row with all that a later state of its login says; what it is kept under stays."""
    mine, its = row.renewal, later.renewal
    notice = its.notice or mine.notice
    if later.status is Status.OK:
        notice = recovered(mine.notice, later.updated_at or 0.0) or its.notice
    renewal = its.but(
        notice=notice,
        lifetime=its.lifetime or mine.lifetime,
        past=_with_past(mine.past, its.past),
        to_revoke=_union(mine.to_revoke, its.to_revoke),
        replaced=_union(mine.replaced, its.replaced),
        unknown={**mine.unknown, **its.unknown},
    )
    return row.but(
        **_said(row, later),
        status=later.status,
        logged_in_at=later.logged_in_at,
        updated_at=later.updated_at,
        history=later.history,
        renewal=renewal,
        unknown={**row.unknown, **later.unknown},
    )


def superseded(row: Token, secrets: Iterable[Secret], *, revokes_grant: bool) -> Token:
    """
    Return a row that sees to tokens of a login that came too late to be its own.

    They are to be revoked now, unless that *revokes_grant*, or with the row's login; those
    of a revoked row are.
    """
    seen_to = (*row.renewal.to_revoke, *row.renewal.replaced)
    late = tuple(each for each in secrets if each[1] not in row.pair and each not in seen_to)
    is_now = row.status is Status.REVOKED or not revokes_grant
    where = "to_revoke" if is_now else "replaced"
    seeing = row.with_renewal(**{where: _union(getattr(row.renewal, where), late)})
    return _remembering(seeing, late, _REVOKED)


def filled(token: Token, row: Token) -> Token:
    """Return a token for the same as a row, with what it lacked of that."""
    return token.but(**{name: getattr(row, name) for name in FIXED if not getattr(token, name)})


def withdrawn(row: Token, now: float) -> Token:
    """Return a row that gives up its login, because an earlier row has the same refresh token."""
    return died(row, Status.LOGIN_NEEDED, now).but(access_token=None, refresh_token=None)


def rotated(row: Token, refresh_token: str | None) -> Token:
    """Return a row with the refresh token that replaces its own, which is spent."""
    if refresh_token == row.refresh_token:
        return row
    return _remembering(row.but(refresh_token=refresh_token), secrets_of(row))


def secrets_of(row: Token) -> tuple[Secret, ...]:
    """Return what ends a row's login at the provider: its refresh token if there is one."""
    kind = "refresh_token" if row.refresh_token else "access_token"
    secret = getattr(row, kind)
    return ((kind, secret),) if secret else ()


def all_secrets_of(row: Token) -> tuple[Secret, ...]:
    """Return all that must not be forgotten alive if a row is not to be."""
    return _union(row.renewal.to_revoke, row.renewal.replaced, secrets_of(row))


def _meant(
    token: Token, rows: list[Token], by_id: Token | None
) -> tuple[Token | None, Token | None]:
    """Return the row that a save is for, and one whose login turns out to be that row's."""
    own, source = _for_the_same(token, rows), None
    target = by_id or own
    if token.user and target is not None and target.user is None:
        target, source = own, target
    lasting = [name for name in ("refresh_token", "grant_token") if getattr(token, name)]
    sharing = (
        row
        for name in lasting or ["access_token"]
        for row in rows
        if getattr(row, name) == getattr(token, name) is not None
        and row is not target
        and all(same_thing(row, each) for each in (token, target) if each)
    )
    source = source or next(sharing, None)
    if target is None:
        # Nothing else is for the same: what shares a token with it becomes it, in place.
        return source, None
    # Without a user in what is saved, another row is not known to be the same.
    return target, source if token.user or target.user else None


def _refuse_others(token: Token, rows: list[Token], used: set[str | None]) -> None:
    """Refuse a refresh token that a row had before, or that a row which is not meant has."""
    for row in rows:
        if is_older(row, token.refresh_token):
            raise StaleToken(
                "This refresh token was replaced in its row; nothing was changed",
                token_id=row.id,
                user=row.user,
                hint="Read the token again. To use another login, log in anew",
            )
        if row.refresh_token == token.refresh_token and token.refresh_token and row.id not in used:
            raise duplicate_of(row)


def _for_the_same(token: Token, rows: list[Token]) -> Token | None:
    """Return the row that is for just the same as a token whose user is known."""
    same = (row for row in rows if all(getattr(row, n) == getattr(token, n) for n in FIXED))
    return next(same, None) if token.user else None


def _when(happened: Happening) -> tuple[float, int]:
    return happened.at, happened.count


def _union(*several: Iterable[Secret]) -> tuple[Secret, ...]:
    return tuple(dict.fromkeys(each for one in several for each in one))


def _past_of(refresh_token: str) -> str:
    return digest_of(refresh_token)[:16]


def _remembering(row: Token, secrets: Iterable[Secret], how: str = "") -> Token:
    """Return a row that knows refresh tokens as some it had, or that were revoked."""
    had = [_past_of(value) + how for kind, value in secrets if kind == "refresh_token"]
    return row.with_renewal(past=_with_past(row.renewal.past, had))


def _with_past(past: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    """Return digests with more of them, but for the oldest that were not revoked."""
    both = dict.fromkeys((*past, *more))
    revoked = [each for each in both if each.endswith(_REVOKED)]
    plain = [each for each in both if each not in revoked and each + _REVOKED not in both]
    return (*revoked, *plain[-_MOST_PAST:])


def _lifetime(expires_at: float | None, now: float) -> float | None:
    """Return how long an access token that was just saved lives, in seconds."""
    return expires_at - now if expires_at is not None and expires_at > now else None


def duplicate_of(row: Token) -> DuplicateRefreshToken:
    """Return the error for a refresh token that another row has."""
    return DuplicateRefreshToken(
        "This refresh token is stored already, and a store has it once",
        token_id=row.id,
        user=row.user,
        hint="Save it for the user, client and environment of that row, or delete that row first",
    )


def conflict(
    token: Token, what: str, hint: str = "Read it again, then save what changed"
) -> StoreConflict:
    """Return the error for a token that is not any more, or not at all, what it was taken for."""
    return StoreConflict(what, token_id=token.id, user=token.user, hint=hint)
