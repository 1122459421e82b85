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
    That is noted first, as the desk may be stopped or somebody may log in
    while Zoho takes its time; and afterwards, for whoever did so in between
    and was revoked as well.

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
        ledger.end_login(token_id, login.since)
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
    # A row that Zoho has not confirmed stays: it says what a sweep has still to revoke.
    is_confirmed = not token.renewal.to_revoke
    if is_confirmed:
        is_over = _deleted(keeper, token_id, token)
    else:
        is_over = _version(keeper, token_id) == token.version
    if is_over:
        with _said():
            ledger.end_login(token_id, ledger.login_since(token_id))
        if is_confirmed:
            ledger.forget(token_id)
    return is_confirmed


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
            stored = keeper.store.find_token_by_id(token_id)
            if stored is None or stored.status is not Status.REVOKED:
                return stored is None
            revoked = stored  # sealed anew, or the like
        except StoreUnavailable:
            return True  # revoked all the same; only the row is left
        else:
            return True
    return True


def _version(keeper: Keeper, token_id: str) -> str | None:
    stored = keeper.store.find_token_by_id(token_id)
    return None if stored is None else stored.version


def _take_back(keeper: Keeper, ledger: Ledger, login: Login) -> None:
    """Let what was not done have no consequences, where that can be told."""
    with suppress(StoreError):
        stored = keeper.store.find_token_by_id(login.token_id)
        if stored is not None and stored.status is Status.OK:
            ledger.go_on_with_login(login.token_id, login.since)
