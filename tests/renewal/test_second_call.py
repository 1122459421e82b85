"""A passing fault is followed by one more call, under the same claim, before anybody sees it."""

from __future__ import annotations

import time
from functools import partial

import pytest
from renewal_scenario import World, away, failing

from tokenkeep import (
    ConfigurationError,
    CoolingDown,
    GrantRejected,
    LoginNeeded,
    ProviderRefused,
    ProviderUnavailable,
    RenewalTimeout,
    TokenRevoked,
)
from tokenkeep.providers import Reply
from tokenkeep.testing import FakeClock

FAULTS = ("status", "drop", "garbage", "empty", "list", "no_access_token", "huge")
DOWN = ProviderUnavailable("It did not answer", answered=False)
UNREAD = ProviderUnavailable("It answered HTML", unread=Reply(status=200, body=b"<html>"))


@pytest.mark.parametrize("kind", FAULTS)
def test_passes(fleet, kind):
    """
    One fault costs its caller nothing, whatever it was, and leaves no trace.

    Two are a failure like any other: what is stored stays (invariant 3).
    """
    keeper = fleet.keeper(clock=FakeClock())
    fleet.zoho.faults.add(kind=kind)

    token = keeper.get(id=fleet.id)

    assert fleet.works(token)
    assert fleet.calls == 2
    assert (fleet.stored.pair, fleet.stored.renewal.failure) == (token.pair, None)
    assert "failed" not in [each.what for each in fleet.stored.history]
    fleet.zoho.faults.add(kind=kind, times=2)
    fleet.store.swap(fleet.stored.but(expires_at=1.0))
    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            keeper.get(id=fleet.id)
    assert fleet.calls == 4
    assert (fleet.stored.pair, fleet.stored.renewal.failure.count) == (token.pair, 1)


def test_rotated_and_lost(rotating):
    """With rotation the second call says what the next caller's would: that a login is needed."""
    rotating.provider.during.append(failing(DOWN))

    assert LoginNeeded is rotating.outcome()
    assert rotating.calls == 2


def test_events(rotating):
    """Nobody hears of a fault that has passed; the room for the answer stays until it comes."""
    rotating.provider.trouble.append(DOWN)

    rotating.get()

    assert rotating.here.names() == ["renewed"]
    assert rotating.kept == []
    assert rotating.stored.refresh_token == "login-1/1"


DEFINITE = (
    GrantRejected("The provider rejects the grant"),
    CoolingDown("Too many requests", until=1_800_000_060.0),
    ProviderRefused("The client is refused", error="invalid_client"),
    ConfigurationError("A call needs client_id"),
    ZeroDivisionError(),
    ProviderUnavailable("It answered what it does not know", passing=False),
)


@pytest.mark.parametrize("error", DEFINITE, ids=lambda error: type(error).__name__)
def test_definite(world, error):
    """What is no passing fault is not asked for twice."""
    world.provider.trouble.append(error)

    with pytest.raises(LoginNeeded if isinstance(error, GrantRejected) else type(error)):
        world.get()

    assert world.calls == 1


def test_unread(world, rotating):
    """An answer that can't be read has spent a refresh token that rotates, and no other."""
    for each in (world, rotating):
        each.provider.trouble.append(UNREAD)

    assert world.get().access_token == "access-2"
    assert ProviderUnavailable is rotating.outcome()
    assert (world.calls, rotating.calls) == (2, 1)


TOO_LONG = {
    "a timeout": (10.0, {"call_timeout": 10.0, "claim_length": 60.0}),
    "the claim would end before the second call does": (9.0, {"call_timeout": 12.0}),
    "a timeout, with the defaults": (10.0, {}),
    "the caller may go before the first one ends": (
        6.0,
        {"wait_timeout": 5.0, "claim_length": 60.0},
    ),
}


@pytest.mark.parametrize(("seconds", "profile"), TOO_LONG.values(), ids=TOO_LONG)
def test_too_long(seconds, profile):
    """There is no second call where the first has taken the time for it, or its caller's."""
    world = World(**profile)
    world.provider.before.append(lambda: world.clock.advance(seconds))
    world.provider.trouble.append(DOWN)

    assert world.outcome() in (ProviderUnavailable, RenewalTimeout)
    ends = time.monotonic() + 20
    while world.stored.renewal.claim is not None and time.monotonic() < ends:
        time.sleep(0.01)
    assert world.calls == 1
    assert world.stored.renewal.claim is None


def test_counted(limited):
    """Invariant 6: both calls count, each before it is made."""
    counts = []
    look = lambda: counts.append(len(limited.stored.renewal.mints))  # noqa: E731
    limited.provider.before += [look, look]
    limited.provider.trouble.append(DOWN)

    limited.get()
    look()

    assert counts == [1, 2, 2]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_budget_is_full(limit):
    """Invariant 6: without room for it in the budget there is no second call."""
    world = World(mint_limit=limit)
    world.write_renewal(mints=(world.clock.now(),) * (limit - 1))
    world.provider.trouble.append(DOWN)

    assert ProviderUnavailable is world.outcome()
    assert world.calls == 1


def test_outage(limited):
    """Invariant 6: a provider that is down for a while costs one call of the budget each time."""
    limited.provider.trouble += [DOWN] * 10
    calls = []
    for _ in range(4):
        assert ProviderUnavailable is limited.outcome()
        calls.append(limited.calls)
        limited.clock.advance(61)

    assert calls == [2, 3, 4, 5]
    limited.provider.trouble.clear()
    assert limited.get().access_token == "access-2"


def held_up(world):
    world.here.store.after["claim"].append(partial(world.clock.advance, 15.0))


LOST = {
    "a login": (lambda world: world.login("login-2", "new", left=3600), ("new", "login-2/0")),
    "a revocation": (lambda world: world.there.keeper.revoke(world.id), TokenRevoked),
    "a stranger's write": (lambda world: world.write(scope="all"), ProviderUnavailable),
    "a write of unknown outcome": (
        lambda world: world.here.store.after["claim"].append(away),
        ProviderUnavailable,
    ),
    "a pause": (held_up, ProviderUnavailable),
    "a take-over": (World.claim, ProviderUnavailable),
}


@pytest.mark.parametrize(("step", "outcome"), LOST.values(), ids=LOST)
def test_lost_race(rotating, step, outcome):
    """Whoever writes the row before the second call is counted, or holds it up, ends it."""
    rotating.provider.before.append(lambda: step(rotating))
    rotating.provider.trouble.append(DOWN)

    assert outcome == rotating.outcome()
    assert rotating.calls == 1
