"""What becomes of a row of one store in another: pure, and decided here alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenkeep import saving
from tokenkeep.importing.row import Action
from tokenkeep.lookup import credentials
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_STAYS_REVOKED = "revoked in the target, and stays so"
_LATER = "written later in the source"
_GOES_ALONG = "what the source has to revoke goes along"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    What is to be done with a row.

    Args:
        action: What.
        reason: Why, without a secret. None if there is nothing to say.
        row: What is written. None if nothing is.
    """

    action: Action
    reason: str | None = None
    row: Token | None = None


def judge(
    row: Token, there: Token | None, *, replace: bool, habits: saving.Habits | None = None
) -> Verdict:
    """
    Say what becomes of a row in the target.

    Of the same login, what was revoked on either side stays revoked; else
    what was written last counts, by the clocks of those who wrote it. Another
    login in the target stays, unless it is of no use any more, or the source's
    row had it before and has got its own since the target's was written.
    Whatever the source has still to revoke goes along.

    Args:
        row: Of the source; a deleted one, too (`Token.ended`).
        there: What the target has of the same token, or of the same user. None
            if nothing.
        replace: Whether another login takes the place of the target's.
        habits: What becomes of what a login replaces. None means `saving.Habits`.
    """
    habits = habits or saving.Habits()
    if there is None:
        return Verdict(action=Action.NEW, row=_on_arrival(row))
    was_its_own = row.status is Status.REVOKED and had_login(row, there)
    if was_its_own or is_one_login(row, there):
        return _of_one_login(row, there, habits)
    return _of_two_logins(row, there, habits, replace=replace)


def is_one_login(row: Token, there: Token) -> bool:
    """Tell whether two rows come from one login; a provider may have rotated since."""
    if row.renewal.login is not None and row.renewal.login == there.renewal.login:
        return True
    mine, its = (dict(credentials(each)) for each in (row, there))
    kinds = (kind for kind in ("refresh", "grant", "access") if kind in mine and kind in its)
    both = next(kinds, None)
    return both is not None and mine[both] == its[both]


def meets(row: Token, there: Token) -> bool:
    """Tell whether two rows can't both be in a store: for the same, of one login, or unnamed."""
    is_the_same = all(getattr(row, name) == getattr(there, name) for name in saving.FIXED)
    return is_the_same or is_one_login(row, there) or there.user is None


def had_login(row: Token, other: Token) -> bool:
    """Tell whether a row has, or had, the refresh token of another one."""
    has = other.refresh_token
    return has is not None and (row.refresh_token == has or saving.is_older(row, has))


def _of_one_login(row: Token, there: Token, habits: saving.Habits) -> Verdict:
    mine, its = (each.status is Status.REVOKED for each in (row, there))
    if mine and not its:
        # Not by the source's content: its refresh token may be in another row of the target.
        ended = saving.died(there, Status.REVOKED, max(_written(row), _written(there)))
        ended = _seeing_to(ended, row, habits)
        return Verdict(action=Action.UPDATE, reason="revoked in the source", row=ended)
    merged = _seeing_to(there, row, habits)
    if not its and _is_later(row, there):
        came = _with_login_of(merged, row, habits)
        return Verdict(action=Action.UPDATE, reason=_LATER, row=came)
    if merged is not there:
        return Verdict(action=Action.UPDATE, reason=_GOES_ALONG, row=merged)
    reason = None
    if not mine:
        is_older = _is_later(there, row)
        reason = _STAYS_REVOKED if its else "written later in the target" if is_older else None
    return Verdict(action=Action.NOTHING, reason=reason)


