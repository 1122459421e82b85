"""``copy``, ``import`` and ``export``: what they say and leave out, and how they go on."""

from __future__ import annotations

import csv
import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

import tokenkeep
from tokenkeep import Status, Token

URL = "sqlite:///other.db"
HEADER = (
    "id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,"
    "expiry_time,redirect_uri,api_domain"
)
ROW = "1,ana@example.com,1000.C,secret s,secret r,secret a,secret g,,,https://www.zohoapis.eu"


@pytest.fixture
def tokens(store):
    """Four tokens in the configured store."""
    named = ((f"u{n}", f"secret a{n}", f"secret r{n}") for n in range(4))
    return [
        store.save_token(Token(user=user, access_token=access, refresh_token=refresh))
        for user, access, refresh in named
    ]


@pytest.fixture
def other(environment):  # noqa: ARG001  # it opens with the environment's key
    """The store that is copied to."""
    with tokenkeep.open_store(URL) as opened:
        yield opened


@pytest.fixture
def sdk_file(tmp_path):
    """A file of the official SDK with one row."""
    path = tmp_path / "sdk_tokens.txt"
    path.write_text(f"{HEADER}\n{ROW}\n")
    return path


def test_copy_and_again(*, run, run_json, tokens, other, tmp_path, environment):
    """A dry run makes nothing; then all are new; then they are there; in JSON too."""
    dry = run("copy", "configured", URL, "--dry-run")
    assert "4 new. Dry run, nothing was written." in dry.stderr
    assert not (tmp_path / "other.db").exists()

    done = run("copy", "configured", URL)
    environment.setenv("TOKENKEEP_STORE", URL)
    environment.setenv("OLD", "sqlite:///tokens.db")
    again = run("copy", "env:OLD")  # to the configured one

    said = (0, "", "4 new. FROM was left as it is.\n")
    assert said == (done.exit_code, done.stdout, done.stderr)
    assert "4 already there" in again.stderr
    told = {"dry_run": False, "rows": {"already there": 4}, "policies": None}
    assert told == run_json("copy", "env:OLD")
    assert {each.id for each in tokens} == {each.id for each in other.get_tokens()}


def test_policies_go_along(run, run_json, tokens, store, other):  # noqa: ARG001
    """It says whose policies hold in TO, where that is a question."""
    rule = tokenkeep.Policy(name="sessions", max_session=3600.0)
    store.set_policies(tokenkeep.Policies([rule]))

    told = run("copy", "configured", URL).stderr
    assert "FROM's policies go along" in told
    assert "policies" not in run("copy", "configured", URL).stderr
    other.set_policies(tokenkeep.Policies())
    assert "TO keeps its own policies" in run("copy", "configured", URL).stderr
    assert "target" == run_json("copy", "configured", URL)["policies"]


def test_what_is_not_copied_is_told(run, tokens, other):
    """Each row that is not copied is a line: id, user, what was done, why; a document in JSON."""
    other.save_token(Token(user="u1", access_token="secret x", refresh_token="secret y"))

    done = run("copy", "configured", URL)
    told = run("copy", "configured", URL, "--json")
    everything = run("copy", "configured", URL, "--verbose")

    (line,) = done.stdout.splitlines()
    assert [tokens[1].id, "u1", "skipped"] == line.split("\t")[:3]
    assert "--replace" in line
    facts, summary = map(json.loads, told.stdout.splitlines())
    assert ("skipped", "u1") == (facts["action"], facts["user"])
    assert {"already there": 3, "skipped": 1} == summary["rows"]
    assert 4 == len(everything.stdout.splitlines())
    assert "secret" not in done.output + told.output + everything.output
    assert "1 update" in run("copy", "configured", URL, "--replace").stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_the_midst(start, store, other, how):
    """After Ctrl-C or kill -9, a second run does the rest, once."""
    for number in range(1000):
        store.save_token(Token(user=f"u{number}", access_token=f"a{number}"))
    process = start("copy", "configured", URL)
    while len(other.get_tokens()) < 20:
        time.sleep(0.01)

    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    count = len(other.get_tokens())
    _, again = start("copy", "configured", URL).communicate(timeout=100)

    assert 20 <= count < 1000
    status = 130 if how == signal.SIGINT else -how
    assert (status, "") == (process.returncode, err.strip())
    assert f"{1000 - count} new" in again
    assert [t.id for t in store.iter_tokens()] == [t.id for t in other.iter_tokens()]


