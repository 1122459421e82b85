"""Health for probes, and metrics for Prometheus: commands as processes that others start."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mounts import can_mount, mount_read_only
from prometheus_client.parser import text_string_to_metric_families

import tokenkeep
from tokenkeep import Status


@pytest.fixture
def probe(run):
    """Run the command; return its status and what it says as JSON."""

    def _probe():
        result = run("health", "--json")
        assert "" == result.stderr
        return result.exit_code, json.loads(result.stdout)

    return _probe


def edit(sql):
    with sqlite3.connect("tokens.db") as db:
        db.execute(sql)
    db.close()


def contents(folder):
    """Return what is in the files of a folder; what SQLite shares among processes apart."""
    shared = {each for each in folder.iterdir() if each.name.endswith(("-shm", "-wal"))}
    return {each: each.read_bytes() for each in {*folder.iterdir()} - shared if each.is_file()}


def test_all_is_well(run, probe, save, configured):
    """Status 0, one line; no provider is asked: it is down."""
    save()
    configured.stop()

    status, found = probe()

    assert (0, True, []) == (status, found["ok"], found["troubles"])
    assert 0 < found["seconds"] < 5
    assert run("health").stdout.startswith("ok (")
    assert "" == run("health", "--quiet").output


@pytest.mark.parametrize(
    ("wrong", "check", "said"),
    [
        ("no store", "store", "There is no store yet"),
        ("another key", "key", "wrapped under key"),
        ("header gone", "store", "own record is gone"),
        ("no database", "store", "other.db"),
        ("future", "clock", "is of 2100-01-01"),
        ("no url", "configuration", "has no scheme"),
    ],
)
def test_what_is_wrong(*, run, probe, save, environment, tmp_path, wrong, check, said):
    """Status 1, whatever it is; it says what to do, and makes and mends nothing."""
    save()
    if wrong == "another key":
        environment.setenv("TOKENKEEP_KEYS", tokenkeep.generate_key())
    elif wrong == "header gone":
        edit("DELETE FROM token WHERE kind = 'header'")
    elif wrong in ("no store", "no database"):
        environment.setenv("TOKENKEEP_STORE", f"sqlite:///{tmp_path}/other.db")
        if wrong == "no database":
            (tmp_path / "other.db").write_text("something else")
    elif wrong == "future":
        with tokenkeep.open_store() as store:
            store.beat(4_102_444_800.0)
    elif wrong == "no url":
        environment.setenv("TOKENKEEP_STORE", "tokens.db")
    before = contents(tmp_path)

    status, found = probe()

    assert (1, False) == (status, found["ok"])
    (trouble,) = found["troubles"]
    assert (check, True) == (trouble["check"], said in trouble["text"])
    assert trouble["hint"]
    if wrong != "future":  # the next one finds this one's time
        assert run("health").stdout.startswith(f"{check}: {trouble['text']}")
        assert before == contents(tmp_path)


def test_probes_at_once(store, start):
    """Of processes that write a heartbeat at once none fails, and no rotation of keys either."""
    store.save_token(tokenkeep.Token(user="ana", client_id="c", refresh_token="r"))
    probes = [start("health") for _ in range(4)]
    rotating = start("keys", "rotate", "--data")
    ended = [(each.wait(60), each.stdout.read()) for each in (*probes, rotating)]

    assert [0] * 5 == [status for status, _ in ended], ended
    assert "sealed 1 record anew" in ended[-1][1]


READ_ONLY = """
import sys
sys.path.insert(0, sys.argv[1])
from mounts import mount_read_only
mount_read_only(sys.argv[2])
from tokenkeep.cli import main
sys.argv = ["tokenkeep", *sys.argv[3:]]
main()
"""


@pytest.mark.parametrize("command", ["health", "doctor"])
def test_a_file_on_a_read_only_mount(save, tmp_path, command):
    """It can be read, and tokens are handed out until they end: that is told before."""
    if not can_mount():
        pytest.skip("only root may mount")
    save()
    support = Path(mount_read_only.__code__.co_filename).parent

    words = [sys.executable, "-c", READ_ONLY, str(support), str(tmp_path), command, "--json"]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)

    assert 1 == ran.returncode, ran.stdout + ran.stderr
    if command == "health":
        (trouble,) = json.loads(ran.stdout)["troubles"]
        assert ("store", True) == (trouble["check"], "read" in trouble["text"])
    else:
        checks = [json.loads(line) for line in ran.stdout.splitlines()]
        (failed,) = [each for each in checks if each["state"] == "failed"]
        assert "store" == failed["name"]


def test_doctor_writes_too(run, save, environment):
    """The doctor shares the look: a store that refuses to be written fails its check."""
    save()
    environment.setattr(tokenkeep.Vault, "beat", refuse)

    checks = [json.loads(line) for line in run("doctor", "--json").stdout.splitlines()]

    (failed,) = [each for each in checks if each["state"] == "failed"]
    assert ("store", "It is read-only") == (failed["name"], failed["text"])


def refuse(*_):
    raise tokenkeep.StoreUnavailable("It is read-only")


# Metrics


def read(text):
    """Return what Prometheus's own parser finds, by name and labels."""
    families = {each.name: each for each in text_string_to_metric_families(text)}
    assert all(each.documentation and each.type == "gauge" for each in families.values())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for each in families.values()
        for sample in each.samples
    }


