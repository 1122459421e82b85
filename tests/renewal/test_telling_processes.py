"""Once by the fleet: real processes that meet a death at the same time, and one that is killed."""

from __future__ import annotations

import json
import os

import pytest
from receivers import SECRET, slow
from renewal_processes import KEY

from tokenkeep import LoginNeeded, open_store
from tokenkeep.clock import Clock
from tokenkeep.keeper import Keeper
from tokenkeep.testing import FakeClock


@pytest.fixture
def told(fleet, receiver, tmp_path, monkeypatch):
    """All processes of the fleet tell the receiver; the user has withdrawn consent."""
    path = tmp_path / "config.toml"
    path.write_text(
        f'[notices]\nwebhook = "{receiver.url}"\nwebhook_secret = "{SECRET}"\n'
        "allow_private = true\n"
    )
    path.chmod(0o600)
    monkeypatch.setenv("TOKENKEEP_CONFIG", str(path))
    fleet.zoho.revoke(fleet.first.user.partition(":")[0])
    return receiver


def later(fleet, seconds):
    """Sweep in this process, as one does that begins later."""
    environ = os.environ | {"TOKENKEEP_KEYS": KEY}
    clock = FakeClock(Clock().now() + seconds)
    with Keeper(open_store(fleet.url, environ=environ, clock=clock), clock=clock) as keeper:
        swept = keeper.sweep()
    return swept.told, swept.untold


def test_4_processes(fleet, told):
    """Of four that meet it at once, one tells."""
    workers = fleet.start(4)
    for worker in workers:
        worker.ask("get")

    assert [LoginNeeded.__name__] * 4 == [worker.told()["error"] for worker in workers]

    told.wait(1)
    for worker in workers:
        worker.ask("sweep")
        worker.told()
    assert (0, 0) == later(fleet, 3600)
    assert ["login_needed"] == told.events


def test_killed_while_it_tells(fleet, told):
    """Invariant 12: what a process was telling that was killed, the next sweep tells: same id."""
    told.answers.append(slow)
    worker = fleet.start()
    assert LoginNeeded.__name__ == worker.get()["error"]
    told.wait(1)
    worker.kill()

    assert (0, 0) == later(fleet, 10)  # as far as anybody knows it is still at it
    assert (1, 0) == later(fleet, 61)
    assert (0, 0) == later(fleet, 3600)
    first, second = (json.loads(body) for _, _, body in told.calls)
    assert first == second


def test_4_sweeps(fleet, told):
    """Of four sweeps at once, one tells what was left over."""
    told.answers.append(500)
    fleet.start().get()
    told.wait(1)
    fleet.zoho.faults.clear()
    workers = fleet.start(4)
    for worker in workers:
        worker.ask("sweep")
    for worker in workers:
        worker.told()

    assert 1 == len(told.calls)
    assert (1, 0) == later(fleet, 61)
    assert 2 == len(told.calls)
