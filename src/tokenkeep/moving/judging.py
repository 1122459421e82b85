"""What becomes of a row of a source in a store: pure, and decided here alone."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import TYPE_CHECKING

from tokenkeep import saving
from tokenkeep.lookup import credentials
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LATER = "written later in the source"
_GOES_ALONG = "what the source has to revoke goes along"


class Action(StrEnum):
    """What is done with a row."""

    NEW = "new"
    UPDATE = "update"
    NOTHING = "already there"
    SKIP = "skipped"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with a row, and why, without a secret."""

    action: Action
    reason: str | None = None
    row: Token | None = None
    """What is written, if anything is."""
    there: Token | None = None
    """The row of the target that this is about, if about any."""
    named: Token | None = None
    """Like which row *there* is to get its user. None if it stays as it is."""


def judge(
    row: Token, met: Sequence[Token], *, replace: bool, revokes_grant: bool = True
) -> Verdict:
    """
    Say what is done next with a row in the target; after an update of several, judge again.

    Of the same login, what was revoked on either side stays revoked; else
    what was written last counts, by the clocks of those who wrote it. Another
    login in the target stays, unless it is of no use any more, or the source's
    row had it before and has got its own since the target's was written.
    Whatever the source has still to revoke goes along. A row without a version
    only adds whose it is, and a client secret or refresh token where there is none.

    A deleted *row* (`Token.ended`) is judged, too; *met* is what it `meets`. With *replace*,
    another login takes the place of the target's. *revokes_grant* is as for `saving.plan`.
    """
    if not met:
        return Verdict(Action.NEW)
    is_dead = row.ended or row.status is Status.REVOKED
    own = [each for each in met if row.user and each.user == row.user]
    others = [each for each in met if each not in own]
    strange = [each for each in met if not saving.same_thing(each, row)]
    for each in strange or ([] if is_dead else [*own[1:], *others[1:]]):
        whose = f" of {each.user}" if each.user else ""
        has = f"the target has its refresh token, or its id, in token {each.id}{whose}"
        return Verdict(Action.SKIP, has)
    first, *more = (
        _beside(row, there, revokes_grant=revokes_grant, replace=replace)
        for there in (*others, *own)
    )
    if is_dead or not more:
        return next((each for each in (first, *more) if each.action is Action.UPDATE), first)
    (second,) = more
    if second.action is Action.SKIP or others[0].status is Status.REVOKED:
        return second if second.action is Action.SKIP else first
    # The login of a row without a name goes into its user's, as in any save.
    reason = second.reason if second.action is Action.UPDATE else "adds user"
    return Verdict(Action.UPDATE, reason, there=others[0], named=own[0])


def meets(row: Token, there: Token) -> bool:
    """Tell whether two rows can't both be in a store: for the same, of one login, or unnamed."""
    is_the_same = all(getattr(row, name) == getattr(there, name) for name in saving.FIXED)
    return is_the_same or _is_one_login(row, there) or there.user is None


def had_login(row: Token, other: Token) -> bool:
    """Tell whether a row has, or had, the refresh token of another one."""
    has = other.refresh_token
    return has is not None and (row.refresh_token == has or saving.is_older(row, has))


def arrived(row: Token) -> Token:
    """Return a row that nobody in the target renews, or has looked for others of, yet."""
    # Given from outside: the source's store may go on with it.
    own = {"claim": None, "renewed_at": None, "renewed_by": None}
    return row.with_renewal(**own, given=True)


def _is_one_login(row: Token, there: Token) -> bool:
    """Tell whether two rows come from one login; a provider may have rotated since."""
    if row.renewal.login is not None and row.renewal.login == there.renewal.login:
        return True
    mine, its = (dict(credentials(each)) for each in (row, there))
    both = [kind for kind in ("refresh", "grant", "access") if kind in mine and kind in its]
    return bool(both) and mine[both[0]] == its[both[0]]


def _beside(row: Token, there: Token, *, revokes_grant: bool, replace: bool) -> Verdict:
    """Judge a row beside one of the target."""
    if _is_one_login(row, there) or (row.status is Status.REVOKED and had_login(row, there)):
        verdict = _of_one_login(row, there, revokes_grant=revokes_grant)
    else:
        verdict = _of_two_logins(row, there, revokes_grant=revokes_grant, replace=replace)
    left = verdict.row or there
    lacks = verdict.action is Action.UPDATE and saving.fills(left, row)
    is_named = lacks and left.status is Status.OK and not row.ended
    return dataclasses.replace(verdict, there=there, named=row if is_named else None)


