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


def test_answer_of_a_row_that_is_gone(killing):
    """Saved anew, its login has a row again: the answer that waited to be taken back is its."""

    def delete():
        killing.beside.keeper.delete(killing.id)
        killing.provider.unreachable = True

    killing.provider.during.append(delete)
    with pytest.raises(TokenNotFound):
        killing.get()
    killing.provider.unreachable = False
    killing.id = killing.login().id

    assert killing.get().pair == killing.stored.pair == ("access-2", "login-1/1")
    assert killing.provider.sent == ["login-1/0"]
    assert killing.here.keeper.sweep().saved == 0
    assert set() == killing.provider.dead
