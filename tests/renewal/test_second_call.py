"""A passing fault is followed by one more call, under the same claim, before anybody sees it."""

from __future__ import annotations

import time

import pytest
from renewal_scenario import World, failing

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
    """One fault costs its caller nothing, whatever it was, and leaves no trace."""
    fleet.zoho.faults.add(kind=kind)

    token = fleet.keeper().get(id=fleet.id)

    assert fleet.works(token)
    assert fleet.calls == 2
    assert fleet.stored.pair == token.pair
    assert fleet.stored.renewal.failure is None
    assert "failed" not in [each.what for each in fleet.stored.history]


@pytest.mark.parametrize("kind", FAULTS)
def test_stays(fleet, kind):
    """Two faults are a failure like any other: what is stored stays (invariant 3)."""
    fleet.zoho.faults.add(kind=kind, times=2)
    keeper = fleet.keeper(clock=FakeClock())

    with pytest.raises(ProviderUnavailable):
        keeper.get(id=fleet.id)
    with pytest.raises(ProviderUnavailable):
        keeper.get(id=fleet.id)

    assert fleet.calls == 2
    assert fleet.stored.renewal.failure.count == 1
    assert fleet.stored.pair == fleet.first.pair


@pytest.mark.parametrize("said", ["what it does not know", "a redirect"])
def test_what_does_not_pass(world, said):
    """What the provider says of the request itself is not asked about twice."""
    world.provider.trouble.append(ProviderUnavailable(f"It answered {said}", passing=False))

    with pytest.raises(ProviderUnavailable, match=said):
        world.get()

    assert len(world.provider.sent) == 1


def test_rotated_and_lost(rotating):
    """With rotation the second call says what the next caller's would: that a login is needed."""
    rotating.provider.lost.append(DOWN)

    with pytest.raises(LoginNeeded):
        rotating.get()

    assert len(rotating.provider.sent) == 2


def test_events(rotating):
    """Nobody hears of a fault that has passed; the room for the answer stays until it comes."""
    rotating.provider.trouble.append(DOWN)

    rotating.get()

    assert rotating.here.names() == ["renewed"]
    assert list(rotating.here.journal.entries()) == []
    assert rotating.stored.refresh_token == "login-1/1"


DEFINITE = (
    GrantRejected("The provider rejects the grant"),
    CoolingDown("Too many requests", until=1_800_000_060.0),
    ProviderRefused("The client is refused", error="invalid_client"),
    ConfigurationError("A call needs client_id"),
    ZeroDivisionError(),
)


@pytest.mark.parametrize("error", DEFINITE, ids=lambda error: type(error).__name__)
def test_definite(world, error):
    """What is no passing fault is not asked for twice."""
    world.provider.trouble.append(error)

    with pytest.raises(LoginNeeded if isinstance(error, GrantRejected) else type(error)):
        world.get()

    assert len(world.provider.sent) == 1


def test_unread(world, rotating):
    """An answer that can't be read has spent a refresh token that rotates, and no other."""
    for each in (world, rotating):
        each.provider.trouble.append(UNREAD)

    assert world.get().access_token == "access-2"
    with pytest.raises(ProviderUnavailable):
        rotating.get()
    assert (len(world.provider.sent), len(rotating.provider.sent)) == (2, 1)


TOO_LONG = {
    "a timeout": (10.0, {"call_timeout": 10.0, "claim_length": 60.0}),
    "the claim would end before the second call does": (9.0, {"call_timeout": 12.0}),
    "a timeout, with the defaults": (10.0, {}),
}


@pytest.mark.parametrize(("seconds", "profile"), TOO_LONG.values(), ids=TOO_LONG)
def test_too_long(seconds, profile):
    """There is no second call where the first has taken the time for it."""
    world = World(**profile)
    world.provider.before.append(lambda: world.clock.advance(seconds))
    world.provider.trouble.append(DOWN)

    with pytest.raises(ProviderUnavailable):
        world.get()

    assert len(world.provider.sent) == 1
    assert world.stored.renewal.claim is None


def test_after_the_deadline():
    """Nor once the caller, who may go before the first one ends, has no time left."""
    world = World(wait_timeout=5.0, claim_length=60.0)
    world.provider.before.append(lambda: world.clock.advance(6.0))
    world.provider.trouble.append(DOWN)

    with pytest.raises((ProviderUnavailable, RenewalTimeout)):
        world.get()
    ends = time.monotonic() + 20
    while world.stored.renewal.claim is not None and time.monotonic() < ends:
        time.sleep(0.01)

    assert len(world.provider.sent) == 1
    assert world.stored.renewal.claim is None


def test_counted(limited):
    """Invariant 6: both calls count, the second before it is made."""
    counts = []
    limited.provider.before += [
        lambda: counts.append(len(limited.stored.renewal.mints)) for _ in range(2)
    ]
    limited.provider.trouble.append(DOWN)

    limited.get()

    assert counts == [1, 2]
    assert len(limited.stored.renewal.mints) == 2


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_budget_is_full(limit):
    """Invariant 6: without room for it in the budget there is no second call."""
    world = World(mint_limit=limit)
    world.write_renewal(mints=(world.clock.now(),) * (limit - 1))
    world.provider.trouble.append(DOWN)

    with pytest.raises(ProviderUnavailable):
        world.get()

    assert len(world.provider.sent) == 1


def test_outage(limited):
    """Invariant 6: a provider that is down for a while costs one call of the budget each time."""
    limited.provider.trouble += [DOWN] * 10
    calls = []
    for _ in range(4):
        with pytest.raises(ProviderUnavailable):
            limited.get()
        calls.append(len(limited.provider.sent))
        limited.clock.advance(61)

    assert calls == [2, 3, 4, 5]
    limited.provider.trouble.clear()
    assert limited.get().access_token == "access-2"


LOST = {
    "a login": (lambda world: world.login("login-2", "access-of-login-2", left=3600), None),
    "a revocation": (lambda world: world.there.keeper.revoke(world.id), TokenRevoked),
    "a stranger's write": (lambda world: world.write(scope="all"), ProviderUnavailable),
    "a write of unknown outcome": (
        lambda world: world.here.store.unknown.append("claim"),
        ProviderUnavailable,
    ),
    "a pause": (
        lambda world: world.here.store.after["claim"].append(lambda: world.clock.advance(15.0)),
        ProviderUnavailable,
    ),
    "a take-over": (lambda world: world.claim(), ProviderUnavailable),
}


@pytest.mark.parametrize(("step", "error"), LOST.values(), ids=LOST)
def test_lost_race(rotating, step, error):
    """Whoever writes the row before the second call is counted, or holds it up, ends it."""
    rotating.provider.before.append(lambda: step(rotating))
    rotating.provider.trouble.append(DOWN)

    if error is None:
        assert rotating.get().access_token == "access-of-login-2"
    else:
        with pytest.raises(error):
            rotating.get()

    assert len(rotating.provider.sent) == 1


def test_revocations_are_not_repeated(world):
    """What the provider has not confirmed is a sweep's business."""
    calls = []
    world.provider.revoke = lambda token: (calls.append(token), failing(DOWN)())

    world.here.keeper.revoke(world.id)

    assert len(calls) == 1
