"""After a rejection a deliberate renewal asks once more; nobody else does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from renewal_scenario import World

from tokenkeep import (
    CoolingDown,
    LoginNeeded,
    ProviderRefused,
    ProviderUnavailable,
    Status,
    Token,
    TokenRevoked,
)


def reject(world):
    """Let the provider reject the refresh token, as it turns out wrongly."""
    world.provider.dead.add("login-1")
    assert LoginNeeded is world.outcome()
    world.provider.dead.clear()
    assert world.stored.status is Status.LOGIN_NEEDED
    return world


@pytest.fixture
def rejected(world):
    return reject(world)


def renew(world):
    """Renew deliberately; return the pair, or the kind of the error."""
    return world.outcome(partial(world.here.keeper.renew, world.id))


@pytest.mark.parametrize(
    "provider", [{}, {"rotates": True}, {"rotates": True, "kills": True}, {"mint_limit": 10}]
)
def test_heals(provider):
    """It works again: the row is as good as before, and its history tells."""
    world = reject(World(**provider))

    assert renew(world) == world.get(world.there).pair
    assert world.stored.access_token == "access-2"
    assert (world.stored.status, world.stored.renewal.failure) == (Status.OK, None)
    assert world.stored.renewal.claim is None
    happened = [each.what for each in world.stored.history]
    assert happened == ["login", "login_needed", "renewed"]
    assert world.calls == 2


def test_rejected_again(rejected):
    """Each deliberate renewal is one call, and says what it said before."""
    rejected.provider.dead.add("login-1")

    for calls in (2, 3):
        assert LoginNeeded is renew(rejected)
        assert rejected.calls == calls
        assert rejected.stored.status is Status.LOGIN_NEEDED
        assert rejected.stored.renewal.claim is None
    assert rejected.stored.history[-1].count == 3


def test_is_never_asked(world):
    """What was revoked here stays so; without a refresh token there is nothing to ask with."""
    world.write(status=Status.LOGIN_NEEDED, refresh_token=None)
    assert LoginNeeded is renew(world)
    world.write(status=Status.REVOKED)
    assert TokenRevoked is renew(world)

    assert world.provider.sent == []


def test_provider_down(rejected):
    """
    Without an answer all is as before, and the caller hears why; later it is asked again.

    Who merely wants a token is told that a login is needed.
    """
    rejected.down()

    with pytest.raises(ProviderUnavailable, match="It did not answer"):
        rejected.here.keeper.renew(rejected.id)
    assert rejected.stored.status is Status.LOGIN_NEEDED
    for actor in (rejected.here, rejected.there, rejected.here):
        with pytest.raises(LoginNeeded, match="rejected the refresh token"):
            rejected.get(actor)
    with pytest.raises(LoginNeeded):
        rejected.here.keeper.rejected(rejected.id, "access-1")

    assert renew(rejected) == ("access-2", "login-1/0")
    assert rejected.calls == 4


@pytest.mark.parametrize(
    ("error", "later"),
    [
        (ProviderUnavailable("It is down"), ("access-2", "login-1/0")),
        (ProviderRefused("No", error="invalid_client"), ("access-2", "login-1/0")),
        (CoolingDown("Slow", until=1_800_000_060.0), CoolingDown),
    ],
)
def test_while_it_is_left_alone(world, error, later):
    """It need not be waited for, unless the provider throttles: its own time is everybody's."""
    world.provider.trouble += [error] * (2 if isinstance(error, ProviderUnavailable) else 1)
    assert type(error) is world.outcome()
    sent = world.calls
    assert type(error) is world.outcome(partial(world.get, world.there))
    assert sent == world.calls

    assert later == renew(world)
    assert world.calls == sent + (later is not CoolingDown)


def test_login_meanwhile(rejected):
    """What a login has saved is not put back to where the deliberate renewal found it."""
    theirs = Token(id=rejected.id, access_token="access-3", expires_at=rejected.clock.now() + 3600)

    def logs_in():
        rejected.vault.save_token(theirs)
        rejected.write(status=Status.OK)

    rejected.provider.before.append(logs_in)
    rejected.down()

    assert renew(rejected) == ("access-3", "login-1/0")
    assert (rejected.stored.status, rejected.stored.access_token) == (Status.OK, "access-3")


def test_two_at_once(rejected):
    """One call under one claim: the other waits for it, and believes what comes of it."""
    rejected.provider.dead.add("login-1")
    there = []

    def the_other_asks():
        with ThreadPoolExecutor(1) as pool:
            there.append(pool.submit(rejected.there.keeper.renew, rejected.id).exception())

    rejected.here.store.before["claim"].append(the_other_asks)

    assert LoginNeeded is renew(rejected) is type(there[0])
    assert rejected.calls == 2
