"""What is revoked or deleted while somebody renews it is not handed out by that caller."""

from __future__ import annotations

import pytest
from renewal_scenario import World

from tokenkeep import ProviderUnavailable, StoreUnavailable, TokenNotFound, TokenRevoked

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


def full(world):
    """Let the store be read only, as on a full disk."""

    def refuse(record, *, replaces):  # noqa: ARG001  # the interface's
        raise StoreUnavailable("The disk is full")

    world.backend.write = refuse


@pytest.mark.parametrize("wait", [0.0, 30.0, 300.0, 1800.0])
def test_unsaved_answer_goes_on_being_handed_out(world, wait):
    """Invariant 4: the journal's answer serves this host's callers while the store is full."""
    world.here.store.before["save"].append(lambda: full(world))
    assert world.get().access_token == "access-2"
    world.clock.advance(wait)

    for actor in (world.here, world.beside):
        assert world.get(actor).access_token == "access-2"
    assert len(world.provider.sent) == 1


def test_unsaved_answer_is_saved_as_soon_as_it_can_be(world):
    """The same answer is written once the store takes it, and the journal is empty."""
    backend_write = world.backend.write
    world.here.store.before["save"].append(lambda: full(world))
    world.get()
    world.clock.advance(400.0)
    world.backend.write = backend_write

    assert world.get(world.beside).access_token == "access-2"
    assert world.stored.access_token == "access-2"
    assert list(world.here.journal.entries()) == []
    assert len(world.provider.sent) == 1


def test_answer_of_a_row_that_is_gone_holds_no_other_up(world):
    """What only waits to be taken back is left to the sweep: one try a sweep, none a caller."""

    def delete():
        world.beside.keeper.delete(world.id)
        world.provider.unreachable = True

    world.provider.during.append(delete)
    with pytest.raises(TokenNotFound):
        world.get()
    world.id = world.login().id
    world.write_renewal(mints=())
    tried = []
    revoke = world.provider.revoke
    world.provider.revoke = lambda token: tried.append(token) or revoke(token)

    assert world.get().access_token == "access-3"
    assert tried == []
    world.provider.unreachable = False
    world.here.keeper.sweep()
    assert world.provider.revoked == ["access-2"]
