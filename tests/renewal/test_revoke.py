"""REVOKER: revoked here at once, and at the provider until it confirms."""

from __future__ import annotations

import pytest
from renewal_scenario import World, away, failing

from tokenkeep import ProviderUnavailable, Status, StoreUnavailable, TokenNotFound, TokenRevoked


def test_revoke(world, keeper):
    """Invariant 7: when `revoke` returns nobody hands the token out, warm caches or not."""
    world.there.keeper.get(id=world.id)

    revoked = keeper.revoke(world.id)

    assert (revoked.status, revoked.access_token) == (Status.REVOKED, None)
    assert revoked.renewal.to_revoke == ()
    assert world.provider.dead == {"login-1"}
    for actor in (world.here, world.there):
        with pytest.raises(TokenRevoked):
            world.get(actor)


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


def test_revoke_access_token_only(world, keeper):
    """A token without a refresh token is revoked by its access token."""
    world.write(refresh_token=None)

    keeper.revoke(world.id)

    assert world.provider.revoked == ["access-1"]


def test_revoke_that_is_no_success(world, keeper):
    """What is not there, or can't be written, is an error: somebody expects it to be gone."""
    with pytest.raises(TokenNotFound):
        keeper.revoke("no such id")
    world.here.store.before["revoke"].append(away)
    with pytest.raises(StoreUnavailable):
        keeper.revoke(world.id)

    assert world.provider.revoked == []


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("grant", [False, True], ids=["each by itself", "the whole consent"])
def test_a_login_before_it_is_confirmed(grant, twice):
    """What was revoked here is revoked there, unless that would end the new login as well."""
    world = World(revokes_grant=grant)
    world.provider.unreachable = True
    world.here.keeper.revoke(world.id)
    world.login("login-2", "newer", left=3600)
    if twice:
        world.here.keeper.revoke(world.id)
    world.provider.unreachable = False

    assert world.here.keeper.sweep().revoked == (twice or not grant)

    old = [] if grant and not twice else ["login-1/0"]
    assert world.provider.revoked == [*old, *["login-2/0"] * twice]
    left = (Status.REVOKED, None) if twice else (Status.OK, "newer")
    assert left == (world.stored.status, world.stored.access_token)
    assert world.stored.renewal.to_revoke == ()


# What is cached


def test_own_write_ends_what_is_cached(world):
    """A process never hands out what it has replaced itself, however long others may be stale."""
    world.login(left=3600)
    vault = world.here.store.vault
    world.backend.revision = lambda: None  # as a server, which has no change counter
    assert world.get().access_token == "access-1"
    world.clock.advance(61)

    renewed = world.here.keeper.rejected(world.id, "access-1")

    assert vault.find_token_by_id(world.id).access_token == renewed.access_token == "access-2"
    world.here.keeper.revoke(world.id)
    assert vault.find_token_by_id(world.id).status is Status.REVOKED
    vault.delete_tokens()
    assert vault.find_token_by_id(world.id) is None


def test_reader_in_between(world):
    """A reader that began before a write and ends after it does not bring the old token back."""
    world.login(left=3600)
    vault = world.here.store.vault
    world.backend.revision = lambda: None
    read = world.backend.read

    def slow_read(record_id):
        record = read(record_id)
        world.backend.read = read
        vault.swap(vault.reread(world.id).but(access_token="access-9"))
        return record

    world.backend.read = slow_read
    vault.find_token_by_id(world.id)

    assert vault.find_token_by_id(world.id).access_token == "access-9"