def _of_two_logins(row: Token, there: Token, habits: saving.Habits, *, replace: bool) -> Verdict:
    if row.ended or row.status is not Status.OK:
        is_over = row.ended or row.status is Status.REVOKED
        merged = _seeing_to(there, row, habits) if is_over else there
        if merged is not there:
            return Verdict(action=Action.UPDATE, reason=_GOES_ALONG, row=merged)
        its = "deleted" if row.ended else row.status.value
        reason = f"the target has another login of this user, the source's is {its}"
        return Verdict(action=Action.SKIP, reason=reason)
    if row.refresh_token and saving.is_older(there, row.refresh_token):
        reason = "the target's row had this login before, and has or had a newer one"
        return Verdict(action=Action.SKIP, reason=reason)
    if _follows(row, there):
        reason = _LATER
    elif replace:
        reason = "takes the place of another login of this user"
    elif there.status is Status.LOGIN_NEEDED:
        reason = "the target's login is of no use any more"
    else:
        of = "a revoked login" if there.status is Status.REVOKED else "another login"
        reason = f"the target has {of} of this user; --replace takes the source's"
        return Verdict(action=Action.SKIP, reason=reason)
    came = _with_login_of(there, row, habits)
    return Verdict(action=Action.UPDATE, reason=reason, row=came)


def _follows(row: Token, there: Token) -> bool:
    """Tell whether a row has logged in anew since what was copied of it was last written there."""
    had = there.refresh_token
    was_its_own = saving.is_older(row, had) if had else row.id == there.id
    return was_its_own and (row.logged_in_at or 0.0) > _written(there)


def _is_later(row: Token, there: Token) -> bool:
    """Tell whether a row goes on, of two of one login: what is spent or missing tells first."""
    if row.ended or there.ended:
        return there.ended
    mine, its = row.refresh_token, there.refresh_token
    if bool(mine) is not bool(its):
        return bool(mine)  # without its refresh token a login ends within the hour
    if mine and its and saving.is_older(row, its) is not saving.is_older(there, mine):
        return saving.is_older(row, its)
    return _written(row) > _written(there)


def _on_arrival(row: Token) -> Token:
    """Return a row that nobody in the target renews yet."""
    # Given from outside: the source's store may go on with it.
    return row.with_renewal(claim=None, given=True)


def _with_login_of(there: Token, row: Token, habits: saving.Habits) -> Token:
    """Return the target's row with the source's login and content; its id and user stay."""
    came, its = _on_arrival(row).but(user=there.user), there.renewal
    if row.refresh_token != there.refresh_token:
        taken = saving.taken(there, came, habits=habits)
        both = tuple(dict.fromkeys(taken.history))  # what happened before it was copied is in both
        return taken.but(history=both, unknown={**there.unknown, **row.unknown})
    return came.but(
        **{name: getattr(there, name) or getattr(came, name) for name in saving.FIXED},
        id=there.id,
        version=there.version,
        owner=there.owner,
        created_at=there.created_at,
        unknown={**there.unknown, **row.unknown},
        renewal=came.renewal.but(
            # Who renews the target's row goes on: without it another one would ask as well.
            claim=its.claim,
            mints=tuple(sorted({*row.renewal.mints, *its.mints})),
            past=tuple(dict.fromkeys((*its.past, *row.renewal.past))),
            to_revoke=its.to_revoke,
            replaced=its.replaced,
            took=its.took,
            unknown={**its.unknown, **row.renewal.unknown},
        ),
    )


def _seeing_to(kept: Token, other: Token, habits: saving.Habits) -> Token:
    """Return a row that sees to what another one has to revoke; itself if it does already."""
    secrets, replaced = other.renewal.to_revoke, other.renewal.replaced
    if kept.status is Status.REVOKED and other.status is not Status.REVOKED and not other.ended:
        secrets += saving.secrets_of(other)
    late = tuple(_unseen(secrets, kept))
    if late:
        kept = saving.superseded(kept, late, habits=habits)
    # Not revoked: what only the source's user has replaced may be in use here.
    replaced = tuple(_unseen(replaced, kept))
    if replaced:
        kept = kept.with_renewal(replaced=(*kept.renewal.replaced, *replaced))
    return kept


def _unseen(secrets: Iterable[saving.Secret], row: Token) -> Iterator[saving.Secret]:
    """Yield the refresh tokens that a row never had: what it had, it sees to, or is revoked."""
    listed = {*row.renewal.to_revoke, *row.renewal.replaced}
    for kind, value in secrets:
        is_known = (kind, value) in listed or value == row.refresh_token
        if kind == "refresh_token" and not is_known and not saving.is_older(row, value):
            yield kind, value


def _written(token: Token) -> float:
    return token.updated_at or token.created_at or 0.0
