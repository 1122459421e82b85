"""One expiry, one call: threads and processes against the emulator, in all its modes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tokenkeep import ProviderUnavailable

ROTATIONS = ("none", "rotate", "rotate_reuse_kills", "rotate_grace")


def at_once(count, call):
    """Call from *count* threads at the same moment; return what each got or raised."""
    barrier = threading.Barrier(count)

    def run(number):
        barrier.wait(30)
        try:
            return call(number)
        except Exception as exc:  # noqa: BLE001  # the test looks at it
            return exc

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.mark.parametrize("fleet", ROTATIONS, indirect=True)
@pytest.mark.parametrize("keepers", [1, 16])
def test_64_threads(fleet, keepers):
    """Invariant 2: one expiry, one call, however many threads ask, if they share but the file."""
    made = [fleet.keeper() for _ in range(keepers)]

    tokens = at_once(64, lambda n: made[n % keepers].get(id=fleet.id))

    assert {token.access_token for token in tokens} == {fleet.stored.access_token}
    assert fleet.calls == 1
    assert fleet.works(fleet.stored)


@pytest.mark.parametrize("fleet", ["none", "rotate_reuse_kills"], indirect=True)
def test_8_processes(fleet):
    """Invariant 2: one expiry, one call, however many processes ask."""
    workers = fleet.start(8)
    for worker in workers:
        worker.ask("get")

    told = [worker.told() for worker in workers]

    assert {answer.get("access_token") for answer in told} == {fleet.stored.access_token}
    assert fleet.calls == 1
    assert fleet.works(fleet.stored)


def test_provider_down(fleet):
    """Invariant 2: with the provider down 64 threads ask as one does, and all get the error."""
    fleet.zoho.faults.add(kind="status", times=None)
    keeper = fleet.keeper()

    errors = at_once(64, lambda _: keeper.get(id=fleet.id))

    assert {type(error) for error in errors} == {ProviderUnavailable}
    assert fleet.calls == 2


def test_side_by_side(fleet):
    """Invariant 2: eight tokens that expire are renewed at the same time; none holds others up."""
    users = [f"user{n}@example.com" for n in range(8)]
    for user in users:
        fleet.zoho.add_user(user)
    tokens = [fleet.login(user) for user in users]
    fault = fleet.held_up(times=8)
    keeper = fleet.keeper()

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(keeper.get, id=token.id) for token in tokens]
        together = fault.wait(30, hits=8)  # none has been answered yet
        fleet.release()
        renewed = {future.result().access_token for future in asked}

    assert together
    assert len(renewed) == fleet.calls == 8


def test_advisory_window(fleet):
    """Close before the end one caller renews; all others go on at once with the old token."""
    soon = fleet.store.swap(fleet.login(left=100.0).with_renewal(lifetime=3600.0))
    fault = fleet.held_up()
    keeper = fleet.keeper()

    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(keeper.get, id=soon.id)
        assert fault.wait(30)
        others = at_once(8, lambda _: keeper.get(id=soon.id))
        assert not renewing.done()
        fleet.release()
        renewed = renewing.result()

    assert {token.access_token for token in others} == {soon.access_token}
    assert renewed.access_token != soon.access_token
    assert fleet.calls == 1
