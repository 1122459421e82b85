"""After a rejection a deliberate renewal asks once more; nobody else does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from renewal_scenario import dead_holder

from tokenkeep import (
    CoolingDown,
    LoginNeeded,
    ProviderRefused,
    ProviderUnavailable,
    RenewalError,
    Status,
    Token,
    TokenRevoked,
)


def rejected(world):
    """Let the provider reject the refresh token, as it turns out wrongly."""
    world.provider.dead.add("login-1")
    with pytest.raises(LoginNeeded):
        world.get()
    world.provider.dead.clear()
    assert world.stored.status is Status.LOGIN_NEEDED


@pytest.mark.parametrize("stage", ["world", "rotating", "killing", "limited"])
def test_heals(request, stage):
    """It works again: the row is as good as before, and its history tells."""
    world = request.getfixturevalue(stage)
    rejected(world)

    renewed = world.here.keeper.renew(world.id)

    assert renewed.access_token == world.get(world.there).access_token == "access-2"
    assert (world.stored.status, world.stored.renewal.failure) == (Status.OK, None)
    assert world.stored.renewal.claim is None
    happened = [each.what for each in world.stored.history]
    assert happened == ["login", "login_needed", "renewed"]
    assert len(world.provider.sent) == 2


def test_get_asks_nobody(world):
    """Who merely wants a token is told that a login is needed, as before."""
    rejected(world)

    for actor in (world.here, world.there, world.here):
        with pytest.raises(LoginNeeded, match="rejected the refresh token"):
            world.get(actor)
    with pytest.raises(LoginNeeded):
        world.here.keeper.rejected(world.id, "access-1")

    assert len(world.provider.sent) == 1


def test_rejected_again(world):
    """Each deliberate renewal is one call, and says what it said before."""
    rejected(world)
    world.provider.dead.add("login-1")

    for calls in (2, 3):
        with pytest.raises(LoginNeeded):
            world.here.keeper.renew(world.id)
        assert len(world.provider.sent) == calls
        assert world.stored.status is Status.LOGIN_NEEDED
        assert world.stored.renewal.claim is None
    assert world.stored.history[-1].count == 3


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"status": Status.REVOKED}, TokenRevoked),
        ({"status": Status.LOGIN_NEEDED, "refresh_token": None}, LoginNeeded),
    ],
    ids=["revoked here", "nothing to ask with"],
)
def test_is_never_asked(world, changes, error):
    """What was revoked here stays so; without a refresh token there is nothing to ask with."""
    world.write(**changes)

    with pytest.raises(error):
        world.here.keeper.renew(world.id)

    assert world.provider.sent == []


def test_provider_down(world):
    """Without an answer all is as before, and the caller hears why; later it is asked again."""
    rejected(world)
    world.down()

    with pytest.raises(ProviderUnavailable, match="It did not answer"):
        world.here.keeper.renew(world.id)
    assert world.stored.status is Status.LOGIN_NEEDED
    with pytest.raises(LoginNeeded):
        world.get()

    assert world.here.keeper.renew(world.id).access_token == "access-2"
    assert len(world.provider.sent) == 4


@pytest.mark.parametrize(
    "error", [ProviderUnavailable("It is down"), ProviderRefused("No", error="invalid_client")]
)
def test_while_it_is_left_alone(world, error):
    """After a fault, or once the client was corrected there, it need not be waited for."""
    world.provider.trouble += [error] * (2 if isinstance(error, ProviderUnavailable) else 1)
    with pytest.raises(RenewalError):
        world.get()
    sent = len(world.provider.sent)
    with pytest.raises(RenewalError):
        world.get(world.there)
    assert sent == len(world.provider.sent)

    assert world.there.keeper.renew(world.id).access_token == "access-2"
    assert sent + 1 == len(world.provider.sent)


def test_throttled(world):
    """The provider's own time counts for everybody."""
    world.provider.trouble.append(CoolingDown("Slow", until=world.clock.now() + 60))
    with pytest.raises(CoolingDown):
        world.get()

    with pytest.raises(CoolingDown):
        world.here.keeper.renew(world.id)
    assert len(world.provider.sent) == 1


def test_login_meanwhile(world):
    """What a login has saved is not put back to where the deliberate renewal found it."""
    rejected(world)

    def logs_in():
        world.vault.save_token(
            Token(id=world.id, access_token="access-3", expires_at=world.clock.now() + 3600)
        )
        world.write(status=Status.OK)

    world.provider.before.append(logs_in)
    world.down()

    assert world.here.keeper.renew(world.id).access_token == "access-3"
    assert (world.stored.status, world.stored.access_token) == (Status.OK, "access-3")


def test_two_at_once(world):
    """One call under one claim: the other waits for it, and believes what comes of it."""
    rejected(world)
    world.provider.dead.add("login-1")
    there = []

    def the_other_asks():
        with ThreadPoolExecutor(1) as pool:
            there.append(pool.submit(world.there.keeper.renew, world.id).exception())

    world.here.store.before["claim"].append(the_other_asks)

    with pytest.raises(LoginNeeded):
        world.here.keeper.renew(world.id)

    assert isinstance(there[0], LoginNeeded)
    assert len(world.provider.sent) == 2


def test_its_process_dies(world):
    """Who comes next asks once more, and is told."""
    rejected(world)
    world.write(status=Status.OK)
    world.claim(dead_holder())
    world.provider.dead.add("login-1")
    world.clock.advance(2)

    with pytest.raises(LoginNeeded):
        world.get()

    assert world.stored.status is Status.LOGIN_NEEDED
    assert len(world.provider.sent) == 2
