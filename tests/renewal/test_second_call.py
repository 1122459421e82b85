"""A passing fault is followed by one more call, under the same claim, before anybody sees it."""

from __future__ import annotations

import threading
import time

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

DOWN = ProviderUnavailable("It did not answer", answered=False)
UNREAD = ProviderUnavailable("It answered HTML", unread=Reply(status=200, body=b"<html>"))


@pytest.mark.parametrize(
    "kind", ["status", "drop", "garbage", "empty", "list", "no_access_token", "huge"]
)
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


def test_counted():
    """Invariant 6: both calls count, each before it is made; nobody hears of a passing fault."""
    world, counts = World(rotates=True, mint_limit=10), []
    look = lambda: counts.append(len(world.stored.renewal.mints))  # noqa: E731
    world.provider.before += [look, look]
    world.provider.trouble.append(DOWN)

    assert world.outcome() == ("access-2", "login-1/1")
    assert counts == [1, 2]
    assert world.here.names() == ["renewed"]
    assert world.kept == []


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


def once(world, error, outcome, then=None):
    """See that a call that ends in an error is not made again, and what its caller gets."""
    world.provider.trouble.append(error)
    assert outcome is world.outcome()
    if then:
        then()
    ends = time.monotonic() + 20  # its caller may be gone before it ends
    while world.stored.renewal.claim is not None and time.monotonic() < ends:
        time.sleep(0.01)
    assert world.calls == 1


DEFINITE = {
    GrantRejected("The provider rejects the grant"): LoginNeeded,
    CoolingDown("Too many requests", until=1_800_000_060.0): CoolingDown,
    ProviderRefused("The client is refused", error="invalid_client"): ProviderRefused,
    ConfigurationError("A call needs client_id"): ConfigurationError,
    ProviderUnavailable("It answered what it does not know", passing=False): ProviderUnavailable,
}


@pytest.mark.parametrize("error", DEFINITE, ids=lambda error: type(error).__name__)
def test_definite(limited, error):
    """What is no passing fault is not asked for twice; what can't be sent is not counted."""
    once(limited, error, DEFINITE[error])

    assert len(limited.stored.renewal.mints) == (not isinstance(error, ConfigurationError))


def test_unread(world, rotating):
    """An answer that can't be read has spent a refresh token that rotates, and no other."""
    once(rotating, UNREAD, ProviderUnavailable)
    assert len(rotating.kept) == 1

    world.provider.odd = 2
    with pytest.raises(ProviderUnavailable) as caught:
        world.get()
    assert (caught.value.unread, world.kept, world.calls) == (None, [], 2)


TOO_LONG = {
    "a timeout": (10.0, {"call_timeout": 10.0, "claim_length": 60.0}),
    "the claim would end before the second call does": (9.0, {"call_timeout": 12.0}),
    "a timeout, with the defaults": (10.0, {}),
    "the caller has gone": (6.0, {"wait_timeout": 0.1, "claim_length": 60.0}),
}


@pytest.mark.parametrize(("seconds", "profile"), TOO_LONG.values(), ids=TOO_LONG)
def test_too_long(seconds, profile):
    """There is none where the first has taken the time for it, or its caller's."""
    world = World(**profile)
    leaves, has_left = "wait_timeout" in profile, threading.Event()
    world.provider.before.append(
        lambda: (world.clock.advance(seconds), leaves and has_left.wait(20))
    )

    once(world, DOWN, RenewalTimeout if leaves else ProviderUnavailable, has_left.set)

    assert world.stored.renewal.claim is None


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_budget_is_full(limit):
    """Invariant 6: nor without room for it in the budget."""
    world = World(mint_limit=limit)
    world.write_renewal(mints=(world.clock.now(),) * (limit - 1))

    once(world, DOWN, ProviderUnavailable)


def counted(world, step):
    """Let a step follow once the second call is counted."""
    world.here.store.after["claim"].append(step)


LOST = {
    "a login": (lambda world: world.login("login-2", "new", left=3600), ("new", "login-2/0")),
    "a revocation": (lambda world: world.there.keeper.revoke(world.id), TokenRevoked),
    "a stranger's write": (lambda world: world.write(scope="all"), ProviderUnavailable),
    "a write of unknown outcome": (lambda world: counted(world, away), ProviderUnavailable),
    "a pause": (
        lambda world: counted(world, lambda: world.clock.advance(15.0)),
        ProviderUnavailable,
    ),
    "a take-over": (World.claim, ProviderUnavailable),
}


@pytest.mark.parametrize(("step", "outcome"), LOST.values(), ids=LOST)
def test_lost_race(rotating, step, outcome):
    """Whoever writes the row before the second call is counted, or holds it up, ends it."""
    rotating.provider.before.append(lambda: step(rotating))
    rotating.provider.trouble.append(DOWN)

    assert outcome == rotating.outcome()
    assert rotating.calls == 1
