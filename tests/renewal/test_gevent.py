"""Under gevent: one expiry is one call, and who waits for it lets the other greenlets run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from celery import Celery
from renewal_processes import KEY, PATIENCE

SUPPORT = Path(__file__).parents[1] / "support"
GREENLETS = 20
ALONE = ["--without-gossip", "--without-mingle", "--without-heartbeat"]


@pytest.fixture
def ask(fleet, tmp_path):
    """A worker of celery with greenlets, which has nothing to complain of."""
    for name in ("queue", "control", "results"):
        (tmp_path / name).mkdir()
    folders = dict.fromkeys(("data_folder_in", "data_folder_out"), str(tmp_path / "queue"))
    more = {"control_folder": str(tmp_path / "control"), "polling_interval": 0.02}
    queue = {
        "broker": "filesystem://",
        "backend": (tmp_path / "results").as_uri(),
        "broker_transport_options": folders | more,
    }
    settings = json.dumps({"store": fleet.url, "id": fleet.id, "queue": queue})
    environ = {"PROGRAM": settings, "TOKENKEEP_KEYS": KEY, "PYTHONPATH": str(SUPPORT)}
    words = ["celery", "-A", "gevent_program:queue", "worker", "-P", "gevent", "-c", "30", *ALONE]
    log = tmp_path / "log"
    with log.open("wb") as file, Celery("asking", set_as_current=False, **queue) as asking:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], env=os.environ | environ, stdout=file, stderr=file
        )
        yield lambda what: asking.send_task("asked", [what]).get(PATIENCE, interval=0.02)
        process.terminate()
        process.wait(PATIENCE)
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.mark.parametrize("fleet", ["rotate_reuse_kills"], indirect=True)
def test_greenlets_of_one_process(fleet, ask):
    """Invariant 2: 20 greenlets get a token by one call; meanwhile others are served."""
    held = fleet.held_up()
    with ThreadPoolExecutor(GREENLETS) as pool:
        asked = [pool.submit(ask, "token") for _ in range(GREENLETS)]
        assert held.wait(PATIENCE)
        meanwhile = ask("alive"), any(each.done() for each in asked)
        fleet.release()
        told = [each.result() for each in asked]

    assert meanwhile == ("alive", False)
    assert set(told) == {fleet.stored.access_token}
    assert fleet.calls == 1
    assert fleet.works(fleet.stored)
