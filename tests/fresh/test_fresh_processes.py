"""Renewals ahead by real processes, on several hosts, that sweep and are stopped meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest
from emulated import environment_of, login
from receivers import SECRET, Receiver
from renewal_processes import PATIENCE, Fleet

from tokenkeep import Policies, Policy, Status, open_store

FRESH = Policies([Policy(name="fresh", keep_fresh=True)])


def eventually(said):
    """Wait until something is so."""
    ends = time.monotonic() + PATIENCE
    while not said():
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.fixture
def told(tmp_path, monkeypatch):
    """All processes tell this receiver."""
    with closing(Receiver()) as receiver:
        path = tmp_path / "notices.toml"
        path.write_text(
            f'[notices]\nwebhook = "{receiver.url}"\nwebhook_secret = "{SECRET}"\n'
            "allow_private = true\n"
        )
        path.chmod(0o600)
        monkeypatch.setenv("TOKENKEEP_CONFIG", str(path))
        yield receiver


def test_four_hosts(zoho, tmp_path, told):
    """
    Two that sweep and three that keep fresh, on four hosts: each expiry is one call.

    Each revocation is confirmed, who has withdrawn consent is told once, and all stop cleanly.
    """
    with Fleet(zoho, tmp_path) as fleet:
        people = [zoho.add_user(f"p{number}@us.example.com").email for number in range(13)]
        tokens = [fleet.login(each, left=3600.0) for each in people]
        zoho.faults.add(kind="drop", endpoint="revoke", times=4)
        dead, gone, alive = tokens[:4], tokens[4], tokens[5:]
        assert all(fleet.keeper().revoke(each.id).renewal.to_revoke for each in dead)
        hosts = [fleet.host(f"web-{number}") for number in range(1, 5)]
        fleet.store.set_policies(FRESH)
        before = fleet.calls
        doing = ["keep fresh"] * 3 + ["go on sweeping"] * 2
        workers = [fleet.start(host=host) for host in (*hosts, hosts[0])]
        zoho.revoke(people[4])
        now = time.time()
        for each in (gone, *alive):  # all are due at once
            row = fleet.store.reread(each.id)
            fleet.store.swap(row.but(expires_at=now - 1).with_renewal(mints=()))

        for worker, what in zip(workers, doing, strict=True):
            worker.ask(what)
            worker.told()
        stored = fleet.store.reread
        eventually(lambda: all(stored(t.id).expires_at > now for t in alive))
        eventually(lambda: not any(stored(t.id).renewal.to_revoke for t in dead))
        eventually(lambda: stored(gone.id).status is Status.LOGIN_NEEDED)
        told.wait(1)
        for worker in workers:
            worker.ask("stop")
        done = [worker.told()["done"] for worker in workers]

        # The fleet's own first token is due as well.
        assert len(alive) + 1 == sum(done[:3])
        assert len(alive) + 2 == fleet.calls - before
        assert {Status.REVOKED} == {stored(t.id).status for t in dead}
        assert ["login_needed"] == told.events


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_in_a_call(zoho, tmp_path, number, times):
    """The call under way is ended and saved, none is begun; a second signal changes nothing."""
    environ = environment_of(zoho, tmp_path)
    with open_store(environ=environ) as store:
        for each in range(5):
            person = zoho.add_user(f"p{each}@us.example.com").email
            user = f"{person}:1"
            store.save_token(
                login(zoho, person, user=user, access_token="a", expires_at=time.time() - 1)
            )
        store.set_policies(FRESH)
    slow = zoho.faults.add(kind="slow", delay=1.0, after=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tokenkeep", "keep-fresh", "--workers", "1"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert slow.wait(PATIENCE)
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.1)

    said, _ = process.communicate(timeout=PATIENCE)

    assert (0, "1 token renewed\n") == (process.returncode, said)
    assert zoho.counters.token_calls("refresh_token") == 1
    with open_store(environ=environ) as store:
        stored = store.get_tokens()
    assert 1 == sum(each.expires_at > time.time() for each in stored)
    assert {None} == {each.renewal.claim for each in stored}
