"""REVOKER: revoked here at once, and at the provider until it confirms."""

from __future__ import annotations

import pytest

from tokenkeep import Status, StoreUnavailable, TokenNotFound, TokenRevoked, UnknownName


def test_revoke(world, keeper):
    """Invariant 7: when `revoke` returns nobody hands the token out, warm caches or not."""
    world.there.keeper.get(id=world.id)

    revoked = keeper.revoke(world.id)

    assert (revoked.status, revoked.access_token) == (Status.REVOKED, None)
    assert revoked.renewal.to_revoke == ()
    assert world.provider.dead == {"login-1"}
    for actor in (world.here, world.there):
        with pytest.raises(TokenRevoked):
            actor.keeper.get(id=world.id)


def test_revoke_is_acknowledged_before_the_provider_is_asked(world, keeper, monkeypatch):
    """Invariant 7: the row is revoked before the call that may take long or fail."""
    seen = []
    monkeypatch.setattr(world.provider, "revoke", lambda _: seen.append(world.stored.status))

    keeper.revoke(world.id)

    assert seen == [Status.REVOKED]


def test_revoke_starts_over_on_a_conflict(world, keeper):
    """A renewal that is saved just before does not keep its tokens alive."""
    world.here.store.before["revoke"].append(lambda: world.login("login-2", "newer", left=3600))

    keeper.revoke(world.id)

    assert world.stored.status is Status.REVOKED
    assert world.provider.revoked == ["login-1/0", "login-2/0"]


def test_revoke_provider_out_of_reach(world, keeper):
    """Invariant 7: revoked here whatever the provider says; the sweep goes on trying there."""
    world.provider.unreachable = True
    revoked = keeper.revoke(world.id)
    assert revoked.renewal.to_revoke == (("refresh_token", "login-1/0"),)
    assert "revocation_pending" in world.here.names()
    with pytest.raises(TokenRevoked):
        world.get(world.there)
    assert world.there.keeper.sweep().unconfirmed == 1

    world.provider.unreachable = False
    swept = world.there.keeper.sweep()

    assert (swept.revoked, swept.unconfirmed) == (1, 0)
    assert world.provider.dead == {"login-1"}
    assert world.stored.renewal.to_revoke == ()
    assert world.there.keeper.sweep().revoked == 0


def test_revoke_twice(world, keeper):
    """A second `revoke` is silent, and asks the provider only if that is still to be done."""
    keeper.revoke(world.id)
    keeper.revoke(world.id)

    assert world.provider.revoked == ["login-1/0"]


def test_revoke_access_token_only(world, keeper):
    """A token without a refresh token is revoked by its access token."""
    world.write(refresh_token=None)

    keeper.revoke(world.id)

    assert world.provider.revoked == ["access-1"]


def test_revoke_unknown(keeper):
    """Revoking what is not there is an error: somebody expects it to be gone."""
    with pytest.raises(TokenNotFound):
        keeper.revoke("no such id")


def test_provider_that_is_not_configured_any_more(world, keeper, monkeypatch):
    """A revocation there is reported, not raised, and stays to be done."""

    def unknown(_):
        raise UnknownName("There is no provider 'gone'")

    monkeypatch.setattr(keeper.providers, "of", unknown)

    assert keeper.revoke(world.id).status is Status.REVOKED
    assert "revocation_pending" in world.here.names()
    assert world.stored.renewal.to_revoke


def test_revoke_that_can_t_be_written(world, keeper):
    """Without a commit there is no acknowledgement, and the provider is not asked."""
    world.here.store.refused.append("revoke")

    with pytest.raises(StoreUnavailable):
        keeper.revoke(world.id)

    assert world.provider.revoked == []
