"""A host whose clock is wrong: what it learns of it, and when it forgets that."""

from __future__ import annotations

import pytest

from tokenkeep import ProviderUnavailable
from tokenkeep.clock import CLOCK_TOLERANCE

TWO_HOURS = 7200.0
ISSUER = "https://provider.example/token"


def off(world, seconds):
    """Set this host's clock ahead of the provider's, or behind it; the next caller renews."""
    world.provider.extra = {"clock_offset": -seconds}
    world.clock.set(world.clock.now() + seconds)
    world.write(expires_at=world.clock.now() - 1)


def set_right(world, seconds):
    """Undo `off`, as NTP does."""
    world.provider.extra = {"clock_offset": 0.0}
    world.clock.set(world.clock.now() - seconds)


@pytest.mark.parametrize("ahead", [TWO_HOURS, -TWO_HOURS])
def test_clock_set_right(world, ahead):
    """What was learnt of a clock is forgotten once it is set: no token is handed out ended."""
    off(world, ahead)
    world.get()
    set_right(world, ahead)

    for minutes in (0, 10, 44, 2, 5, 39, 19, 2, 29, 29, 2):
        world.clock.advance(minutes * 60)
        assert world.get().expires_at > world.clock.now()

    assert len(world.provider.sent) == 1 + 3  # at minute 56, 119 and 179


@pytest.mark.parametrize("ahead", [TWO_HOURS, -TWO_HOURS])
def test_clock_that_stays_wrong(world, ahead):
    """Time that passes is no reason to forget, nor is a correction too small to count."""
    off(world, ahead)
    for _ in range(10):
        world.get()
        world.clock.advance(1000)
        world.clock.set(world.clock.now() + CLOCK_TOLERANCE / 12)

    # Renewed when 300 s or less of an hour are left: after 4 looks each.
    assert len(world.provider.sent) == 3
    assert world.here.keeper.clock_errors.of(ISSUER) == -ahead


def test_suspended_machine(world):
    """A suspend, in which the monotonic clock stands still, costs one call at most."""
    off(world, TWO_HOURS)
    world.get()
    world.clock.set(world.clock.now() + 600)  # woken up: 50 minutes are left

    for _ in range(5):
        world.get()

    assert len(world.provider.sent) == 2


@pytest.mark.parametrize("error", [3600.0, -3600.0])
def test_one_call_for_one_expiry(world, error):
    """Invariant 2: a host whose clock is an hour off asks no more often than others."""
    world.write(expires_at=world.clock.now() - 1)
    world.provider.extra = {"clock_offset": -error}

    for _ in range(12):
        world.get()
        world.clock.advance(1.0)

    assert len(world.provider.sent) == 1
    assert world.stored.expires_at - world.clock.now() == pytest.approx(3600 - error, abs=15)
    world.clock.advance(3600)
    world.get()
    assert len(world.provider.sent) == 2


def test_clock_far_ahead_blocks_nobody(limited):
    """What a host with a clock a year ahead has written holds nobody up."""
    year = 365 * 86_400.0
    now = limited.clock.now()
    limited.clock.set(now + year)
    limited.provider.trouble.append(ProviderUnavailable("down"))
    with pytest.raises(ProviderUnavailable):
        limited.get(limited.there)
    limited.clock.set(now)
    limited.write_renewal(mints=tuple(now + year + n for n in range(10)))

    assert limited.get().access_token == "access-2"


def test_one_issuer_s_clock_says_nothing_of_another(limited):
    """Only the ends of an issuer's own tokens are judged by its clock, and nothing else."""
    limited.here.keeper.clock_errors.learn("https://other.example/token", -3600.0)
    now = limited.clock.now()
    limited.write(expires_at=now - 600)

    assert limited.get().access_token == "access-2"
    assert limited.stored.renewal.mints[-1] == now


def test_learnt_right_after_the_clock_was_set(world):
    """What a call that saw the clock set has learnt is about the clock as it is now."""
    errors = world.here.keeper.clock_errors
    world.clock.set(world.clock.now() + TWO_HOURS)

    errors.learn(ISSUER, -TWO_HOURS)

    assert errors.of(ISSUER) == -TWO_HOURS


def test_learnt_from_another_token(world):
    """Tokens that were looked at before are judged anew by what another one's renewal taught."""
    other = world.login("login-2", "first-2", user="ben@example.com:2")
    off(world, -TWO_HOURS)
    # By this host's clock, two hours more than it has.
    ends = world.clock.now() + TWO_HOURS + 900
    world.there.store.vault.swap(world.here.store.vault.reread(other.id).but(expires_at=ends))
    assert world.here.keeper.get(id=other.id).access_token == "first-2"

    world.get()
    world.clock.advance(901)

    assert world.here.keeper.get(id=other.id).access_token != "first-2"


def test_nothing_new_was_learnt(world):
    """On a host whose clock is right a renewal is no reason to look at all tokens again."""
    world.provider.extra = {"clock_offset": 3.0}
    errors = world.here.keeper.clock_errors
    before = errors.era()

    world.get()

    assert errors.era() == before
