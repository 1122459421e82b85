"""What is revoked or deleted while somebody renews it is not handed out by that caller."""

from __future__ import annotations

import pytest
from renewal_scenario import World

from tokenkeep import ProviderUnavailable, TokenNotFound, TokenRevoked

SOON = 200.0
"""Time left inside the advisory window: the old access token would still be good."""


@pytest.mark.parametrize("rotates", [False, True])
@pytest.mark.parametrize("gone", ["revoke", "delete"])
@pytest.mark.parametrize("when", ["in the call", "in a call that fails", "before the claim"])
def test_taken_back_during_an_early_renewal(rotates, gone, when):
    """Invariant 7: from the commit on nobody gets it, also who read it before."""
    world = World(rotates=rotates)
    world.write(expires_at=world.clock.now() + SOON)

    def take_back():
        getattr(world.beside.keeper, gone)(world.id)

    if when == "before the claim":
        world.here.store.before["claim"].append(take_back)
    else:
        world.provider.during.append(take_back)
    if when == "in a call that fails":
        world.provider.lost.append(ProviderUnavailable("It did not answer"))

    with pytest.raises(TokenRevoked if gone == "revoke" else TokenNotFound):
        world.get()


def test_early_renewal_of_another_thread(world):
    """Who finds another thread at it gets the old token, read again."""
    world.write(expires_at=world.clock.now() + SOON)
    seen = []
    world.provider.during.append(lambda: seen.append(world.here.keeper.get(id=world.id)))

    world.get()

    assert [token.access_token for token in seen] == ["access-1"]


def test_answer_of_a_row_that_is_gone_holds_no_other_up():
    """What only waits to be taken back is left to the sweep: no caller tries it."""
    world = World(revokes_grant=False)

    def delete():
        world.beside.keeper.delete(world.id)
        world.provider.unreachable = True

    world.provider.during.append(delete)
    with pytest.raises(TokenNotFound):
        world.get()
    world.id = world.login().id  # the same login, saved anew
    revoke = world.provider.revoke
    world.provider.revoke = lambda _: pytest.fail("a caller asked for a revocation")

    assert world.get().access_token == "access-3"

    world.provider.revoke, world.provider.unreachable = revoke, False
    world.here.keeper.sweep()
    assert world.provider.revoked == ["access-2"]
