"""A call that fails: made once more, remembered for all, and what it says of the login."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from renewal_scenario import NEWER, World, away, landed
from test_claims import ANSWER, journaled

from tokenkeep import (
    ConfigurationError,
    CoolingDown,
    GrantRejected,
    LoginNeeded,
    ProviderRefused,
    ProviderUnavailable,
    RenewalTimeout,
    Status,
    StoreUnavailable,
    TokenNotFound,
    TokenRevoked,
)
from tokenkeep.clock import moment
from tokenkeep.providers import Profile, Reply
from tokenkeep.testing import FakeClock

DOWN = ProviderUnavailable("It did not answer", answered=False)
UNREAD = ProviderUnavailable("It answered HTML", unread=Reply(status=200, body=b"<html>"))
REFUSED = ProviderRefused("The client is refused", error="invalid_client")

# A passing fault is followed by one more call, under the same claim, before anybody sees it.


@pytest.mark.parametrize(
    "kind", ["status", "drop", "garbage", "empty", "list", "no_access_token", "huge"]
)
def test_passes(fleet, kind):
    """One fault costs its caller nothing, whatever it was, and leaves no trace."""
    fleet.zoho.faults.add(kind=kind)

    token = fleet.keeper(clock=FakeClock()).get(id=fleet.id)

    assert fleet.works(token)
    assert fleet.calls == 2
    assert [each.what for each in fleet.stored.history] == ["login", "renewed"]


def test_counted():
    """Invariant 6: both calls count, each before it is made; nobody hears of a passing fault."""
    world, counts = World(rotates=True, mint_limit=10), []
    look = lambda: counts.append(len(world.stored.renewal.mints))  # noqa: E731
    world.provider.before += [look, look]
    world.provider.trouble.append(DOWN)

    assert world.outcome() == ("access-2", "login-1/1")
    assert counts == [1, 2]
    assert world.here.names() == ["renewed"]


def test_outage(limited):
    """Invariant 6: a provider that is down for a while costs one call of the budget each time."""
    limited.down(times=5)
    calls = []
    for _ in range(4):
        assert ProviderUnavailable is limited.outcome()
        calls.append(limited.calls)
        limited.clock.advance(61)

    assert calls == [2, 3, 4, 5]
    limited.provider.trouble.clear()
    assert limited.get().access_token == "access-2"


DEFINITE = {
    GrantRejected("The provider rejects the grant"): LoginNeeded,
    CoolingDown("Too many requests", until=1_800_000_060.0): CoolingDown,
    REFUSED: ProviderRefused,
    ConfigurationError("A call needs client_id"): ConfigurationError,
    ProviderUnavailable("It answered what it does not know", passing=False): ProviderUnavailable,
    UNREAD: ProviderUnavailable,  # it has spent a refresh token that rotates
}


@pytest.mark.parametrize("error", DEFINITE, ids=lambda error: type(error).__name__)
def test_definite(error):
    """What is no passing fault is not asked for twice; what can't be sent is not counted."""
    world = World(rotates=True, mint_limit=10)
    world.provider.trouble.append(error)

    assert DEFINITE[error] is world.outcome()
    assert world.calls == 1
    assert len(world.stored.renewal.mints) == (not isinstance(error, ConfigurationError))
    assert len(world.kept) == (error is UNREAD)


def test_unread(world):
    """One that may hold no other refresh token is asked for again, and not kept."""
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
    world.provider.trouble.append(DOWN)

    assert (RenewalTimeout if leaves else ProviderUnavailable) is world.outcome()
    has_left.set()
    landed()
    assert world.calls == 1
    assert world.stored.renewal.claim is None


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_budget_is_full(limit):
    """Invariant 6: nor without room for it in the budget."""
    world = World(mint_limit=limit)
    world.write_renewal(mints=(world.clock.now(),) * (limit - 1))
    world.provider.trouble.append(DOWN)

    assert ProviderUnavailable is world.outcome()
    assert world.calls == 1


