"""Renewals ahead by real processes, on several hosts, that sweep and are stopped meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from emulated import environment_of, login
from renewal_processes import PATIENCE, Fleet

from tokenkeep import Policies, Policy, Status, open_store

FRESH = Policies([Policy(name="fresh", keep_fresh=True)])


def eventually(said):
    """Wait until something is so."""
    ends = time.monotonic() + PATIENCE
    while not said():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_four_hosts(zoho, tmp_path):
    """
    Two that sweep and three that keep fresh, on four hosts: each expiry is one call.

    Each revocation is confirmed, and all stop cleanly.
    """
    with Fleet(zoho, tmp_path) as fleet:
        people = [zoho.add_user(f"p{number}@us.example.com").email for number in range(12)]
        tokens = [fleet.login(each, left=3600.0) for each in people]
        zoho.faults.add(kind="drop", endpoint="revoke", times=4)
        dead = [fleet.keeper().revoke(each.id) for each in tokens[:4]]
        assert all(each.renewal.to_revoke for each in dead)
        hosts = [fleet.host(f"web-{number}") for number in range(1, 5)]
        fleet.store.set_policies(FRESH)
        before = fleet.calls
        doing = ["keep fresh"] * 3 + ["go on sweeping"] * 2
        workers = [fleet.start(host=host) for host in (*hosts, hosts[0])]
        now = time.time()
        for each in tokens[4:]:  # all are due at once
            stored = fleet.store.reread(each.id)
            fleet.store.swap(stored.but(expires_at=now - 1).with_renewal(mints=()))

        for worker, what in zip(workers, doing, strict=True):
            worker.ask(what)
            worker.told()
        stored = fleet.store.reread
        eventually(lambda: all(stored(t.id).expires_at > now for t in tokens[4:]))
        eventually(lambda: not any(stored(t.id).renewal.to_revoke for t in dead))
        for worker in workers:
            worker.ask("stop")
        done = [worker.told()["done"] for worker in workers]

        # The fleet's own first token is due as well.
        assert len(tokens[4:]) + 1 == sum(done[:3]) == fleet.calls - before
        assert 4 <= sum(done[3:]) <= 8  # asked by both at once, it is confirmed to both
        assert {Status.REVOKED} == {stored(t.id).status for t in dead}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_in_a_call(zoho, tmp_path, number):
    """The command ends what is under way, saves it, says so, and ends well."""
    environ = environment_of(zoho, tmp_path)
    with open_store(environ=environ) as store:
        token = store.save_token(login(zoho, access_token="a", expires_at=time.time() - 1))
        store.set_policies(FRESH)
    slow = zoho.faults.add(kind="slow", delay=1.0, after=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tokenkeep", "keep-fresh"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert slow.wait(PATIENCE)
    process.send_signal(number)

    said, _ = process.communicate(timeout=PATIENCE)

    assert (0, "1 token renewed\n") == (process.returncode, said)
    with open_store(environ=environ) as store:
        assert store.reread(token.id).expires_at > time.time()
        assert store.reread(token.id).renewal.claim is None
