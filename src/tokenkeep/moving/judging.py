"""What becomes of a row of one store in another: pure, and decided here alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tokenkeep.lookup import digest_of
from tokenkeep.rows import is_untouched_copy
from tokenkeep.saving import died, is_same_login
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Iterable

_FIRST_LOGIN = "the target is in the midst of its first login"
_LATER = "written later in the source"
STAYS_REVOKED = "revoked in the target, and stays so"


class Action(StrEnum):
    """What is done with a row."""

    NEW = "new"
    UPDATE = "update"
    NOTHING = "already there"
    SKIP = "skipped"
    FAILED = "failed"


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
    row: Token, there: Token | None, *, replace: bool, leads_to: Token | None = None
) -> Verdict:
    """
    Say what becomes of a row in the target.

    Of the same login, what was revoked on either side stays revoked; else
    what was written last counts, by the clocks of those who wrote it. Another
    login in the target stays, unless it is of no use any more, or is itself a
    copy with this id that nobody has written since, and older.

    Args:
        row: Of the source.
        there: What the target has of the same token, or of the same user. None
            if nothing.
        replace: Whether another login takes the place of the target's.
        leads_to: Where a pointer would lead in the target. None if nowhere, or
            if the row is none.
    """
    if row.status is Status.PENDING:
        return Verdict(action=Action.SKIP, reason="a first login that has not ended")
    if row.moved_to:
        return _pointer(row, there, leads_to)
    if there is None:
        return Verdict(action=Action.NEW, row=without_claim(row))
    if there.status is Status.PENDING:
        return Verdict(action=Action.SKIP, reason=_FIRST_LOGIN)
    if _is_one_login(row, there):
        return _newest(row, there)
    return _other_login(row, there, replace=replace)


def ended(row: Token, also: Iterable[tuple[str, str]], now: float) -> Token:
    """
    Return a row whose login was revoked in another row.

    Args:
        row: As it is.
        also: What the provider has to revoke for that other row.
        now: Epoch seconds.
    """
    to_revoke = (*row.renewal.to_revoke, *(x for x in also if x not in row.renewal.to_revoke))
    return died(row, Status.REVOKED, now).with_renewal(to_revoke=to_revoke)


def without_claim(row: Token) -> Token:
    """Return a row that nobody is renewing: whoever is, does it in the source."""
    return row.with_renewal(claim=None) if row.renewal.claim else row


def pointer(row: Token, owner: Token, now: float) -> Token:
    """
    Return a row that keeps an id of the source working in the target.

    Args:
        row: Of the source.
        owner: The row of the target that is the same user's.
        now: Epoch seconds.
    """
    return Token(
        id=row.id,
        # As good as any: nobody ever looks for it, and no other row has it.
        identity=digest_of(json.dumps(["copied", row.id])),
        provider=row.provider,
        status=Status.MOVED,
        moved_to=owner.id,
        created_at=row.created_at,
        updated_at=now,
    )


def _newest(row: Token, there: Token) -> Verdict:
    """Judge two rows of one login. That the target's came from a store does not say which one."""
    if _content(row) == _content(there):
        return Verdict(action=Action.NOTHING)
    if there.status is Status.REVOKED:
        if row.status is Status.REVOKED and _revokes_more(row, there):
            return _update(row, there, "the provider has to revoke the source's too")
        return Verdict(action=Action.NOTHING, reason=STAYS_REVOKED)
    if row.status is Status.REVOKED:
        return _update(_revoking(row, there), there, "revoked in the source")
    return _newer(row, there)


def _newer(row: Token, there: Token) -> Verdict:
    """Judge two living rows of one login."""
    mine, its = (_written(each) for each in (row, there))
    if bool(row.refresh_token) is not bool(there.refresh_token):
        # Without its refresh token a login ends within the hour.
        mine, its = float(bool(row.refresh_token)), float(bool(there.refresh_token))
    if mine > its:
        return _update(row, there, _LATER)
    if row.user and not there.user:
        named = there.but(user=row.user, identity=row.identity)
        return Verdict(action=Action.UPDATE, reason="gets its user", row=named)
    return Verdict(
        action=Action.NOTHING, reason="written later in the target" if mine < its else None
    )


