"""The command that looks whether the audit is whole, and what commands leave in it."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import pytest

import tokenkeep


@pytest.fixture
def path(environment, tmp_path):
    """The audit's file, configured."""
    environment.setenv("TOKENKEEP_AUDIT", str(tmp_path / "audit.jsonl"))
    return tmp_path / "audit.jsonl"


@pytest.fixture
def log_in(path, save):  # noqa: ARG001  # it is configured first
    """Save a login as a program does that has the audit configured."""

    def _log_in(user):
        secret = f"the secret of {user}"
        known = tokenkeep.Token(user=user, provider="oauth2", client_id="c", access_token=secret)
        with tokenkeep.open_store() as store:
            return store.save_token(known)

    return _log_in


def told(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def verified(run, *files):
    """Verify with --json: return the status, what was found, and the chains."""
    result = run("--json", "audit", "verify", *map(str, files))
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    found = [each for each in lines if "found" in each]
    return (
        result.exit_code,
        [(Path(each["file"]).name, each["line"], each["found"]) for each in found],
        [each for each in lines if "chain" in each],
    )


def test_what_commands_leave(run, log_in, path, environment):
    """Each says who; a user's commands are found by name, and no secret is there."""
    row, other = log_in("ana"), log_in("bo")
    environment.setenv("TOKENKEEP_ACTOR", "carol")
    run("revoke", row.id)
    run("delete", "--user", "bo", "--yes")
    run("keys", "rotate", "--data")
    run("export", "--official-csv", "out.csv", "--yes")
    run("import", "out.csv", "--dry-run")
    run("list")

    lines = told(path)
    assert ["login", "login", "revoked", "deleted", "data_key_rotated", "exported"] == [
        each["what"] for each in lines
    ]
    assert [None, None, *["carol"] * 4] == [each["by"].get("actor") for each in lines]
    assert [row.id, other.id, row.id, other.id, None, None] == [each["token"] for each in lines]
    assert "secret" not in path.read_text()
    assert (0, []) == verified(run)[:2]


def test_a_copy(run, log_in, path, tmp_path):
    """It is told in TO's chain: which tokens, from where, how many."""
    row = log_in("ana")
    assert 0 == run("copy", "configured", f"sqlite:///{tmp_path}/to.db").exit_code

    adopted, merged = told(path)[1:]
    assert ("adopted", [row.id]) == (adopted["what"], adopted["details"]["tokens"])
    assert {"new": 1} == merged["details"]["rows"]
    assert (0, []) == verified(run)[:2]
    noted = run("audit", "verify").stderr
    assert f"2 lines are of another store, {adopted['store']}, and can be verified with" in noted


def test_whole(run, log_in, path):
    """In words and in JSON; with --quiet nothing."""
    log_in("ana")
    log_in("bo")

    chain = told(path)[0]["chain"]
    assert (0, f"{chain}: 2 lines, 1 to 2, whole\n") == (
        (result := run("audit", "verify")).exit_code,
        result.stdout,
    )
    facts = {"chain": chain, "first": 1, "last": 2, "lines": 2, "noted": 2, "missed": 0}
    assert (0, [], [facts]) == verified(run)
    assert "" == run("audit", "verify", "--quiet").output


def test_not_whole(run, log_in, path):
    """Status 1, each finding with its file and line; the rotated files are looked at, too."""
    for user in "abcd":
        log_in(user)
    first, second, *rest = path.read_text().splitlines(keepends=True)
    path.with_name("audit.jsonl.1").write_text(first + second.replace('"b"', '"x"'))
    path.write_text(rest[0])
    shutil.copy(path, path.with_name("audit.jsonl.save"))

    status, found, chains = verified(run)

    assert 1 == status
    assert ("audit.jsonl.1", 2, "it is not as this store wrote it: changed, or put in") == found[0]
    assert "missing at the end: line 4" in found[1][2]
    assert (1, 3, 2, 4) == tuple(chains[0][name] for name in ("first", "last", "lines", "noted"))
    assert run("audit", "verify").stdout.splitlines()[0] == (
        f"{path}.1\t2\tit is not as this store wrote it: changed, or put in"
    )


def test_on_a_terminal(log_in, path, at_terminal):
    """A finding is one line, with the file and line as editors take them."""
    log_in("ana")
    path.write_text("")
    chain = f"{socket.gethostname()}:{path}"
    status, shown = at_terminal(["audit", "verify"], {})

    assert 1 == status
    assert f"{chain}: missing at the end: line 1 of the chain; cut off, or in newer files" in shown


def test_only_the_newer_file(run, log_in, path):
    """It says with which line that begins."""
    log_in("ana")
    path.rename(path.with_name("older"))
    log_in("bo")

    result = run("audit", "verify", str(path))

    assert (0, True) == (result.exit_code, "what was before line 2 is in older" in result.stdout)
    assert (0, []) == verified(run, "older", path)[:2] == verified(run, path, "older")[:2]


def test_deleted(run, log_in, path):
    """A file that is gone altogether is missed."""
    log_in("ana")
    path.unlink()

    assert [(None, "missing at the end: line 1 of the chain; cut off, or in newer files")] == [
        each[1:] for each in verified(run)[1]
    ]


def test_emptied(run, log_in, path):
    """A file that was emptied has none of the lines that were looked for, by name too."""
    log_in("ana")
    path.write_text("")

    assert 1 == run("audit", "verify").exit_code
    assert 1 == run("audit", "verify", str(path)).exit_code


@pytest.mark.usefixtures("save")
def test_nothing_yet(run, path, store):
    """Where nothing was audited yet all is well; a file that is none, or not there, is named."""
    store.save_token(tokenkeep.Token(user="u", access_token="a"))  # opened without one
    result = run("audit", "verify")

    assert (0, "Nothing of this store's audit is there\n") == (result.exit_code, result.stderr)
    missing = run("audit", "verify", "nowhere.jsonl")
    assert (1, True) == (missing.exit_code, "nowhere.jsonl can't be read" in missing.stderr)
    path.write_text("no audit\n")
    assert 1 == run("audit", "verify", str(path)).exit_code
    os.environ.pop("TOKENKEEP_AUDIT")
    usage = run("audit", "verify")
    assert (2, True) == (usage.exit_code, "No file of an audit is configured" in usage.stderr)


def test_logging(run, log_in, path, environment):
    """On the command line its lines are on standard error, and can be verified from a file."""
    row = log_in("ana")
    path.unlink()
    environment.setenv("TOKENKEEP_AUDIT", "logging")

    lines = run("delete", row.id, "--yes").stderr.splitlines()

    told_there = [line.removeprefix("tokenkeep: ") for line in lines if '"mac"' in line]
    path.write_text("\n".join([*told_there, ""]))
    assert ["deleted"] == [each["what"] for each in told(path)]
    assert (0, []) == verified(run, path)[:2]


def test_the_doctor(run, log_in, path):
    """It says where the audit goes; that it can't be written; and that deeds are missing."""

    def check():
        lines = [line.split("\t") for line in run("doctor").stdout.splitlines()]
        return next(line[0::2] for line in lines if line[1] == "audit")

    assert [
        "ok",
        f"goes to {path}",
    ][:2] == check()[:2]
    row = log_in("ana")
    path.unlink()
    path.mkdir()
    assert "failed" == check()[0]
    quiet = run("delete", row.id, "--yes", "--quiet")
    assert (0, True) == (quiet.exit_code, "unaudited" in quiet.stderr)
    path.rmdir()
    assert ["warning", f"{path}: 1 deed could not be written"] == check()[:2]
    log_in("ana")
    assert "ok" == check()[0]
    words = run("audit", "verify").stdout
    assert "; 1 deed could not be written" in words