@pytest.mark.parametrize(
    ("when", "step", "outcome"),
    [
        ("in the call", "log in", NEWER),
        ("in the call", "revoke", TokenRevoked),
        ("in the call", "write", ProviderUnavailable),
        ("in the call", "claim", ProviderUnavailable),
        ("once it is counted", "no answer", ProviderUnavailable),
        ("once it is counted", "pause", ProviderUnavailable),
    ],
)
def test_lost_race(rotating, when, step, outcome):
    """Whoever writes the row before the second call is counted, or holds it up, ends it."""
    happens = rotating.step(step)
    if when == "once it is counted":
        happens = partial(rotating.here.store.after["claim"].append, happens)
    rotating.provider.before.append(happens)
    rotating.provider.trouble.append(DOWN)

    assert outcome == rotating.outcome()
    assert rotating.calls == 1


# Failures are remembered in the store, shared by all, and never a reason to fail in turn.


def test_failure_releases_the_claim(world):
    """After a failure nobody waits for a claim of no use, whatever others have written."""
    world.down()
    world.here.store.before["release"].append(world.step("write"))

    with pytest.raises(ProviderUnavailable, match=world.id):
        world.get()

    assert world.stored.renewal.claim is None
    assert (*world.stored.pair, world.stored.scope) == ("access-1", "login-1/0", "wider")
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
        assert ProviderUnavailable is world.outcome(partial(world.get, world.there))
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
    world.down(times=3)
    pauses = []
    for _ in range(3):
        for actor in (world.here, world.there):
            assert ProviderUnavailable is world.outcome(partial(world.get, actor))
        pauses.append(world.stored.renewal.failure.until - world.clock.now())
        world.clock.advance(pauses[-1])

    assert pauses == [1, 2, 4]
    assert world.calls == 6
    world.get()
    assert world.stored.renewal.failure is None


@pytest.mark.parametrize(("error", "again"), [(REFUSED, REFUSED.error), (DOWN, DOWN.what)])
def test_failure_of_another_credential(world, error, again):
    """A wrong client secret neither replaces the right one nor keeps it from being tried."""
    world.provider.trouble += [error, error]
    for actor, said in ((world.here, error.what), (world.there, again)):
        with pytest.raises(type(error), match=said):
            actor.keeper.valid(world.stored, client_secret="wrong")
    assert (world.stored.status, world.stored.client_secret) == (Status.OK, "s3cret")
    world.provider.trouble.clear()

    token = world.here.keeper.valid(world.stored, client_secret="the right one")

    assert token.access_token == "access-2"
    assert world.provider.secrets[-1] == world.stored.client_secret == "the right one"


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


# PERMANENT: a rejected refresh token is a question, never a verdict.


@pytest.fixture
def dead(world):
    """The user has withdrawn consent at the provider."""
    world.provider.dead.add("login-1")
    return world


def test_rejected_refresh_token(dead):
    """The stored one rejected, whatever the secret, means a login; no token is written over."""
    for actor in (dead.here, dead.there):
        with pytest.raises(LoginNeeded):
            actor.keeper.valid(dead.stored, client_secret="another")

    assert Status.LOGIN_NEEDED is dead.stored.status
    assert dead.stored.client_secret == "s3cret"
    assert dead.stored.pair == ("access-1", "login-1/0")
    assert dead.stored.renewal.claim is None
    assert dead.calls == 1
    assert "login_needed" in dead.here.names()


MEANWHILE = {
    "log in": (NEWER, Status.OK),
    "delete": (TokenNotFound, None),
    "revoke": (TokenRevoked, Status.REVOKED),
    "write": (LoginNeeded, Status.LOGIN_NEEDED),
}


