"""RE-LOGIN: a save that brings tokens of another login. Rule `nonce`."""

from __future__ import annotations

import pytest

from tokenkeep import Status, StoreConflict, StoreUnavailable


@pytest.fixture
def committed_in_silence(world, monkeypatch):
    """Let the next write be committed, run a step of others, and fail all the same."""

    def once(error, step=lambda: None):
        write = world.backend.write

        def broken(record, *, replaces):
            monkeypatch.undo()
            write(record, replaces=replaces)
            step()
            raise error

        monkeypatch.setattr(world.backend, "write", broken)

    return once


def test_outcome_unknown(world, committed_in_silence):
    """A login of unknown outcome recognises its own write by its nonce."""
    committed_in_silence(StoreUnavailable("The connection broke"))

    saved = world.login("login-2", "access-of-login-2", left=3600)

    assert saved.pair == world.stored.pair == ("access-of-login-2", "login-2/0")


def test_outcome_unknown_then_revoked(world, committed_in_silence):
    """Invariant 7: a login is not applied a second time over a revocation that came after it."""
    committed_in_silence(
        StoreUnavailable("The connection broke"), lambda: world.there.keeper.revoke(world.id)
    )

    saved = world.login("login-2", "access-of-login-2", left=3600)

    assert saved.status is world.stored.status is Status.REVOKED
    assert world.stored.access_token is None


def test_outcome_unknown_then_another_login(world, committed_in_silence):
    """Invariant 7: nor over a later login of the same user."""
    committed_in_silence(
        StoreUnavailable("The connection broke"),
        lambda: world.login("login-3", "access-of-login-3", left=3600),
    )

    with pytest.raises(StoreUnavailable):
        world.login("login-2", "access-of-login-2", left=3600)

    assert world.stored.pair == ("access-of-login-3", "login-3/0")


def test_driver_that_tries_again_by_itself(world, committed_in_silence):
    """A write that a driver made twice reports a conflict with itself; it counts as done."""
    committed_in_silence(
        StoreConflict("Another version"), lambda: world.there.keeper.revoke(world.id)
    )

    world.login("login-2", "access-of-login-2", left=3600)

    assert world.stored.status is Status.REVOKED


def test_not_committed(world, monkeypatch):
    """A login that was not stored says so, and what was stored is unchanged."""

    def refused(record, *, replaces):  # noqa: ARG001  # the interface's
        raise StoreUnavailable("The disk is full")

    monkeypatch.setattr(world.backend, "write", refused)

    with pytest.raises(StoreUnavailable):
        world.login("login-2", "access-of-login-2", left=3600)
    assert world.stored.pair == ("access-1", "login-1/0")


def test_lifts_revoked_and_login_needed(world):
    """Another refresh token is a new login: the row is good again, without an old claim."""
    for status in (Status.LOGIN_NEEDED, Status.REVOKED):
        world.write(status=status)
        world.claim()

        world.login(f"after-{status}", f"access after {status}", left=3600)

        assert world.stored.status is Status.OK
        assert world.stored.renewal.claim is None


def test_same_refresh_token_lifts_nothing(world):
    """Invariant 7: a save with the stored refresh token never lifts a revocation."""
    world.there.keeper.revoke(world.id)

    world.login("login-1", "access-1", left=3600)

    assert world.stored.status is Status.REVOKED


def test_mint_times_stay_with_the_refresh_token(world):
    """Invariant 6: a login that answers the stored refresh token gives no new budget."""
    mints = (world.clock.now() - 5, world.clock.now() - 3)
    world.write_renewal(mints=mints)

    world.login(None, "another access", grant_token="another code")
    assert world.stored.renewal.mints[:2] == mints

    world.login("login-2", "access-of-login-2")
    assert set(world.stored.renewal.mints).isdisjoint(mints)


def test_keeps_id_and_owner(world):
    """Who logs in again keeps the row: ids in use go on working."""
    before = world.stored

    world.login("login-2", "access-of-login-2", left=3600)

    assert (world.stored.id, world.stored.owner) == (before.id, before.owner)


def test_claim_of_a_process_that_logged_out_meanwhile(world):
    """A login ends a claim on the old tokens: nobody waits for it."""
    world.claim()

    world.login("login-2", "access-of-login-2", left=-1)
    world.get()

    assert world.clock.slept == []
    assert world.provider.sent == ["login-2/0"]
