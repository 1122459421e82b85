"""How a login ends for good: at Zoho, in the store, and in all browsers."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tokenkeep import Status
from tokenkeep.errors import (
    StoreConflict,
    StoreError,
    StoreUnavailable,
    TokenKeepError,
    TokenNotFound,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crm_desk.ledger import Ledger
    from crm_desk.sessions import Login
    from tokenkeep import Keeper, Token

_TRIES = 3


class NotNoted(StoreUnavailable):
    """It was revoked, and nobody could note that sessions from before are over."""


def disconnect(keeper: Keeper, ledger: Ledger, login: Login) -> bool:
    """
    Revoke a login at Zoho and delete it.

    Sessions from before don't come back with the next login of its person.
    That it is being ended is noted first, as the desk may be stopped or
    somebody may log in while Zoho takes its time; that it is over afterwards,
    for whoever did so in between and was revoked as well.

    Args:
        keeper: Of the store.
        ledger: Where it is noted.
        login: Which one, as the session has it.

    Returns:
        Whether Zoho has confirmed it. If not, a sweep goes on with it.

    Raises:
        NotNoted: See there; asked once more, it may be.
        TokenKeepError: It could not be revoked.
    """
    token_id = login.token_id
    with suppress(StoreUnavailable):  # no reason to leave it alive at Zoho
        ledger.begin_to_end_login(token_id, login.since)
    try:
        token = keeper.revoke(token_id)
    except TokenNotFound:
        with _said():
            ledger.end_login(token_id, login.since)
        ledger.forget(token_id)
        return True
    except TokenKeepError:
        _take_back(keeper, ledger, login)
        raise
    # Before anybody looks who has logged in since: who does after that look is not meant.
    over = {each: _since(ledger, each, login) for each in (str(token.id), token_id)}
    # A row that Zoho has not confirmed stays: it says what a sweep has still to revoke.
    is_confirmed = not token.renewal.to_revoke
    if is_confirmed:
        is_last = _deleted(keeper, token_id, token)
    else:
        stored = _stored(keeper, token_id, token)
        is_last = stored is None or stored.status is Status.REVOKED
    if not is_last:
        over[token_id] = login.since
    with _said():
        for each, since in over.items():
            ledger.end_login(each, since)
    if is_last and is_confirmed:
        ledger.forget(token_id)
    return is_confirmed


def _since(ledger: Ledger, token_id: str, login: Login) -> float:
    """Return since when what was revoked is good, at least as its session says."""
    try:
        return ledger.login_since(token_id)
    except StoreUnavailable:
        return login.since


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except StoreUnavailable as exc:
        raise NotNoted(str(exc)) from exc


def _deleted(keeper: Keeper, token_id: str, revoked: Token) -> bool:
    """Delete what was revoked; return False if somebody has logged in again: that is theirs."""
    for _ in range(_TRIES):
        try:
            keeper.delete(token_id, replaces=revoked.version)
        except StoreConflict:
            stored = _stored(keeper, token_id, revoked)
            if stored is None or stored.status is not Status.REVOKED:
                return stored is None
            revoked = stored  # sealed anew, or the like
        except StoreUnavailable:
            return True  # revoked all the same; only the row is left
        else:
            return True
    return True


def _stored(keeper: Keeper, token_id: str, revoked: Token) -> Token | None:
    """Return the token as it is stored now; where that can't be told, as it was last."""
    try:
        return keeper.store.reread(token_id)
    except StoreUnavailable:
        return revoked


def _take_back(keeper: Keeper, ledger: Ledger, login: Login) -> None:
    """Let what was not done have no consequences, where that can be told."""
    with suppress(StoreError):
        stored = keeper.store.reread(login.token_id)
        if stored is not None and stored.status is Status.OK:
            ledger.go_on_with_login(login.token_id, login.since)
