"""Processes that are killed or stopped in the middle of a renewal, and who carries on."""

from __future__ import annotations

import signal

import pytest

from tokenkeep import Status

with_grace = pytest.mark.parametrize("fleet", ["none", "rotate_grace"], indirect=True)
rotating = pytest.mark.parametrize("fleet", ["rotate_reuse_kills"], indirect=True)


@rotating
def test_stopped_between_journal_and_save(fleet):
    """Invariant 4: the journal is believed as well while its writer lives; nothing is doubled."""
    holder = fleet.start(halt_at="save")
    holder.ask("get")
    assert holder.told() == {"halted": "save"}

    answer = fleet.start(fake_clock=True).get()
    saved = fleet.stored
    holder.ask("go on")
    late = holder.told()

    assert answer["access_token"] == late["access_token"] == saved.access_token
    assert fleet.stored.version == saved.version
    assert fleet.calls == 1
    assert list(fleet.journal.iterdir()) == []


@pytest.mark.parametrize(
    ("fleet", "answered"),
    [("none", False), ("rotate", False), ("rotate_grace", True)],
    indirect=["fleet"],
)
def test_killed_in_the_call(fleet, answered):
    """Invariant 2: the next process takes a dead holder's claim over at once; one more call."""
    holder = fleet.start()
    held = fleet.zoho.faults.add(kind="hang", after=answered)
    holder.ask("get")
    assert held.wait(30)
    if answered:
        fleet.wait_for_mint()
    holder.kill()
    assert fleet.stored.renewal.claim is not None

    answer = fleet.start().get()

    assert answer["access_token"] == fleet.stored.access_token
    assert fleet.calls == 2
    assert fleet.works(fleet.stored)


@rotating
@pytest.mark.parametrize("next_one", ["get", "sweep"])
def test_killed_between_journal_and_save(fleet, next_one):
    """Invariant 4: what a killed process journaled is saved by the next one, without a call."""
    holder = fleet.start(halt_at="save")
    holder.ask("get")
    assert holder.told() == {"halted": "save"}
    holder.kill()
    assert fleet.stored.pair == fleet.first.pair

    other = fleet.start()
    other.ask(next_one)
    told = other.told()

    if next_one == "get":
        assert told["access_token"] == fleet.stored.access_token
    else:
        assert told == {"saved": 1}
    assert fleet.stored.access_token != fleet.first.access_token
    assert fleet.calls == 1
    assert fleet.works(fleet.stored)
    assert list(fleet.journal.iterdir()) == []


def stopped_past_its_claim(fleet):
    """Stop a process after its answer was made, let another take over, and wake it up again."""
    holder, overtaking = fleet.start(), fleet.start(fake_clock=True)
    held = fleet.held_up()
    holder.ask("get")
    assert held.wait(30)
    fleet.wait_for_mint()
    holder.signal(signal.SIGSTOP)
    other = overtaking.get()
    between = fleet.stored
    fleet.release()
    holder.signal(signal.SIGCONT)
    return holder.told(), other, between


@with_grace
def test_stopped_past_its_claim(fleet):
    """Invariant 2: a holder that wakes up late saves nothing over the one that took over."""
    late, other, between = stopped_past_its_claim(fleet)

    assert other["access_token"] == late["access_token"] == fleet.stored.access_token
    assert fleet.stored.version == between.version
    assert fleet.calls == 2
    assert fleet.works(fleet.stored)


@pytest.mark.parametrize("fleet", ["rotate"], indirect=True)
def test_stopped_past_its_claim_with_rotation(fleet):
    """Invariant 4: its answer is the only good one; it lifts the other's verdict."""
    late, other, between = stopped_past_its_claim(fleet)

    assert other["error"] == "LoginNeeded"
    assert between.status is Status.LOGIN_NEEDED
    assert late["access_token"] == fleet.stored.access_token
    assert fleet.stored.status is Status.OK
    assert fleet.works(fleet.stored)


def test_interrupted(fleet):
    """A Ctrl-C during the call hits the program, not the answer: it is saved."""
    holder = fleet.start()
    held = fleet.held_up()
    holder.ask("get")
    assert held.wait(30)

    holder.signal(signal.SIGINT)
    fleet.release()
    holder.process.wait(30)

    assert holder.process.returncode != 0
    assert fleet.stored.access_token != fleet.first.access_token
    assert fleet.stored.renewal.claim is None
    assert fleet.works(fleet.stored)


@pytest.mark.parametrize("fleet", ["none", "rotate_reuse_kills"], indirect=True)
def test_forked_in_flight(fleet):
    """Invariant 11: a child of a process that is renewing waits for it and shares the token."""
    held = fleet.held_up()
    worker = fleet.start()
    worker.ask("fork")
    assert worker.told() == {"started": True}
    assert held.wait(30)
    worker.ask("now")
    assert "forked" in worker.told()
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
    held = fleet.held_up()
    worker = fleet.start()
    worker.ask("fork")
    worker.told()
    assert held.wait(30)
    worker.ask("now")
    assert "forked" in worker.told()
    worker.kill()

    child = worker.told()["child"]

    assert child["access_token"] == fleet.stored.access_token
    assert fleet.calls == 2
