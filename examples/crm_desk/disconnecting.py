"""How a login ends for good: at Zoho, in the store, and in all browsers."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tokenkeep import Status
from tokenkeep.errors import StoreError, StoreUnavailable, TokenKeepError, TokenNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crm_desk.ledger import Ledger
    from crm_desk.sessions import Login
    from tokenkeep import Keeper


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
    ids, is_confirmed = {token_id}, True
    try:
        ended = keeper.end(token_id)
    except TokenNotFound:
        pass
    except TokenKeepError:
        _take_back(keeper, ledger, login)
        raise
    else:
        ids.add(str(ended.id))  # a session may have another one
        is_confirmed = not ended.renewal.to_revoke
    # Before anybody looks who has logged in since: who does after that look is not meant.
    over = {each: _since(ledger, each, login) for each in ids}
    is_gone = _is_gone(keeper, token_id)
    if not is_gone:
        over[token_id] = login.since
    with _said():
        for each, since in over.items():
            ledger.end_login(each, since)
    if is_gone:
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


def _is_gone(keeper: Keeper, token_id: str) -> bool:
    """Tell whether nobody has logged in again meanwhile: that login stays."""
    try:
        return keeper.store.reread(token_id) is None
    except StoreUnavailable:
        return True


def _take_back(keeper: Keeper, ledger: Ledger, login: Login) -> None:
    """Let what was not done have no consequences, where that can be told."""
    with suppress(StoreError):
        stored = keeper.store.reread(login.token_id)
        if stored is not None and stored.status is Status.OK:
            ledger.go_on_with_login(login.token_id, login.since)
