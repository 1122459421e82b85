"""REVOKER: revoked here at once, and at the provider until it confirms."""

from __future__ import annotations

import pytest
from renewal_scenario import away, failing

from tokenkeep import (
    ProviderUnavailable,
    Status,
    StoreUnavailable,
    TokenNotFound,
    TokenRevoked,
)


@pytest.mark.parametrize("refresh_token", ["login-1/0", None])
def test_revoke(world, keeper, refresh_token):
    """
    Invariant 7: when `revoke` returns nobody hands the token out, warm caches or not.

    The row is revoked before the call, which may take long or fail; without a refresh token the
    access token is.
    """
    world.write(refresh_token=refresh_token, expires_at=world.clock.now() + 3600)
    world.get(world.there)
    seen, revoke = [], world.provider.revoke
    world.provider.revoke = lambda token: (seen.append(world.stored.status), revoke(token))

    revoked = keeper.revoke(world.id)

    assert seen == [Status.REVOKED]
    assert (revoked.status, revoked.access_token) == (Status.REVOKED, None)
    assert revoked.renewal.to_revoke == ()
    assert world.provider.revoked == [refresh_token or "access-1"]
    for actor in (world.here, world.there):
        with pytest.raises(TokenRevoked):
            world.get(actor)


def test_revoke_starts_over_on_a_conflict(world, keeper):
    """A renewal that is saved just before does not keep its tokens alive."""
    world.here.store.before["revoke"].append(lambda: world.login("login-2", "newer", left=3600))

    keeper.revoke(world.id)
    keeper.revoke(world.id)  # has nothing left to do

    assert world.stored.status is Status.REVOKED
    assert world.provider.revoked == ["login-1/0", "login-2/0"]


def test_revoke_provider_out_of_reach(world, keeper, monkeypatch):
    """Invariant 7: revoked here whatever the provider says; the sweep goes on trying there."""
    calls, down = [], failing(ProviderUnavailable("It did not answer"))
    with monkeypatch.context() as away:
        away.setattr(world.provider, "revoke", lambda token: calls.append(token) or down())
        revoked = keeper.revoke(world.id)
        assert len(calls) == 1  # no second one: that is a sweep's business
        assert revoked.renewal.to_revoke == (("refresh_token", "login-1/0"),)
        assert "revocation_pending" in world.here.names()
        with pytest.raises(TokenRevoked):
            world.get(world.there)
        assert world.there.keeper.sweep().unconfirmed == 1

    swept = world.there.keeper.sweep()

    assert (swept.revoked, swept.unconfirmed) == (1, 0)
    assert world.provider.dead == {"login-1"}
    assert world.stored.renewal.to_revoke == ()
    assert world.there.keeper.sweep().revoked == 0


def test_revoke_that_is_no_success(world, keeper):
    """What is not there, or can't be written, is an error: somebody expects it to be gone."""
    with pytest.raises(TokenNotFound):
        keeper.revoke("no such id")
    world.here.store.before["revoke"].append(away)
    with pytest.raises(StoreUnavailable):
        keeper.revoke(world.id)

    assert world.provider.revoked == []
