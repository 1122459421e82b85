"""One expiry, one call: threads, and processes that are killed, interrupted or forked."""

from __future__ import annotations

import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest


def rotations(*names):
    return pytest.mark.parametrize("fleet", names, indirect=True)


def at_once(count, call):
    """Call from *count* threads at the same moment; return what each got."""
    barrier = threading.Barrier(count)

    def run(number):
        barrier.wait(30)
        return call(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@rotations("none", "rotate", "rotate_reuse_kills", "rotate_grace")
@pytest.mark.parametrize("keepers", [1, 16])
def test_64_threads(fleet, keepers):
    """Invariant 2: one expiry, one call, however many threads ask, if they share but the file."""
    made = [fleet.keeper() for _ in range(keepers)]

    tokens = at_once(64, lambda n: made[n % keepers].get(id=fleet.id))

    assert {token.access_token for token in tokens} == {fleet.stored.access_token}
    assert fleet.calls == 1
    assert fleet.works(fleet.stored)


@rotations("rotate_reuse_kills")
def test_8_processes(fleet):
    """Invariant 2: one expiry, one call, however many processes ask."""
    workers = fleet.start(8)
    for worker in workers:
        worker.ask("get")

    told = [worker.told() for worker in workers]

    assert {answer.get("access_token") for answer in told} == {fleet.stored.access_token}
    assert fleet.calls == 1
    assert fleet.works(fleet.stored)


def test_side_by_side(world):
    """Invariant 2: a token that expires while another one is renewed is not held up by that."""
    other = world.login("login-2", user="ben@example.com:2")
    meanwhile = []
    world.provider.during.append(lambda: meanwhile.append(world.here.keeper.get(id=other.id)))

    assert world.get().access_token != meanwhile[0].access_token
    assert (world.calls, world.clock.slept) == (2, [])


def test_advisory_window(world):
    """Close before the end one caller renews; all others go on at once with the old token."""
    world.write_renewal(lifetime=3600.0)
    world.write(expires_at=world.clock.now() + 100)
    others = []
    world.provider.during.append(
        lambda: others.extend(at_once(8, lambda n: world.get((world.here, world.there)[n % 2])))
    )

    assert world.get().access_token == "access-2"
    assert [token.access_token for token in others] == ["access-1"] * 8
    assert world.calls == 1


@pytest.mark.parametrize(
    ("fleet", "answered"),
    [("none", False), ("rotate", False), ("rotate_grace", True)],
    indirect=["fleet"],
)
def test_killed_in_the_call(fleet, answered):
    """Invariant 2: the next process takes a dead holder's claim over at once; one more call."""
    fleet.in_the_call(kind="hang", after=answered).kill()
    assert fleet.stored.renewal.claim is not None

    answer = fleet.start().get()

    assert answer["access_token"] == fleet.stored.access_token
    assert fleet.calls == 2
    assert fleet.works(fleet.stored)


@rotations("rotate_reuse_kills")
@pytest.mark.parametrize("next_one", ["get", "sweep"])
def test_killed_between_journal_and_save(fleet, next_one):
    """Invariant 4: what was journaled is saved by the next one, without a call, and not twice."""
    holder, other = fleet.start(halts=True), fleet.start(fake_clock=True)
    holder.ask("get")
    assert holder.told() == {"halted": True}
    holder.kill()
    assert fleet.stored.pair == fleet.first.pair

    other.ask(next_one)
    told = other.told()

    saved = fleet.stored
    assert told.get("access_token", saved.access_token) == saved.access_token
    assert next_one == "get" or told == {"saved": 1}
    assert saved.access_token != fleet.first.access_token
    assert fleet.works(saved)
    assert fleet.calls == 1
    assert list(fleet.journal.iterdir()) == []


def test_interrupted(fleet):
    """A Ctrl-C during the call hits the program, not the answer: it is saved."""
    holder = fleet.in_the_call()

    holder.signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):  # for the answer, if need be
        holder.process.wait(0.5)
    fleet.release()
    holder.process.wait(30)

    assert holder.process.returncode != 0
    assert fleet.stored.access_token != fleet.first.access_token
    assert fleet.stored.renewal.claim is None
    assert fleet.works(fleet.stored)


@pytest.mark.parametrize(
    ("fleet", "lives"),
    [("none", True), ("rotate_reuse_kills", True), ("none", False)],
    indirect=["fleet"],
)
def test_forked_in_flight(fleet, lives):
    """Invariant 11: a child waits for its parent's call and shares the token, if that lives."""
    held = fleet.held_up()
    worker = fleet.start()
    worker.ask("fork")
    assert worker.told() == {"started": True}
    assert held.wait(30)
    worker.ask("now")
    pid = worker.told()["forked"]
    if lives:
        fleet.release()
    else:
        worker.kill()

    told = [worker.told() for _ in range(1 + lives)]

    parent = next((each for each in told if "child" not in each), None)
    assert {"access_token": fleet.stored.access_token, "pid": pid} in [
        each.get("child") for each in told
    ]
    if lives:
        assert (parent["child_status"], parent["access_token"]) == (0, fleet.stored.access_token)
    assert fleet.calls == 2 - lives
