"""PERMANENT: a rejected refresh token is a question, never a verdict. Rules `perm`, `jlook`."""

from __future__ import annotations

import pytest
from renewal_scenario import World
from test_claims import journaled

from tokenkeep import LoginNeeded, RenewalTimeout, Status, TokenNotFound, TokenRevoked


@pytest.fixture
def rejected(world):
    """The user has withdrawn consent at the provider."""
    world.provider.dead.add("login-1")
    return world


def test_rejected_refresh_token(rejected):
    """The stored one rejected, whatever the secret, means a login; no token is written over."""
    for actor in (rejected.here, rejected.there):
        with pytest.raises(LoginNeeded):
            actor.keeper.get(id=rejected.id, client_secret="another")

    assert Status.LOGIN_NEEDED is rejected.stored.status
    assert rejected.stored.client_secret == "client secret"
    assert rejected.stored.pair == ("access-1", "login-1/0")
    assert rejected.stored.renewal.claim is None
    assert rejected.calls == 1
    assert "login_needed" in rejected.here.names()


MEANWHILE = {
    "a login": (
        lambda world: world.login("login-2", "newer", left=3600),
        (("newer", "login-2/0"), Status.OK),
    ),
    "a deletion": (lambda world: world.there.keeper.delete(world.id), (TokenNotFound, None)),
    "a revocation": (
        lambda world: world.there.keeper.revoke(world.id),
        (TokenRevoked, Status.REVOKED),
    ),
    "a stranger's write": (
        lambda world: world.write(scope="all"),
        (LoginNeeded, Status.LOGIN_NEEDED),
    ),
}


@pytest.mark.parametrize("when", ["in the call", "just before the verdict"])
@pytest.mark.parametrize(("step", "expected"), MEANWHILE.values(), ids=MEANWHILE)
def test_meanwhile(rejected, when, step, expected):
    """Invariants 5 and 7: a rejection says nothing of a new login, nor of what is gone."""
    verdict = rejected.here.store.before["login_needed"]
    steps = rejected.provider.during if when == "in the call" else verdict
    steps.append(lambda: step(rejected))

    outcome = rejected.outcome()

    assert expected == (outcome, rejected.stored and rejected.stored.status)


def taken_over(world, length=20.0):
    """Pause a process past its claim; who took over has spent the refresh token, not saved yet."""
    world.provider.current["login-1"] += 1
    world.claim(length=length)


def test_steps_aside_for_a_live_claim(rotating):
    """Invariant 5: nobody is sent to the login while another holder may have the new token."""

    def saves():
        ends = rotating.clock.now() + 3600
        rotating.write(access_token="the other's", refresh_token="login-1/1", expires_at=ends)
        rotating.free()

    rotating.provider.before.append(lambda: taken_over(rotating))
    # The first read asks about the rejection, the second one is after the pause.
    rotating.here.store.before["read"] += [lambda: None, saves]

    assert rotating.get().access_token == "the other's"
    assert Status.OK is rotating.stored.status


@pytest.mark.parametrize(
    ("length", "error", "status"),
    [(25.0, LoginNeeded, Status.LOGIN_NEEDED), (60.0, RenewalTimeout, Status.OK)],
)
def test_stepping_aside_ends(length, error, status):
    """
    Invariant 12: a holder that never saves is waited for until its claim has run out.

    Nor is it waited for past the caller's deadline; nothing is written then.
    """
    world = World(rotates=True, claim_length=length)
    world.provider.before.append(lambda: taken_over(world, length))
    started = world.clock.monotonic()

    assert error is world.outcome()
    assert min(length + 2.0, 45.0) <= world.clock.monotonic() - started < 46.0
    assert status is world.stored.status


def test_answer_in_the_journal(rotating):
    """Invariant 5: before the verdict the journal is asked, too: a dead holder may be in it."""
    rotating.provider.before.append(lambda: journaled(rotating))  # another renews, and dies

    assert "journaled access" == rotating.get().access_token == rotating.stored.access_token
    assert Status.OK is rotating.stored.status