def _revokes_more(row: Token, there: Token) -> bool:
    """Tell whether a revoked row knows a token to revoke that the target never had."""
    never_had = row.refresh_token != there.refresh_token
    return never_had and not set(row.renewal.to_revoke) <= set(there.renewal.to_revoke)


def _revoking(row: Token, there: Token) -> Token:
    """Return a revoked row that sees to the target's refresh token too, if it has rotated."""
    its, listed = there.refresh_token, row.renewal.to_revoke
    if its is None or its == row.refresh_token or ("refresh_token", its) in listed:
        return row
    return row.with_renewal(to_revoke=(*listed, ("refresh_token", its)))


def _other_login(row: Token, there: Token, *, replace: bool) -> Verdict:
    is_followed = row.id == there.id and is_untouched_copy(there)
    if is_followed and _written(row) > _written(there):
        return _update(row, there, _LATER)
    if row.status is Status.OK:
        if replace:
            return _update(row, there, "takes the place of another login of this user")
        if there.status is Status.LOGIN_NEEDED:
            return _update(row, there, "the target's login is of no use any more")
        of = "a revoked login" if there.status is Status.REVOKED else "another login"
        reason = f"the target has {of} of this user; --replace takes the source's"
        return Verdict(action=Action.SKIP, reason=reason)
    reason = f"the target has another login of this user, the source's is {row.status.value}"
    return Verdict(action=Action.SKIP, reason=reason)


def _pointer(row: Token, there: Token | None, leads_to: Token | None) -> Verdict:
    if leads_to is not None and leads_to.id == row.id:
        return Verdict(action=Action.SKIP, reason="the target has that user's token under this id")
    if there is None:
        return Verdict(action=Action.NEW, row=row)
    if there.moved_to or there.status is Status.REVOKED:
        # Revoked, it would forget as a pointer what the provider has still to revoke.
        return Verdict(action=Action.NOTHING, reason=None if there.moved_to else STAYS_REVOKED)
    if there.status is Status.PENDING:
        return Verdict(action=Action.SKIP, reason=_FIRST_LOGIN)
    # Its token is in the row it would lead to, or was in the source when it came from there.
    is_covered = leads_to is not None and (
        is_same_login(there, leads_to) or is_untouched_copy(there)
    )
    if there.user or _written(row) < _written(there) or not is_covered:
        return Verdict(action=Action.SKIP, reason="the target uses this id for a token of its own")
    changed = row.but(id=there.id, version=there.version, identity=there.identity)
    return Verdict(action=Action.UPDATE, reason="leads to its user's row now", row=changed)


def _update(row: Token, there: Token, reason: str) -> Verdict:
    """Return the target's row with the source's content; its id stays in use."""
    mine, its = row.renewal, there.renewal
    is_named = there.user is not None or row.user is None
    mints = {*mine.mints, *its.mints} if row.refresh_token == there.refresh_token else mine.mints
    to_revoke = (*its.to_revoke, *(each for each in mine.to_revoke if each not in its.to_revoke))
    changed = row.but(
        id=there.id,
        version=there.version,
        user=row.user or there.user,
        identity=there.identity if is_named else row.identity,
    )
    # Who renews the target's row goes on: without the claim another one would ask as well.
    goes_on = row.status is not Status.REVOKED and row.refresh_token == there.refresh_token
    claim = its.claim if goes_on else None
    changed = changed.with_renewal(claim=claim, mints=tuple(sorted(mints)), to_revoke=to_revoke)
    return Verdict(action=Action.UPDATE, reason=reason, row=changed)


def _is_one_login(row: Token, there: Token) -> bool:
    """Tell whether two rows come from one login; a provider may have rotated since."""
    if row.renewal.login is not None and row.renewal.login == there.renewal.login:
        return True
    return is_same_login(row, there)


def _content(token: Token) -> Token:
    """Return what counts of a row, wherever it is."""
    bare = token.but(id=None, version=None, identity=None, created_at=None, last_used_at=None)
    return bare.with_renewal(claim=None)


def _written(token: Token) -> float:
    return token.updated_at or token.created_at or 0.0
