"""PERMANENT: a rejected refresh token is a question, never a verdict. Rules `perm`, `jlook`."""

from __future__ import annotations

import pytest
from renewal_scenario import World
from test_claim import journaled

from tokenkeep import LoginNeeded, RenewalTimeout, Status, TokenNotFound, TokenRevoked


def kill(world):
    """Let the user withdraw consent at the provider."""
    world.provider.dead.add("login-1")


def test_rejected_refresh_token(world):
    """The stored one itself rejected means a new login, everywhere; it overwrites no token."""
    kill(world)

    with pytest.raises(LoginNeeded):
        world.get()
    with pytest.raises(LoginNeeded):
        world.get(world.there)

    assert Status.LOGIN_NEEDED is world.stored.status
    assert world.stored.pair == ("access-1", "login-1/0")
    assert world.stored.renewal.claim is None
    assert len(world.provider.sent) == 1
    assert "login_needed" in world.here.names()


@pytest.mark.parametrize(
    "steps",
    [lambda world: world.provider.during, lambda world: world.here.store.before["login_needed"]],
    ids=["in the call", "just before the verdict"],
)
def test_new_login_meanwhile(world, steps):
    """Invariant 5: a rejection says nothing about the refresh token of a new login."""
    kill(world)
    steps(world).append(lambda: world.login("login-2", "access-of-login-2", left=3600))

    token = world.get()

    assert token.access_token == "access-of-login-2"
    assert Status.OK is world.stored.status


@pytest.mark.parametrize(("gone", "error"), [("delete", TokenNotFound), ("revoke", TokenRevoked)])
def test_gone_meanwhile(world, gone, error):
    """Invariant 7: a rejection makes no deleted row anew, nor login_needed out of revoked."""
    kill(world)
    world.provider.during.append(lambda: getattr(world.there.keeper, gone)(world.id))

    with pytest.raises(error):
        world.get()

    left = [token.status for token in world.there.keeper.tokens()]
    assert left == ([Status.REVOKED] if gone == "revoke" else [])


def test_verdict_after_a_stranger_s_write(world):
    """A write of other fields in between only makes the verdict look again."""
    kill(world)
    world.here.store.before["login_needed"].append(lambda: world.write(scope="all"))

    with pytest.raises(LoginNeeded):
        world.get()

    assert (world.stored.status, world.stored.scope) == (Status.LOGIN_NEEDED, "all")


def test_steps_aside_for_a_live_claim(rotating):
    """
    Invariant 5: nobody is sent to the login while another holder may have the new token.

    This process was paused past its claim; the one that took over has spent
    the refresh token and not saved yet.
    """

    def taken_over():
        rotating.provider.current["login-1"] += 1
        rotating.claim()

    def saves():
        rotating.write(access_token="access of the other", refresh_token="login-1/1")
        rotating.write(expires_at=rotating.clock.now() + 3600)
        rotating.free()

    rotating.provider.before.append(taken_over)
    # The first read asks about the rejection, the second one is after the pause.
    rotating.here.store.before["read"] += [lambda: None, saves]

    token = rotating.get()

    assert token.access_token == "access of the other"
    assert Status.OK is rotating.stored.status


@pytest.mark.parametrize(("length", "error"), [(25.0, LoginNeeded), (60.0, RenewalTimeout)])
def test_stepping_aside_ends(length, error):
    """
    Invariant 12: a holder that never saves is waited for until its claim has run out.

    Nor is it waited for past the caller's deadline; nothing is written then.
    """
    world = World(rotates=True, claim_length=length)

    def taken_over():
        world.provider.current["login-1"] += 1
        world.claim(length=length)

    world.provider.before.append(taken_over)
    started = world.clock.monotonic()

    with pytest.raises(error):
        world.get()

    assert min(length + 2.0, 45.0) <= world.clock.monotonic() - started < 46.0
    status = {LoginNeeded: Status.LOGIN_NEEDED, RenewalTimeout: Status.OK}[error]
    assert status is world.stored.status


def test_answer_in_the_journal(rotating):
    """Invariant 5: before the verdict the journal is asked, too: a dead holder may be in it."""
    rotating.provider.before.append(lambda: journaled(rotating))  # another renews, and dies

    token = rotating.get()

    assert "journaled access" == token.access_token == rotating.stored.access_token
    assert Status.OK is rotating.stored.status


def test_caller_s_own_secret_is_rejected(world):
    """A verdict belongs to the refresh token, whoever's client secret it was asked with."""
    kill(world)

    with pytest.raises(LoginNeeded):
        world.here.keeper.get(id=world.stored.id, client_secret="another")

    assert world.stored.client_secret == "client secret"
