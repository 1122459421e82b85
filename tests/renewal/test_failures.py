"""Failures: remembered in the store, shared by all, and never a reason to fail in turn."""

from __future__ import annotations

import pytest
from renewal_scenario import away

from tokenkeep import CoolingDown, ProviderRefused, ProviderUnavailable, Status, StoreUnavailable
from tokenkeep.clock import moment
from tokenkeep.providers import Profile


def test_failure_releases_the_claim(world):
    """After a failure nobody waits for a claim of no use, whatever others have written."""
    world.down()
    world.here.store.before["release"].append(lambda: world.write(scope="all"))

    with pytest.raises(ProviderUnavailable, match=world.id):
        world.get()

    assert world.stored.renewal.claim is None
    assert (*world.stored.pair, world.stored.scope) == ("access-1", "login-1/0", "all")
    assert world.stored.renewal.failure.kind == "transient"
    world.provider.trouble.append(ZeroDivisionError())
    world.clock.advance(2)
    with pytest.raises(ZeroDivisionError):  # nobody foresaw it
        world.get()
    assert world.stored.renewal.claim is None


def test_release_leaves_another_s_claim_alone(world):
    """Only one's own claim is released: the nonce is compared."""
    world.down()
    world.provider.before.append(world.claim)

    assert ProviderUnavailable is world.outcome()
    assert "far" in world.stored.renewal.claim.holder
    assert world.stored.renewal.failure is None


def test_failure_newer_than_arrival(world):
    """Who waited raises the failure that came meanwhile, though a new turn would be allowed."""
    world.claim()
    world.down()

    def the_other_fails():
        world.free()
        with pytest.raises(ProviderUnavailable):
            world.get(world.there)
        world.clock.advance(5)

    world.here.store.before["read"] += [lambda: None, the_other_fails]

    with pytest.raises(ProviderUnavailable, match="It did not answer"):
        world.get()

    assert world.calls == 2


@pytest.mark.parametrize(
    ("fails", "error"),
    [
        (lambda world: world.down(times=2), ProviderUnavailable),
        (lambda world: world.here.store.before["claim"].extend([away] * 3), StoreUnavailable),
    ],
    ids=["the provider is down", "the store can't be written"],
)
def test_while_the_token_is_good(world, fails, error):
    """In the mandatory window, too, a token that still works is handed out."""
    world.write(expires_at=world.clock.now() + 5)
    fails(world)

    assert [world.get().access_token for _ in range(2)] == ["access-1"] * 2
    world.clock.advance(6)
    assert error is world.outcome()


def test_cool_down_doubles(world):
    """After each failure the provider is left alone by all, twice as long as before it."""
    world.down(times=9)
    pauses = []
    for _ in range(9):
        for actor in (world.here, world.there):
            with pytest.raises(ProviderUnavailable, match="It did not answer"):
                world.get(actor)
        pauses.append(world.stored.renewal.failure.until - world.clock.now())
        world.clock.advance(pauses[-1])

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert world.calls == 18
    world.get()
    assert world.stored.renewal.failure is None


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ProviderRefused("The client is refused", error="invalid_client"), "invalid_client"),
        (ProviderUnavailable("It did not answer"), "It did not answer"),
    ],
)
def test_failure_of_another_credential(world, error, again):
    """
    One with a wrong client secret does not keep the right one from being tried.

    Nor does a secret that did not work replace the one that did; it says nothing of the login.
    """
    world.provider.trouble += [error, error]
    for actor, said in ((world.here, str(error)), (world.there, again)):
        with pytest.raises(type(error), match=said):
            actor.keeper.get(id=world.id, client_secret="wrong")
    assert (world.stored.status, world.stored.client_secret) == (Status.OK, "client secret")
    world.provider.trouble.clear()
    failed = world.calls

    token = world.here.keeper.get(id=world.id, client_secret="the right one")

    assert token.access_token == "access-2"
    assert world.provider.secrets[failed:] == [world.stored.client_secret] == ["the right one"]


@pytest.mark.parametrize("until", [1_800_000_600.0, 1e300, None])
def test_throttled_until(world, until):
    """A provider's own "too many" is kept to by all until the time it names, an hour at most."""
    world.provider.trouble.append(CoolingDown("Too many requests", until=until))
    named = until or world.clock.now() + 1
    kept_to = min(named, world.clock.now() + 3600)

    for actor, ends in ((world.here, named), (world.here, kept_to), (world.there, kept_to)):
        with pytest.raises(CoolingDown) as caught:
            world.get(actor)
        assert ends == caught.value.until
        assert f"Try again after {moment(ends)}" in str(caught.value)

    assert world.calls == 1
    world.clock.set(kept_to)
    assert world.get().access_token == "access-2"


def test_budget(world):
    """Invariant 6: 10 calls per refresh token in 10 minutes, counted in the store, then none."""
    world.provider.profile = Profile(rotates=False, mint_limit=10, mint_window=600.0)
    first = world.clock.now()
    for turn in range(10):
        world.get(world.here if turn % 2 else world.there)
        world.write(expires_at=world.clock.now() - 1)
        world.clock.advance(1)

    with pytest.raises(CoolingDown, match=f"Try again after {moment(first + 600)}") as caught:
        world.get()

    assert (world.calls, caught.value.until) == (10, first + 600)
    world.clock.set(first + 600)
    world.get()
    assert world.calls == 11
