"""Policies on hosts whose clocks are wrong, set or stopped: nothing ends before its time."""

from __future__ import annotations

import pytest
from policy_stage import DAY, HOUR, MINUTE, NOON, ruled

from tokenkeep import PolicyEnded, Status


@pytest.fixture(params=["session", "idle"])
def token(request, stage):
    """A token whose session, or idle time, may be twelve hours, of which ten have passed."""
    stage.rule(**{{"session": "max_session"}.get(request.param, "idle"): 12 * HOUR})
    token = stage.here.login()
    stage.clock.advance(10 * HOUR)
    return token


def status(stage, token):
    return stage.host().vault.reread(token.id).status


@pytest.fixture(params=["has seen answers", "is fresh"])
def host(request, stage, token):
    """A host on which the clock will be set, in a process that knew the time, or knew nothing."""
    host = stage.host(off=0.0)
    if request.param == "has seen answers":
        host.keeper.clock_errors.learn(token.issuer, 0.0)
    return host


def test_a_day_forward(stage, token, host):
    """A clock that jumps a day forward ends nothing: the provider is asked for the time."""
    host.clock.set(host.clock.now() + DAY)

    assert host.get(token) == "ok"
    assert host.keeper.sweep().ended == 0
    assert status(stage, token) is Status.OK
    assert stage.probes == 1  # what it has said counts until the clock is set again


def test_a_day_forward_in_a_sweep(stage, token, host):
    """Nor does a sweep, which says what it left alone."""
    host.clock.set(host.clock.now() + DAY)

    assert host.keeper.sweep().postponed == 1
    assert status(stage, token) is Status.OK
    assert stage.probes == 1


def test_nobody_says_the_time(stage, token, host):
    """As long as the provider is out of reach it is refused, and nothing is written."""
    host.clock.set(host.clock.now() + DAY)
    stage.unreachable = True

    for _ in range(5):
        assert isinstance(host.get(token), PolicyEnded)
        assert host.keeper.sweep().postponed == 1
    assert status(stage, token) is Status.OK
    assert stage.probes == 1  # one who does not answer is not waited for each time

    stage.unreachable = False
    host.clock.advance(61)
    assert host.get(token) == "ok"


def test_provider_without_a_time(stage, token, host):
    """Where a provider never says what time it is, it is what this host's clock says."""
    stage.says_time = False
    host.clock.advance(3 * HOUR)

    assert isinstance(host.get(token), PolicyEnded)
    assert status(stage, token) is Status.REVOKED


def test_a_day_back(stage, token, host):
    """A clock that was set back ends nothing; set right, the session is as long as it was."""
    host.clock.set(host.clock.now() - DAY)
    assert host.get(token) == "ok"
    assert host.keeper.sweep().ended == 0

    host.clock.set(stage.clock.now())
    stage.clock.advance(16 * HOUR)

    assert host.keeper.sweep().ended == 1
    assert isinstance(host.get(token), PolicyEnded)


def test_suspended(stage):
    """A laptop's sessions end while it sleeps: the provider says that the time has passed."""
    stage.rule(max_session=12 * HOUR)
    token = stage.here.login()
    host = stage.host()
    assert host.get(token) == "ok"

    stage.clock.set(stage.clock.now() + 12 * HOUR)  # the monotonic one has stood still

    assert isinstance(host.get(token), PolicyEnded)
    assert status(stage, token) is Status.REVOKED


@pytest.mark.parametrize("off", [-DAY, DAY])
@pytest.mark.parametrize("setting", ["max_session", "idle"])
def test_always_wrong(stage, off, setting):
    """A host whose clock was always wrong ends nothing early that others, or it, have begun."""
    stage.rule(**{setting: 12 * HOUR})
    wrong = stage.host(off=off)
    ours, its = stage.here.login(), wrong.login(user="ben@example.com:1")

    for _ in range(11):
        stage.clock.advance(HOUR)
        assert wrong.get(ours) == wrong.get(its) == stage.here.get(ours) == "ok"
        assert wrong.keeper.sweep().ended == 0
    if setting == "idle":  # in use there, it is not idle for others
        assert stage.here.keeper.sweep().ended == 0
        assert stage.here.get(its) == "ok"


def test_dead_ones_are_kept_as_long(stage):
    """What is deleted some time after its end is not either, by a clock that is ahead."""
    stage.rule(keep_dead=7 * DAY)
    token = stage.here.login()
    stage.here.keeper.revoke(token.id)
    stage.clock.advance(6 * DAY)
    host = stage.host(off=2 * DAY)

    assert host.keeper.sweep().purged == 0
    stage.clock.advance(DAY)
    assert host.keeper.sweep().purged == 1
    assert host.vault.reread(token.id) is None


def test_set_by_a_clock_that_is_ahead(stage):
    """Policies that a host a year ahead has set are applied once, not by each sweep for a year."""
    stage.here.login()
    stage.host(off=365 * DAY).vault.set_policies(ruled(max_session=DAY))

    stage.here.keeper.sweep()

    assert stage.here.vault.is_applied


def test_minutes_do_not_count(stage):
    """Hosts whose clocks are a minute apart hold to policies to the minute."""
    stage.rule(max_session=HOUR)
    token = stage.here.login()
    slow = stage.host(off=-MINUTE)
    stage.clock.advance(HOUR - 1)
    assert slow.get(token) == stage.here.get(token) == "ok"
    stage.clock.advance(1 + MINUTE)

    assert isinstance(slow.get(token), PolicyEnded)
    assert slow.vault.reread(token.id).history[-1].at == NOON + HOUR