@pytest.mark.parametrize("when", ["in the call", "just before the verdict"])
@pytest.mark.parametrize("step", MEANWHILE)
def test_meanwhile(dead, when, step):
    """Invariants 5 and 7: a rejection says nothing of a new login, nor of what is gone."""
    verdict = dead.here.store.before["login_needed"]
    (dead.provider.during if when == "in the call" else verdict).append(dead.step(step))

    outcome = dead.outcome()

    assert MEANWHILE[step] == (outcome, dead.stored and dead.stored.status)


def taken_over(world, length=20.0):
    """Pause a process past its claim; who took over has spent the refresh token, not saved yet."""
    world.provider.current["login-1"] += 1
    world.claim(length=length)


def test_steps_aside_for_a_live_claim(rotating):
    """Invariant 5: nobody is sent to the login while another holder may have the new token."""

    def saves():
        ends = rotating.clock.now() + 3600
        rotating.write(access_token="the other's", refresh_token="login-1/1", expires_at=ends)
        rotating.free()

    rotating.provider.before.append(lambda: taken_over(rotating))
    # The first read asks about the rejection, the second one is after the pause.
    rotating.here.store.before["read"] += [lambda: None, saves]

    assert rotating.get().access_token == "the other's"
    assert Status.OK is rotating.stored.status


@pytest.mark.parametrize(
    ("length", "error", "status"),
    [(25.0, LoginNeeded, Status.LOGIN_NEEDED), (60.0, RenewalTimeout, Status.OK)],
)
def test_stepping_aside_ends(length, error, status):
    """Invariant 12: a holder that never saves is waited for until claim or caller runs out."""
    world = World(rotates=True, claim_length=length)
    world.provider.before.append(lambda: taken_over(world, length))
    started = world.clock.monotonic()

    assert error is world.outcome()
    assert min(length + 2.0, 45.0) <= world.clock.monotonic() - started < 46.0
    assert status is world.stored.status


def test_answer_in_the_journal(rotating):
    """Invariant 5: before the verdict the journal is asked, too: a dead holder may be in it."""
    rotating.provider.before.append(lambda: journaled(rotating))  # another renews, and dies

    assert "journaled access" == rotating.get().access_token == rotating.stored.access_token
    assert Status.OK is rotating.stored.status


# After a rejection a deliberate renewal asks once more; nobody else does.


def reject(world):
    """Let the provider reject the refresh token, as it turns out wrongly."""
    world.provider.dead.add("login-1")
    assert LoginNeeded is world.outcome()
    world.provider.dead.clear()
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
    """Without an answer all is as before, but for the caller, who hears why: others don't."""
    rejected.down()

    assert ProviderUnavailable is renew(rejected)
    assert rejected.stored.status is Status.LOGIN_NEEDED
    for actor in (rejected.here, rejected.there, rejected.here):
        with pytest.raises(LoginNeeded, match="rejected the refresh token"):
            rejected.get(actor)
    with pytest.raises(LoginNeeded):
        rejected.here.keeper.rejected(rejected.id, "access-1")

    assert renew(rejected) == ANSWER
    assert rejected.calls == 4


@pytest.mark.parametrize(
    ("errors", "later"),
    [
        ([DOWN, DOWN], ANSWER),
        ([REFUSED], ANSWER),
        ([CoolingDown("Slow", until=1_800_000_060.0)], CoolingDown),
    ],
)
def test_while_it_is_left_alone(world, errors, later):
    """It need not be waited for, unless the provider throttles: its own time is everybody's."""
    world.provider.trouble += errors
    for actor in (world.here, world.there):
        assert type(errors[0]) is world.outcome(partial(world.get, actor))
    assert world.calls == len(errors)

    assert later == renew(world)
    assert world.calls == len(errors) + (later is not CoolingDown)


def test_login_meanwhile(rejected):
    """What a login has saved is not put back to where the deliberate renewal found it."""
    rejected.provider.before.append(rejected.step("save"))
    rejected.down()

    assert renew(rejected) == ("saved", "login-1/0")
    assert (rejected.stored.status, rejected.stored.access_token) == (Status.OK, "saved")


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