@pytest.mark.usefixtures("tokens", "sdk_file")
@pytest.mark.parametrize(
    ("command", "doing"),
    [
        (f"copy configured {URL}", b"Copying, 4 tokens"),
        (f"import sdk_tokens.txt --store {URL}", b"Importing, 1 tokens"),
        ("keys rotate --data", b"Sealing, 4 tokens"),
        ("keys status", b"Counting"),
        ("sweep", b"Sweeping"),
    ],
)
def test_progress_on_a_terminal(command, doing):
    """What takes long shows how far it is, on standard error, on a terminal; not in a pipe."""
    words = [sys.executable, "-m", "tokenkeep", *command.split()]
    main, side = pty.openpty()
    environ = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=side)
    os.close(side)
    out = process.communicate(timeout=100)[0]  # a pipe
    shown = b""
    try:
        while more := os.read(main, 10_000):
            shown += more
    except OSError:
        pass  # Linux's way to say that the other side was closed
    os.close(main)

    assert (process.returncode, True) == (0, doing in shown and b"\x1b[" in shown), shown
    assert b"\x1b[" not in out


def test_import_dry_and_again(run, sdk_file, tmp_path, environment):
    """It shows what it will do, does it, and has nothing to do the second time."""
    path = str(sdk_file)
    with environment.context() as nothing:
        nothing.delenv("TOKENKEEP_STORE")
        assert 0 == run("import", path, "--dry-run").exit_code
    assert [path] == [str(each) for each in tmp_path.rglob("*")]
    options = ("--store", "sqlite:///x.db")
    dry = run("import", path, *options, "--dry-run")
    assert (0, False) == (dry.exit_code, (tmp_path / "x.db").exists())
    assert "2\t1\tana@example.com\tnew\t\n" == dry.stdout
    assert "1 new. Dry run, nothing was written" in dry.stderr

    done = run("import", path, *options)
    assert (0, dry.stdout) == (done.exit_code, done.stdout)

    before = (tmp_path / "x.db").read_bytes()
    again = [run("import", path, *options, "--json", *more) for more in ((), ("--dry-run",))]
    listed = json.loads(run("list", "--store", "sqlite:///x.db", "--json").stdout)
    for each in again:
        row, summary = map(json.loads, each.stdout.splitlines())
        assert ("already there", "1", listed["id"]) == (row["action"], row["source_id"], row["id"])
        assert {"already there": 1} == summary["rows"]
    assert before == (tmp_path / "x.db").read_bytes()
    for each in (dry, done, *again):
        assert "secret " not in each.output


def test_export_asks_first(*, run, run_json, at_terminal, store, tokens, tmp_path):
    """What will be in the file is said before; anything but yes writes nothing; --yes asks not."""
    store.swap(tokens[0].but(status=Status.REVOKED, access_token=None))
    store.save_token(Token(user="eve", client_id="c", refresh_token="r", environment="sandbox"))

    def users(name):
        with (tmp_path / name).open(newline="") as file:
            return {line["user_name"] for line in csv.DictReader(file)}

    asked = ("export", "--official-csv")
    assert (2, True) == ((nobody := run(*asked, "out.csv")).exit_code, "--yes" in nobody.stderr)
    for answer, status in (("n", 1), ("", 1), ("y", 0)):
        code, shown = at_terminal([*asked, "out.csv"], {"[y/N]: ": answer})

        assert status == code
        assert "every token and client secret in the clear. Write it?" in shown
        assert (status == 0) == (tmp_path / "out.csv").exists()
        assert "secret " not in shown.replace("client secret", "")
    assert "Wrote 3 tokens to out.csv; left out: 2" in shown
    assert {"u1", "u2", "u3"} == users("out.csv")
    told = {"file": "b.csv", "exported": 1, "left_out": 4}
    assert told == run_json(*asked, "b.csv", "--yes", "--environment", "Sandbox")
    assert {"eve"} == users("b.csv")
    assert 0o600 == (tmp_path / "b.csv").stat().st_mode & 0o777
