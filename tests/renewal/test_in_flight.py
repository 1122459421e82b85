"""Revocation, deletion and a new login while a call is on its way, at the real endpoints."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tokenkeep import Status, TokenKeepError, TokenNotFound, TokenRevoked

ROTATIONS = ("none", "rotate", "rotate_reuse_kills", "rotate_grace")
every_rotation = pytest.mark.parametrize("fleet", ROTATIONS, indirect=True)


def meanwhile(fleet, act):
    """Act in another process's place while the provider has answered and nobody has saved."""
    keeper = fleet.keeper()
    held = fleet.held_up()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(keeper.get, id=fleet.id)
        assert held.wait(30)
        fleet.wait_for_mint()
        act()
        fleet.release()
        try:
            return asked.result()
        except TokenKeepError as exc:
            return exc


def refresh_tokens_alive(fleet):
    """Return how many refresh tokens work at the provider."""
    return sum(login["status"] == "active" for login in fleet.zoho.state()["logins"])


@every_rotation
def test_revoked(fleet):
    """Invariant 7: revoked here while an answer is on its way is revoked there, too."""
    result = meanwhile(fleet, lambda: fleet.keeper().revoke(fleet.id))

    assert isinstance(result, TokenRevoked)
    assert fleet.stored.status is Status.REVOKED
    assert fleet.stored.access_token is None
    assert refresh_tokens_alive(fleet) == 0


def test_revoked_by_another_process(fleet):
    """Invariant 7: from the commit on no running process hands the token out any more."""
    good = fleet.store.swap(fleet.stored.but(expires_at=fleet.stored.expires_at + 10_000))
    running = fleet.start()
    assert running.get()["access_token"] == good.access_token
    revoker = fleet.start()
    revoker.ask("revoke")
    assert revoker.told()["status"] == "revoked"

    assert running.get()["error"] == "TokenRevoked"
    assert fleet.calls == 0


def test_revoked_in_the_same_process(fleet):
    """Invariant 7: a warm cache does not survive the process's own revocation."""
    keeper = fleet.keeper()
    keeper.get(id=fleet.id)
    keeper.get(id=fleet.id)
    keeper.revoke(fleet.id)

    for question in ({"id": fleet.id}, {"user": fleet.first.user}):
        with pytest.raises(TokenRevoked):
            keeper.get(**question)


@every_rotation
def test_deleted(fleet):
    """Invariant 7: a row deleted meanwhile is not made again."""
    result = meanwhile(fleet, lambda: fleet.keeper().delete(fleet.id))

    assert isinstance(result, TokenNotFound)
    assert list(fleet.keeper().tokens()) == []


@every_rotation
def test_logged_in_again(fleet):
    """Invariant 7: a new login stays, with both its tokens, whatever answer is still coming."""
    logins = []
    result = meanwhile(fleet, lambda: logins.append(fleet.login(left=3600.0)))

    assert result.pair == fleet.stored.pair == logins[0].pair
    assert fleet.works(fleet.stored)


def test_consent_withdrawn(fleet):
    """Invariant 5: only the provider's rejection of the stored token leads to login_needed."""
    fleet.zoho.revoke()
    keeper = fleet.keeper()

    with pytest.raises(TokenKeepError, match="log in again"):
        keeper.get(id=fleet.id)

    assert fleet.stored.status is Status.LOGIN_NEEDED
    fleet.login(left=3600.0)
    assert fleet.works(keeper.get(id=fleet.id))


def test_provider_back_after_a_revocation(fleet):
    """Invariant 7: a revocation the provider could not be told is told by a later sweep."""
    fleet.zoho.stop()
    keeper = fleet.keeper()
    assert keeper.revoke(fleet.id).renewal.to_revoke
    with pytest.raises(TokenRevoked):
        keeper.get(id=fleet.id)
    fleet.zoho.start()

    assert keeper.sweep().revoked == 1
    assert refresh_tokens_alive(fleet) == 0