def _of_one_login(row: Token, there: Token, *, revokes_grant: bool) -> Verdict:
    if row.status is Status.REVOKED and there.status is not Status.REVOKED:
        # Not by the source's content: its refresh token may be in another row of the target.
        ended = saving.died(there, Status.REVOKED, max(_written(row), _written(there)))
        return Verdict(
            Action.UPDATE,
            "revoked in the source",
            _seeing_to(ended, row, revokes_grant=revokes_grant),
        )
    # The provider may have rotated what was revoked here.
    late = () if row.ended or row.status is there.status else saving.secrets_of(row)
    late = late if there.status is Status.REVOKED else ()
    kept = _seeing_to(there, row, late, revokes_grant=revokes_grant)
    if there.status is not Status.REVOKED and _is_later(row, there):
        return Verdict(
            Action.UPDATE, _LATER, _with_login_of(kept, row, revokes_grant=revokes_grant)
        )
    if kept is not there:
        return Verdict(Action.UPDATE, _GOES_ALONG, kept)
    names = (*saving.FIXED, "client_secret")
    lacks = sorted(name for name in names if getattr(row, name) and not getattr(there, name))
    if lacks and there.status is Status.OK:
        # What it is for is for a save to add.
        came = there.but(client_secret=row.client_secret) if "client_secret" in lacks else None
        return Verdict(Action.UPDATE, f"adds {', '.join(lacks)}", came)
    if there.status not in (Status.OK, row.status):
        return Verdict(Action.NOTHING, f"{there.status.value} in the target, and stays so")
    is_later = there.status is Status.OK and _is_later(there, row)
    return Verdict(Action.NOTHING, "written later in the target" if is_later else None)


def _of_two_logins(row: Token, there: Token, *, revokes_grant: bool, replace: bool) -> Verdict:
    if row.ended or row.status is not Status.OK:
        kept = _seeing_to(there, row, revokes_grant=revokes_grant)
        if kept is not there:
            return Verdict(Action.UPDATE, _GOES_ALONG, kept)
        what = "deleted" if row.ended else row.status.value
        has = f"the target has another login of this user, the source's is {what}"
        return Verdict(Action.SKIP, has)
    if row.refresh_token and saving.is_older(there, row.refresh_token):
        had = "the target's row had this login before, and has or had a newer one"
        return Verdict(Action.SKIP, had)
    its = there.refresh_token
    if its and not row.refresh_token:
        # It would bring back, with another access token, what was revoked or is dead.
        return Verdict(Action.SKIP, "the target has a refresh token, the source has none")
    had_it = saving.is_older(row, its) if its else row.id == there.id
    if had_it and (row.logged_in_at or 0.0) > _written(there):
        reason = _LATER
    elif replace:
        reason = "takes the place of another login of this user"
    elif there.status is Status.LOGIN_NEEDED and row.version:
        reason = "the target's login is of no use any more"
    else:
        of = "a revoked login" if there.status is Status.REVOKED else "another login"
        has = f"the target has {of} of this user; --replace takes the source's"
        return Verdict(Action.SKIP, has)
    return Verdict(Action.UPDATE, reason, _with_login_of(there, row, revokes_grant=revokes_grant))


def _is_later(row: Token, there: Token) -> bool:
    """Tell whether a row goes on, of two of one login: what is spent or missing tells first."""
    if row.ended or there.ended:
        return there.ended
    mine, its = row.refresh_token, there.refresh_token
    if bool(mine) is not bool(its):
        return bool(mine)  # without its refresh token a login ends within the hour
    if mine and its and saving.is_older(row, its) is not saving.is_older(there, mine):
        return saving.is_older(row, its)
    return bool(row.version and there.version) and _written(row) > _written(there)


def _with_login_of(there: Token, row: Token, *, revokes_grant: bool) -> Token:
    """Return the target's row with the source's login and content; its id and user stay."""
    came, its = arrived(row).but(user=there.user), there.renewal
    if row.refresh_token != there.refresh_token:
        return saving.taken(there, came, revokes_grant=revokes_grant)
    # Who renews the target's row goes on: without its claim another one would ask as well.
    mints = tuple(sorted({*row.renewal.mints, *its.mints}))
    return saving.gone_on(there, came).with_renewal(claim=its.claim, mints=mints)


def _seeing_to(
    kept: Token, other: Token, more: tuple[saving.Secret, ...] = (), *, revokes_grant: bool
) -> Token:
    """Return a row that sees to what another one has to revoke; itself if it does already."""
    if late := _unseen((*other.renewal.to_revoke, *more), kept):
        kept = saving.superseded(kept, late, revokes_grant=revokes_grant)
    # Not revoked: what only the source's user has replaced may be in use here.
    replaced = _unseen(other.renewal.replaced, kept)
    return kept.with_renewal(replaced=kept.renewal.replaced + replaced) if replaced else kept


def _unseen(secrets: Iterable[saving.Secret], row: Token) -> tuple[saving.Secret, ...]:
    """Return the refresh tokens that a row never had: what it had, it sees to, or is revoked."""
    listed = {*row.renewal.to_revoke, *row.renewal.replaced, ("refresh_token", row.refresh_token)}
    return tuple(
        each
        for each in secrets
        if each[0] == "refresh_token" and each not in listed and not saving.is_older(row, each[1])
    )


def _written(token: Token) -> float:
    return token.updated_at or token.created_at or 0.0