def test_metrics(run, run_json, save, store, configured):
    """Tokens by their state, what is beside them, and what a sweep has to do since when."""
    rows = [save(configured.users[0].name, refresh_token=f"r{n}", client_id=str(n)) for n in "abc"]
    store.add_id("customer-42", rows[0])
    store.swap(rows[1].but(status=Status.LOGIN_NEEDED))
    revoked = rows[2].but(updated_at=time.time() - 90, status=Status.REVOKED)
    store.swap(revoked.with_renewal(to_revoke=(("refresh_token", "x"),)))

    text = run("metrics").stdout

    found = read(text)
    assert 80 < found.pop(("tokenkeep_due_age_seconds",)) < 150
    assert found == {
        ("tokenkeep_tokens_stored", "ok"): 1,
        ("tokenkeep_tokens_stored", "login_needed"): 1,
        ("tokenkeep_tokens_stored", "revoked"): 1,
        ("tokenkeep_records_stored", "alias"): 1,
        ("tokenkeep_records_stored", "lease"): 0,
        ("tokenkeep_records_stored", "note"): 0,
        ("tokenkeep_records_stored", "ended"): 0,
        ("tokenkeep_due_records",): 1,
        ("tokenkeep_due_revocations",): 1,
    }
    assert run_json("metrics")["tokens"] == {"ok": 1, "login_needed": 1, "revoked": 1}


def test_records_of_a_later_version(run, save):
    """A state or a kind that is not known is "other": no word out of a database is a label."""
    rows = [save(refresh_token=each, client_id=each) for each in ("a", "b")]
    which = "id = '{}'".format(rows[0].id.removeprefix("tk_"))
    edit(f"UPDATE token SET kind = 'poem\"}}\n' WHERE {which}")
    edit("UPDATE token SET state = 'x\"} 7' WHERE kind = 'row'")

    found = read(run("metrics").stdout)

    assert (
        1
        == found["tokenkeep_records_stored", "other"]
        == found["tokenkeep_tokens_stored", "other"]
    )


def test_a_file_for_the_node_exporter(run, save, tmp_path):
    """In one step, for all to read, whatever was there; nothing is left beside it."""
    row = save()
    folder = tmp_path / "textfile"
    folder.mkdir()
    out = folder / "tokenkeep.prom"
    out.write_text("old")
    out.chmod(0o600)
    old = os.umask(0o077)
    try:
        result = run("metrics", "--out", str(out))
    finally:
        os.umask(old)

    assert (0, f"Wrote {out}\n") == (result.exit_code, result.output)
    assert (0o644, [out]) == (out.stat().st_mode & 0o777, list(folder.iterdir()))
    assert 1 == read(out.read_text())["tokenkeep_tokens_stored", "ok"]
    for secret in (row.id, row.user, row.refresh_token, row.client_id):
        assert secret not in out.read_text()


@pytest.mark.parametrize("trouble", ["no folder", "no store", "damaged"])
def test_what_is_not_written(*, run, save, tmp_path, damage, store, trouble):
    """The file stays as it was, whose age tells; or the rest is in it. An error says why."""
    row = save()
    out = tmp_path / "tokenkeep.prom"
    out.write_text("old")
    if trouble == "no folder":
        result = run("metrics", "--out", str(tmp_path / "nothing" / "x.prom"))
        assert "x.prom can't be written: No such file" in result.stderr
    elif trouble == "no store":
        result = run("metrics", "--out", str(out), "--store", f"sqlite:///{tmp_path}/none.db")
        assert ("old", 3) == (out.read_text(), result.exit_code)
    else:
        store.swap(row.with_renewal(to_revoke=(("refresh_token", "x"),)))
        damage()
        result = run("metrics", "--out", str(out))
        assert row.id in result.stderr
        assert 1 == read(out.read_text())["tokenkeep_due_records",]
    assert 0 != result.exit_code
    assert {"old"} >= {out.read_text()} or trouble == "damaged"
