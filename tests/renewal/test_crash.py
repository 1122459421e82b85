"""Processes that are killed or stopped in the middle of a renewal, and who carries on."""

from __future__ import annotations

import signal

import pytest

from tokenkeep import Status


def asking(fleet, held):
    """Start a process that is in the call."""
    holder = fleet.start()
    holder.ask("get")
    assert held.wait(30)
    return holder


@pytest.mark.parametrize(
    ("fleet", "answered"),
    [("none", False), ("rotate", False), ("rotate_grace", True)],
    indirect=["fleet"],
)
def test_killed_in_the_call(fleet, answered):
    """Invariant 2: the next process takes a dead holder's claim over at once; one more call."""
    holder = asking(fleet, fleet.zoho.faults.add(kind="hang", after=answered))
    if answered:
        fleet.wait_for_mint()
    holder.kill()
    assert fleet.stored.renewal.claim is not None

    answer = fleet.start().get()

    assert answer["access_token"] == fleet.stored.access_token
    assert fleet.calls == 2
    assert fleet.works(fleet.stored)


@pytest.mark.parametrize("fleet", ["rotate_reuse_kills"], indirect=True)
@pytest.mark.parametrize("next_one", ["get", "sweep"])
@pytest.mark.parametrize("lives", [False, True], ids=["killed", "stopped"])
def test_killed_between_journal_and_save(fleet, next_one, lives):
    """Invariant 4: what was journaled is saved by the next one, without a call, and not twice."""
    holder, other = fleet.start(halt_at="save"), fleet.start(fake_clock=True)
    holder.ask("get")
    assert holder.told() == {"halted": "save"}
    if not lives:
        holder.kill()
    assert fleet.stored.pair == fleet.first.pair

    other.ask(next_one)
    told = other.told()

    saved = fleet.stored
    assert told.get("access_token", saved.access_token) == saved.access_token
    assert next_one == "get" or told == {"saved": 1}
    assert saved.access_token != fleet.first.access_token
    assert fleet.works(saved)
    if lives:
        holder.ask("go on")
        assert holder.told()["access_token"] == saved.access_token
        assert fleet.stored.version == saved.version
    assert fleet.calls == 1
    assert list(fleet.journal.iterdir()) == []


@pytest.mark.parametrize("fleet", ["none", "rotate_grace", "rotate"], indirect=True)
def test_stopped_past_its_claim(fleet):
    """
    Invariant 2: a holder that wakes up late saves nothing over the one that took over.

    With rotation its answer is the only good one: it lifts the other's verdict (invariant 4).
    """
    overtaking = fleet.start(fake_clock=True)
    holder = asking(fleet, fleet.held_up())
    fleet.wait_for_mint()
    holder.signal(signal.SIGSTOP)
    other = overtaking.get()
    between = fleet.stored
    fleet.release()
    holder.signal(signal.SIGCONT)
    late = holder.told()

    assert late["access_token"] == fleet.stored.access_token
    assert fleet.works(fleet.stored)
    assert fleet.calls == 2
    if fleet.profile.rotates:
        assert (other["error"], between.status) == ("LoginNeeded", Status.LOGIN_NEEDED)
        assert fleet.stored.status is Status.OK
    else:
        assert other["access_token"] == fleet.stored.access_token
        assert fleet.stored.version == between.version


def test_interrupted(fleet):
    """A Ctrl-C during the call hits the program, not the answer: it is saved."""
    holder = asking(fleet, fleet.held_up())

    holder.signal(signal.SIGINT)
    fleet.release()
    holder.process.wait(30)

    assert holder.process.returncode != 0
    assert fleet.stored.access_token != fleet.first.access_token
    assert fleet.stored.renewal.claim is None
    assert fleet.works(fleet.stored)


def forked_in_flight(fleet):
    """Start a process that forks while its thread is renewing."""
    held = fleet.held_up()
    worker = fleet.start()
    worker.ask("fork")
    assert worker.told() == {"started": True}
    assert held.wait(30)
    worker.ask("now")
    assert "forked" in worker.told()
    return worker


@pytest.mark.parametrize("fleet", ["none", "rotate_reuse_kills"], indirect=True)
def test_forked_in_flight(fleet):
    """Invariant 11: a child of a process that is renewing waits for it and shares the token."""
    worker = forked_in_flight(fleet)
    fleet.release()

    told = [worker.told(), worker.told()]

    child = next(each["child"] for each in told if "child" in each)
    parent = next(each for each in told if "child" not in each)
    assert parent["child_status"] == 0
    assert child["pid"] != parent["pid"]
    assert child["access_token"] == parent["access_token"] == fleet.stored.access_token
    assert fleet.calls == 1


def test_parent_killed_after_the_fork(fleet):
    """Invariant 11: a child does not wait for an attempt that was its parent's."""
    worker = forked_in_flight(fleet)
    worker.kill()

    child = worker.told()["child"]

    assert child["access_token"] == fleet.stored.access_token
    assert fleet.calls == 2
