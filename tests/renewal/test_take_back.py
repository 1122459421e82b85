"""Fresh tokens nobody may use any more are revoked at the provider. Rule `laterevoke`."""

from __future__ import annotations

import pytest
from renewal_scenario import World

from tokenkeep import TokenNotFound, TokenRevoked


def test_rotated_token_of_a_revoked_row(rotating):
    """
    Invariant 7: a refresh token answered after the revocation dies at the provider as well.

    The one that the revoker sent there was spent by then and revoked nothing.
    """
    rotating.provider.during.append(lambda: rotating.there.keeper.revoke(rotating.id))

    with pytest.raises(TokenRevoked):
        rotating.get()

    assert {"login-1"} == rotating.provider.dead
    assert rotating.provider.revoked == ["login-1/0", "login-1/1"]


def test_rotated_token_of_a_deleted_row(rotating):
    """A refresh token that no row holds is not left alive at the provider."""
    rotating.provider.during.append(lambda: rotating.there.keeper.delete(rotating.id))

    with pytest.raises(TokenNotFound):
        rotating.get()

    assert rotating.provider.revoked == ["login-1/1"]


def test_access_token_of_a_revoked_row(world):
    """Without rotation the fresh access token is revoked; the refresh token was already."""
    world.provider.during.append(lambda: world.there.keeper.revoke(world.id))

    with pytest.raises(TokenRevoked):
        world.get()

    assert world.provider.revoked == ["login-1/0", "access-2"]


def test_access_token_of_a_deleted_row(world):
    """Deleting a row does not revoke its refresh token, not even by a late answer."""
    world.provider.during.append(lambda: world.there.keeper.delete(world.id))

    with pytest.raises(TokenNotFound):
        world.get()

    assert world.provider.revoked == ["access-2"]
    assert set() == world.provider.dead


def test_provider_out_of_reach(rotating):
    """Invariant 7: a fresh token that could not be revoked is kept until a sweep can."""

    def revoke():
        rotating.provider.unreachable = True
        rotating.there.keeper.revoke(rotating.id)

    rotating.provider.during.append(revoke)
    with pytest.raises(TokenRevoked):
        rotating.get()
    assert "revocation_pending" in rotating.here.names()
    assert set() == rotating.provider.dead

    rotating.provider.unreachable = False
    rotating.here.keeper.sweep()

    assert {"login-1"} == rotating.provider.dead
    assert list(rotating.here.journal.entries()) == []


@pytest.mark.parametrize("grant", [False, True], ids=["each by itself", "the whole consent"])
def test_its_user_logs_in_before_the_sweep(grant):
    """Invariant 7: nothing is revoked that would end the newer login, nor forgotten alive."""
    world = World(rotates=True, revokes_grant=grant)

    def delete():
        world.provider.unreachable = True
        world.there.keeper.delete(world.id)

    world.provider.during.append(delete)
    with pytest.raises(TokenNotFound):
        world.get()
    world.provider.unreachable = False
    newer = world.login("login-2", "newer", left=3600)

    world.here.keeper.sweep()

    assert list(world.here.journal.entries()) == []
    assert world.provider.revoked == ([] if grant else ["login-1/1"])
    assert world.here.keeper.get(id=newer.id).access_token == "newer"
    world.here.keeper.end(newer.id)
    assert {"login-1", "login-2"} == world.provider.dead
