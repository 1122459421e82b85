"""What becomes of a row of a source in a store: pure, and decided here alone."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from tokenkeep import notices, saving
from tokenkeep.lookup import FIXED
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Sequence


class Action(StrEnum):
    """What is done with a row."""

    NEW = "new"
    UPDATE = "update"
    NOTHING = "already there"
    SKIP = "skipped"
    FAILED = "failed"


class Verdict(NamedTuple):
    """
    What is to be done with a row, and why, without a secret.

    *there* is the row of the target that stands for it, None if none does; *writes* are
    rows of the target as they are to be.
    """

    action: Action
    reason: str | None = None
    there: Token | None = None
    writes: tuple[Token, ...] = ()


def judge(row: Token, found: Sequence[Token], *, replace: bool, revokes_grant: bool) -> Verdict:
    """
    Say what is done with a row in the target.

    Of the same login, what was revoked on either side stays revoked; else
    what was written last counts, by the clocks of those who wrote it. Another
    login in the target stays, unless it is of no use any more, or the source's
    row had it before and has got its own since the target's was written. Where no
    single row of the target can stand for the source's, nothing is done, and the
    reason says what is in the way.

    *found* are rows of the target that a save of this one would look at. With *replace*,
    another login takes the place of the target's.
    """
    met = [each for each in found if each.id == row.id or _meets(row, each)]
    if not met:
        return Verdict(Action.NEW)
    wrong = [each for each in met if not saving.same_thing(each, row)]
    if row.status is Status.REVOKED and not wrong:
        return _of_a_revoked(row, met)
    there = met[0]
    if len(met) > 1 or (row.user and not there.user):
        # One of them says less of what it is for.
        wrong.append(min(met, key=lambda t: sum(bool(getattr(t, n)) for n in FIXED)))
    if wrong:
        whose = f" of {wrong[0].user}" if wrong[0].user else ""
        has = f"the target has its refresh token, or its id, in token {wrong[0].id}{whose}"
        return Verdict(Action.SKIP, f"{has}: delete the wrong one, then run this again")
    if _is_one_login(row, there):
        action, reason = _of_one_login(row, there)
    else:
        action, reason = _of_two_logins(row, there, replace=replace)
    if action is Action.UPDATE:
        return Verdict(
            action, reason, there, (_with_login_of(there, row, revokes_grant=revokes_grant),)
        )
    is_same = row.status is there.status and row.refresh_token == there.refresh_token
    if action is Action.NOTHING and is_same and row.refresh_token:
        kept = saving.taken(there, row, revokes_grant=revokes_grant)
        if kept != there:
            along = "what the source has to revoke goes along"
            return Verdict(Action.UPDATE, along, there, (kept,))
    return Verdict(action, reason, there)


def arrived(row: Token) -> Token:
    """Return a row that nobody in the target renews, or has looked for others of, yet."""
    # Given from outside: the source's store may go on with it.
    own = {"claim": None, "renewed_at": None, "renewed_by": None}
    return row.with_renewal(**own, given=True, notice=notices.moved(row.renewal.notice))


def _meets(row: Token, there: Token) -> bool:
    """Tell whether two rows can't both be in a store: for the same, of one login, or unnamed."""
    is_the_same = all(getattr(row, name) == getattr(there, name) for name in FIXED)
    is_one = is_the_same or there.user is None or _is_one_login(row, there)
    return is_one or saving.had_login(there, row)


def _is_one_login(row: Token, there: Token) -> bool:
    """Tell whether two rows come from one login; a provider may have rotated since."""
    if row.renewal.login is not None and row.renewal.login == there.renewal.login:
        return True
    mine, its = (t.refresh_token or t.grant_token or t.access_token for t in (row, there))
    return mine is not None and mine == its


def _of_a_revoked(row: Token, met: Sequence[Token]) -> Verdict:
    """Revoke all that the target has of its login; not another one of its user."""
    its = [each for each in met if _is_one_login(row, each) or saving.had_login(row, each)]
    if not its:
        has = "the target has another login of this user, the source's is revoked"
        return Verdict(Action.SKIP, has, met[0])
    # Not by the source's content: its refresh token may be in another row of the target.
    writes = tuple(
        saving.died(each, Status.REVOKED, written(row))
        for each in its
        if each.status is not Status.REVOKED
    )
    reason = "revoked in the source" if writes else None
    return Verdict(Action.UPDATE if writes else Action.NOTHING, reason, its[0], writes)


def _of_one_login(row: Token, there: Token) -> tuple[Action, str | None]:
    has_more = row.refresh_token and not saving.had_login(there, row)
    if has_more and there.status is Status.REVOKED:
        return Action.SKIP, "revoked in the target; the source has gone on: revoke it there too"
    if there.status is not Status.REVOKED and _is_later(row, there):
        return Action.UPDATE, "written later in the source"
    is_told = there.status not in (Status.OK, row.status)
    return Action.NOTHING, f"{there.status.value} in the target, and stays so" if is_told else None


def _of_two_logins(row: Token, there: Token, *, replace: bool) -> tuple[Action, str | None]:
    its, of = there.refresh_token, "another login"
    # Without a refresh token, it would bring back what was revoked or is dead.
    is_less = saving.is_older(there, row.refresh_token) or (its and not row.refresh_token)
    if is_less or row.status is not Status.OK:
        return Action.SKIP, f"the target has {of} of this user, the source's is older or of no use"
    had_it = saving.is_older(row, its) if its else row.id == there.id
    is_newer = had_it and (row.logged_in_at or 0.0) > written(there)
    is_dead = there.status is Status.LOGIN_NEEDED and bool(row.version)
    if replace or is_newer or is_dead:
        return Action.UPDATE, f"takes the place of {of} of this user"
    of = "a revoked login" if there.status is Status.REVOKED else of
    return Action.SKIP, f"the target has {of} of this user; --replace takes the source's"


def _is_later(row: Token, there: Token) -> bool:
    """Tell whether a row goes on, of two of one login: what is spent tells first."""
    mine, its = row.refresh_token, there.refresh_token
    if saving.is_older(row, its) is not saving.is_older(there, mine):
        return saving.is_older(row, its)
    return bool(row.version) and written(row) > written(there)


def _with_login_of(there: Token, row: Token, *, revokes_grant: bool) -> Token:
    """Return the target's row with the source's login and content; its id and user stay."""
    came, its = arrived(row).but(user=there.user), there.renewal
    if row.refresh_token != there.refresh_token:
        return saving.taken(there, came, revokes_grant=revokes_grant)
    # Who renews the target's row goes on: without its claim another one would ask as well.
    mints = tuple(sorted({*row.renewal.mints, *its.mints}))
    return saving.gone_on(there, came).with_renewal(claim=its.claim, mints=mints)


def written(token: Token) -> float:
    """Return when a row was written last, in epoch seconds. 0 if nobody knows."""
    return token.updated_at or token.created_at or 0.0
