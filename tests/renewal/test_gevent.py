"""Under gevent: one expiry is one call, and who waits for it lets the other greenlets run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3
from celery import Celery
from private_servers.ports import free_port
from renewal_processes import KEY, PATIENCE

SUPPORT = Path(__file__).parents[1] / "support"
GREENLETS = 20


@contextmanager
def running(words, fleet, folder):
    """Run a program, and see that it has nothing to complain of."""
    for name in ("queue", "control", "results"):
        (folder / name).mkdir()
    folders = dict.fromkeys(("data_folder_in", "data_folder_out"), str(folder / "queue"))
    queue = {
        "broker": "filesystem://",
        "backend": (folder / "results").as_uri(),
        "broker_transport_options": folders
        | {"control_folder": str(folder / "control"), "polling_interval": 0.02},
    }
    settings = {"store": fleet.url, "id": fleet.id, "queue": queue}
    more = {"PROGRAM": json.dumps(settings), "TOKENKEEP_KEYS": KEY, "PYTHONPATH": str(SUPPORT)}
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], env=os.environ | more, stdout=file, stderr=file
        )
        try:
            yield queue
        finally:
            process.terminate()
            process.wait(PATIENCE)
    assert "Traceback" not in log.read_text(), log.read_text()


@contextmanager
def gunicorn(fleet, folder):
    port = free_port()
    words = ["gunicorn", "-k", "gevent", "--bind", f"127.0.0.1:{port}", "gevent_program:app"]
    until_it_is_up = urllib3.Retry(300, backoff_factor=0.05, backoff_max=0.1)
    http = urllib3.PoolManager(maxsize=GREENLETS, retries=until_it_is_up)
    with running(words, fleet, folder), http:
        yield lambda path: http.request("GET", f"http://127.0.0.1:{port}{path}").data.decode()


@contextmanager
def celery(fleet, folder):
    words = ["celery", "-A", "gevent_program:queue", "worker", "-P", "gevent", "-c", "30"]
    alone = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    with (
        running([*words, *alone], fleet, folder) as queue,
        Celery("asking", set_as_current=False, **queue) as asking,
    ):
        yield lambda path: asking.send_task("asked", [path]).get(PATIENCE, interval=0.02)


@pytest.mark.parametrize("fleet", ["rotate_reuse_kills"], indirect=True)
@pytest.mark.parametrize("program", [gunicorn, celery])
def test_greenlets_of_one_process(fleet, tmp_path, program):
    """Invariant 2: 20 greenlets get a token by one call; meanwhile others are served."""
    held = fleet.held_up()
    with program(fleet, tmp_path) as ask, ThreadPoolExecutor(GREENLETS) as pool:
        asked = [pool.submit(ask, "/token") for _ in range(GREENLETS)]
        assert held.wait(PATIENCE)
        meanwhile = ask("/alive"), any(each.done() for each in asked)
        fleet.release()
        told = [each.result() for each in asked]

    assert meanwhile == ("alive", False)
    assert set(told) == {fleet.stored.access_token}
    assert fleet.calls == 1
    assert fleet.works(fleet.stored)
