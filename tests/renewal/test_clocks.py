"""A host whose clock is wrong: what a process learns of it, and when it forgets that."""

from __future__ import annotations

import pytest

from tokenkeep.clock_errors import ClockErrors
from tokenkeep.testing import FakeClock

TWO_HOURS = 7200.0
ISSUER = "https://provider.example/token"


def wrong(world, ahead):
    """Let this host's clock be so far ahead of the provider's, as its answers say."""
    world.provider.extra = {"clock_offset": -ahead}


def off(world, ahead):
    """Set this host's clock ahead of the provider's, or behind it; the next caller renews."""
    wrong(world, ahead)
    world.clock.set(world.clock.now() + ahead)
    world.write(expires_at=world.clock.now() - 1)


SINCE = {
    "time passes": (lambda clock: clock.advance(100_000), -TWO_HOURS),
    "corrected by less than counts": (lambda clock: clock.set(clock.now() + 29), -TWO_HOURS),
    "set": (lambda clock: clock.set(clock.now() - TWO_HOURS), 0.0),
    "suspended": (lambda clock: clock.set(clock.now() + 600), 0.0),
    "another start of the host": (lambda clock: vars(clock).update(monotonic=lambda: 60.0), 0.0),
}


@pytest.mark.parametrize(("step", "behind"), SINCE.values(), ids=SINCE)
def test_how_long_it_is_believed(step, behind):
    """Until the clock is set, or stood still in a suspend; it says nothing of another issuer's."""
    clock = FakeClock()
    errors = ClockErrors(clock)
    clock.set(clock.now() + TWO_HOURS)  # after who learns it was there
    errors.learn(ISSUER, -TWO_HOURS)
    assert errors.of(ISSUER) == -TWO_HOURS
    assert errors.of("https://other.example/token") == 0.0

    step(clock)

    assert errors.of(ISSUER) == behind


@pytest.mark.parametrize("ahead", [TWO_HOURS, -TWO_HOURS])
def test_clock_set_right(world, ahead):
    """What was learnt of a clock is forgotten once it is set: no token is handed out ended."""
    off(world, ahead)
    world.get()
    wrong(world, 0.0)
    world.clock.set(world.clock.now() - ahead)  # as NTP does

    for minutes in (0, 10, 44, 2, 5, 39, 19, 2, 29, 29, 2):
        world.clock.advance(minutes * 60)
        assert world.get().expires_at > world.clock.now()

    assert world.calls == 1 + 3  # at minute 56, 119 and 179


@pytest.mark.parametrize("ahead", [0.0, TWO_HOURS])
def test_one_clock_stands_still(world, ahead):
    """A token that was found good ends with the time that passes on either clock."""
    off(world, ahead)
    world.get()
    if ahead:  # a suspend
        world.clock.set(world.clock.now() + 3700)
    else:
        world.clock.set(world.clock.now() - TWO_HOURS)
        world.clock.advance(3700)

    for _ in range(5):
        world.get()

    assert world.calls == 2


def test_clock_far_ahead_blocks_nobody(limited):
    """What a host whose clock is a year ahead has written holds nobody up; nor another issuer."""
    now, year = limited.clock.now(), 365 * 86_400.0
    limited.clock.set(now + year)
    limited.down()
    limited.outcome(lambda: limited.get(limited.there))
    assert limited.stored.renewal.failure.at >= now + year
    limited.clock.set(now)
    limited.here.keeper.clock_errors.learn("https://other.example/token", -3600.0)
    limited.write_renewal(mints=tuple(now + year + n for n in range(10)))

    assert limited.get().access_token == "access-2"
    assert limited.stored.renewal.mints[-1] == now


def test_learnt_from_another_token(world):
    """Tokens that were found good before are judged anew by what another one's renewal taught."""
    other = world.login("login-2", "first-2", user="ben@example.com:2")
    off(world, -TWO_HOURS)
    # By this host's clock, two hours more than it has.
    ends = world.clock.now() + TWO_HOURS + 900
    world.vault.swap(world.vault.reread(other.id).but(expires_at=ends))
    keeper = world.here.keeper
    assert keeper.get(id=other.id).access_token == "first-2"

    world.get()
    world.clock.advance(901)

    assert keeper.get(id=other.id).access_token != "first-2"
