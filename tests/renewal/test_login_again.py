"""RE-LOGIN: a save that brings tokens of another login."""

from __future__ import annotations

import pytest

from tokenkeep import Status, StoreConflict, StoreUnavailable


@pytest.fixture
def committed_in_silence(world, monkeypatch):
    """Let the next write be committed, run a step of others, and fail all the same."""

    def once(error, step):
        write = world.backend.write

        def broken(record, *, replaces):
            monkeypatch.undo()
            write(record, replaces=replaces)
            step()
            raise error

        monkeypatch.setattr(world.backend, "write", broken)

    return once


def test_committed_and_then_revoked(world, committed_in_silence):
    """Invariant 7: a driver that tries again by itself lifts no revocation that came after it."""
    error = StoreConflict("Another version")
    committed_in_silence(error, lambda: world.there.keeper.revoke(world.id))

    saved = world.login("login-2", "access-of-login-2", left=3600)

    assert saved.status is world.stored.status is Status.REVOKED
    assert world.stored.access_token is None


def test_outcome_unknown_then_another_login(world, committed_in_silence):
    """Invariant 7: what another login has written is not taken for one's own, nor written over."""
    committed_in_silence(
        StoreUnavailable("The connection broke"),
        lambda: world.login("login-3", "access-of-login-3", left=3600),
    )

    with pytest.raises(StoreUnavailable):
        world.login("login-2", "access-of-login-2", left=3600)

    assert world.stored.pair == ("access-of-login-3", "login-3/0")


def test_claim_of_a_process_that_logged_out_meanwhile(world):
    """A login ends a claim on the old tokens: nobody waits for it."""
    world.claim()

    world.login("login-2", "access-of-login-2", left=-1)
    world.get()

    assert world.clock.slept == []
    assert world.provider.sent == ["login-2/0"]
