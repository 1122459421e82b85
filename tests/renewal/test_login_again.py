"""RE-LOGIN: a save that brings tokens of another login."""

from __future__ import annotations

import pytest
from renewal_scenario import failing

from tokenkeep import Status, StoreConflict, StoreUnavailable


def test_committed_and_then_revoked(world):
    """Invariant 7: a driver that tries again by itself lifts no revocation that came after it."""
    fails = failing(StoreConflict("Another version"))
    world.after_write(1, lambda: (world.there.keeper.revoke(world.id), fails()))

    saved = world.login("login-2", "newer", left=3600)

    assert saved.status is world.stored.status is Status.REVOKED
    assert world.stored.access_token is None


def test_outcome_unknown_then_another_login(world):
    """Invariant 7: what another login has written is not taken for one's own, nor written over."""
    fails = failing(StoreUnavailable("The connection broke"))
    world.after_write(1, lambda: (world.login("login-3", "newest", left=3600), fails()))

    with pytest.raises(StoreUnavailable):
        world.login("login-2", "newer", left=3600)

    assert world.stored.pair == ("newest", "login-3/0")


def test_claim_of_a_process_that_logged_out_meanwhile(world):
    """A login ends a claim on the old tokens: nobody waits for it."""
    world.claim()

    world.login("login-2", "newer", left=-1)
    world.get()

    assert world.clock.slept == []
    assert world.provider.sent == ["login-2/0"]
