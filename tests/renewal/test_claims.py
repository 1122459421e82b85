"""Claims: written, waited for and taken over; and one attempt at a time within a process."""

from __future__ import annotations

import threading
import time

import pytest
from interference import Crash
from renewal_scenario import World, dead_holder, landed
from test_one_call import at_once

from tokenkeep import ProviderUnavailable, RenewalTimeout, StoreUnavailable, TokenRevoked
from tokenkeep.decision import CLOCK_SKEW
from tokenkeep.providers import Answer, Profile
from tokenkeep.renewal import flights as module
from tokenkeep.renewal.outcomes import answered
from tokenkeep.renewal.watch import MARGIN, Watch
from tokenkeep.token import Claim

# HOLDER, from claim to call.

ANSWER = ("access-2", "login-1/0")


def journaled(world):
    """Leave behind what a process of this host leaves that dies before its save."""
    base = world.stored
    world.provider.current["login-1"] += 1
    answer = Answer(
        access_token="journaled access",
        refresh_token=f"login-1/{world.provider.current['login-1']}",
        expires_in=3600.0,
    )
    entry = answered(base, answer, world.provider, asked=base, sent_at=world.clock.now())
    return world.here.journal.put(entry)


CLAIMS = [
    ("before", "renew", ANSWER, []),  # lost to another
    ("after", "no answer", ANSWER, ["claim", "save"]),  # it was committed
    ("after", "revoke, no answer", TokenRevoked, ["claim"]),
    ("before", "no answer", StoreUnavailable, ["claim", "save"]),
    ("before", "store down", StoreUnavailable, ["claim", "save"]),  # nor can the row be read
]


@pytest.mark.parametrize(("when", "step", "outcome", "written"), CLAIMS)
def test_claim(limited, when, step, outcome, written):
    """Invariant 2: only whose nonce is in the row asks; the next caller is not held up."""
    getattr(limited.here.store, when)["claim"].append(limited.step(step))

    assert outcome == limited.outcome()
    if outcome is StoreUnavailable:
        assert limited.provider.sent == []
        limited.here.store.down = False
        assert ANSWER == limited.outcome()
    assert written == limited.here.store.written
    assert limited.calls == (outcome is not TokenRevoked)
    assert ANSWER != outcome or len(limited.stored.renewal.mints) == 1


def test_replayed_between_take_over_and_look(killing):
    """Invariant 2: after a take-over the holder looks again before it sends."""
    # The dead one's answer leaves the journal before that is looked into.
    killing.claim(ago=1000)
    # Not earlier: who waits for a claim looks into the journal as well.
    killing.here.store.before["claim"].append(lambda: journaled(killing))
    killing.here.store.after["claim"].append(killing.beside.keeper.sweep)

    assert killing.get().access_token == "journaled access"
    assert (killing.provider.sent, killing.provider.dead) == ([], set())


@pytest.mark.parametrize(
    ("where", "monotonic", "wall"),
    [
        ("in the commit", 15, 15),
        ("after it", 0, 3600),  # a suspend stops one clock
        ("after it", 15, 0),  # the other turned back
        ("in the journal", 15, 15),
    ],
)
@pytest.mark.parametrize("overtaken", [False, True])
def test_held_up(killing, where, monotonic, wall, overtaken):
    """Invariant 2: who was held up past its claim steps back instead of sending."""
    store, slow = killing.here.store, []
    killing.here.journal.prepare = lambda: slow.pop()() if slow else None
    places = {"in the commit": store.before["claim"], "after it": store.after["claim"]}

    def held_up():
        killing.clock.advance(monotonic)
        killing.clock.set(killing.clock.now() + wall - monotonic)
        if overtaken:
            killing.get(killing.there)

    places.get(where, slow).append(held_up)

    assert killing.get().pair == killing.stored.pair
    assert killing.provider.sent == ["login-1/0"]
    assert overtaken or store.written == ["claim", "release", "claim", "save"]


# CLIENT: waiting for somebody else's renewal, and taking it over.

PROFILE = Profile(rotates=True)


def a_claim(clock, *, who="not known", nonce="n", ago=0.0):
    return Claim(nonce=nonce, holder=who, taken_at=clock.now() - ago, length=20.0)


@pytest.fixture
def watch(world):
    return Watch(world.clock)


@pytest.mark.parametrize("length", [20.0, 25.0, 1e9])
def test_length_of_another_profile(world, length):
    """A claim lasts as long as this process knows, not as it says; waiters look now and then."""
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
    """Invariant 12: a wait ends in an error that names who is renewing and says what to do."""
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


@pytest.mark.parametrize("when", ["in the call", "in the claim"])
def test_own_claim_that_could_not_be_released(world, when):
    """Invariant 12: a process does not wait for itself; others can't know, and wait."""
    if when == "in the call":
        world.provider.before.append(world.step("store down"))
        world.down()
    else:
        world.here.store.after["claim"].append(world.step("store down, no answer"))
    assert world.outcome() in (ProviderUnavailable, StoreUnavailable)
    world.here.store.down = False
    world.provider.trouble.clear()
    world.write_renewal(failure=None)
    assert not Watch(world.clock).takeable(world.stored.renewal.claim, world.provider.profile)
    slept = len(world.clock.slept)

    assert world.get().access_token == world.stored.access_token

    assert world.clock.slept[slept:] == []


# Flights: threads share an attempt, and a caller that is interrupted leaves none behind.


def test_threads_share_one_attempt(world):
    """Invariant 2: while one thread of a process renews, no other one writes a claim."""
    calling, store = threading.Event(), world.here.store
    tried = []
    store.before["claim"] += [lambda: tried.append(calling.is_set())] * 8
    # Others look at a record in which the claim has been lost.
    store.after["claim"].append(world.free)
    world.provider.before.append(lambda: (calling.set(), time.sleep(0.5)))
    # Later, one who read before the answer was saved may try; its old version is refused.
    world.provider.during.append(calling.clear)

    at_once(8, lambda _: world.get())

    assert True not in tried
    assert world.calls == 1


def test_no_more_threads(monkeypatch):
    """Where no thread can be started (a limit, an ending interpreter) the caller's own is used."""

    def refused(self):  # noqa: ARG001  # the interface's
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)

    assert module.Flights().start("id", lambda: "a token").result() == "a token"


def test_in_a_thread_of_ours():
    """A thread that nobody interrupts makes its attempt itself, and keeps others from theirs."""
    flights, others, here = module.Flights(), [], []

    def attempt():
        others.append(flights.start("id", lambda: "another"))
        here.append(threading.get_ident())
        return "a token"

    assert flights.start("id", attempt, here=True).result(0) == "a token"
    assert here == [threading.get_ident()]
    assert others == [None]
    assert not flights.is_own("id")


@pytest.mark.parametrize("begins", [False, True])
def test_interrupted_while_it_starts(monkeypatch, begins):
    """Whenever the caller is interrupted, the next one can renew; what has begun is ended."""
    flights, ended, start = module.Flights(), [], threading.Thread.start

    def interrupted(thread):
        if begins:
            start(thread)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(Crash):
            flights.start("id", lambda: ended.append(1))
    landed()

    assert ended == [1] * begins
    assert flights.start("id", lambda: "a token").result(20) == "a token"
