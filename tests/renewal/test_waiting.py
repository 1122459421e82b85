"""CLIENT: waiting for somebody else's renewal, and taking it over."""

from __future__ import annotations

import pytest
from renewal_scenario import World, away, dead_holder

from tokenkeep import ProviderUnavailable, RenewalTimeout, StoreUnavailable
from tokenkeep.decision import CLOCK_SKEW
from tokenkeep.providers import Profile
from tokenkeep.renewal.watch import MARGIN, Watch
from tokenkeep.token import Claim

PROFILE = Profile(rotates=True)


def a_claim(clock, *, who="not known", nonce="n", ago=0.0):
    return Claim(nonce=nonce, holder=who, taken_at=clock.now() - ago, length=20.0)


@pytest.fixture
def watch(world):
    return Watch(world.clock)


def test_waits_for_another_s_renewal(world):
    """Invariant 2: while somebody else renews, callers wait and then use what was saved."""
    world.claim()
    world.here.store.before["read"] += [
        lambda: None,
        lambda: world.write(access_token="theirs", expires_at=world.clock.now() + 3600),
        world.free,
    ]

    assert world.get().access_token == "theirs"
    assert world.provider.sent == []


@pytest.mark.parametrize("length", [20.0, 25.0, 1e9])
def test_length_of_another_profile(world, length):
    """
    A claim is taken over after the length that this process knows, not what it says itself.

    Waiters look often at first, then less, and not all at the same time.
    """
    world.claim(length=length)
    started = world.clock.monotonic()

    world.get()

    assert 20.0 + MARGIN <= world.clock.monotonic() - started < 20.0 + MARGIN + 1
    assert world.calls == 1
    slept = world.clock.slept
    assert slept[0] <= 0.01
    assert 0.125 <= max(slept) <= 0.25
    assert len(set(slept[-20:])) > 10


@pytest.mark.parametrize(
    ("rotates", "ago", "takeable"),
    [
        (False, 20.0 + CLOCK_SKEW - 1, False),
        (False, 20.0 + CLOCK_SKEW + 1, True),
        (True, 20.0 + CLOCK_SKEW + 1, False),
        (False, -100_000.0, False),
    ],
)
def test_wall_clock_end(world, watch, rotates, ago, takeable):
    """A claim's own end counts from five minutes after it, and only without rotation."""
    assert takeable is watch.takeable(a_claim(world.clock, ago=ago), Profile(rotates=rotates))


def test_watch_starts_anew_with_another_nonce(world, watch):
    """The time counts from the first look at this very claim, on the monotonic clock."""
    first = a_claim(world.clock, nonce="first")
    assert not watch.takeable(first, PROFILE)
    world.clock.set(world.clock.now() + 1_000_000)
    assert not watch.takeable(first, PROFILE)
    world.clock.advance(20.0 + MARGIN)

    assert watch.takeable(first, PROFILE)
    assert not watch.takeable(a_claim(world.clock, nonce="second"), PROFILE)
    assert watch.takeable(a_claim(world.clock, nonce="second", who=dead_holder()), PROFILE)


def test_watch_goes_on_from_caller_to_caller():
    """
    Invariant 12: a wait ends in an error that names who is renewing and says what to do.

    Callers with less time than a claim lasts take it over all the same.
    """
    world = World(rotates=True, wait_timeout=15.0)
    world.claim()
    started = world.clock.monotonic()

    with pytest.raises(RenewalTimeout, match=r"far/1 is renewing.*Try again"):
        world.get()
    assert 15.0 <= world.clock.monotonic() - started < 16.0
    world.clock.advance(20.0)

    assert world.get().access_token == "access-2"


def test_watch_forgets_old_claims(world, watch):
    """A process that sees many claims, or gives many of its own up, keeps the newest."""
    claims = [a_claim(world.clock, nonce=str(n)) for n in range(2500)]
    for claim in claims:
        watch.give_up(f"own {claim.nonce}")
        watch.takeable(claim, PROFILE)
    own = [a_claim(world.clock, nonce=f"own {n}") for n in (0, 2499)]
    world.clock.advance(30.0)

    looked = [watch.takeable(each, PROFILE) for each in (claims[-1], own[1], claims[0], own[0])]
    assert looked == [True, True, False, False]


LEFT = {
    "the store goes away in the call": lambda world: (
        world.provider.before.append(world.here.store.goes_down),
        world.down(),
    ),
    "it is committed in silence, and the store goes away": lambda world: world.here.store.after[
        "claim"
    ].append(lambda: (world.here.store.goes_down(), away())),
}


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
def test_own_claim_that_could_not_be_released(world, left):
    """Invariant 12: a process does not wait for itself; others can't know, and wait."""
    left(world)
    assert world.outcome() in (ProviderUnavailable, StoreUnavailable)
    world.here.store.down = False
    world.provider.trouble.clear()
    world.write_renewal(failure=None)
    assert not Watch(world.clock).takeable(world.stored.renewal.claim, world.provider.profile)
    slept = len(world.clock.slept)

    assert world.get().access_token == world.stored.access_token

    assert world.clock.slept[slept:] == []
