"""``tokenkeep copy``: what it says, what it refuses, and how it goes on."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

import tokenkeep
from tokenkeep import Token

URL = "sqlite:///other.db"


@pytest.fixture
def tokens(store):
    """Four tokens in the configured store."""
    return [
        store.save_token(
            Token(user=f"u{n}", access_token=f"secret a{n}", refresh_token=f"secret r{n}")
        )
        for n in range(4)
    ]


@pytest.fixture
def other(tmp_path, environment):  # noqa: ARG001  # it opens with the environment's key
    """The store that is copied to."""
    with tokenkeep.open_store(f"sqlite:///{tmp_path}/other.db") as opened:
        yield opened


def test_copy_and_again(run, run_json, tokens, other, tmp_path):
    """A dry run makes nothing; then all are new; then they are there; in JSON too."""
    dry = run("copy", "configured", URL, "--dry-run")
    assert "4 new. Dry run, nothing was written." in dry.stderr
    assert not (tmp_path / "other.db").exists()

    done = run("copy", "configured", URL)
    again = run("copy", "configured", URL)

    said = (0, "", "4 new. FROM was left as it is.\n")
    assert said == (done.exit_code, done.stdout, done.stderr)
    assert "4 already there" in again.stderr
    told = {"dry_run": False, "rows": {"already there": 4}, "being_renewed": 0}
    assert told == run_json("copy", "configured", URL)
    assert {each.id for each in tokens} == {each.id for each in other.get_tokens()}


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


def test_from_and_to(run, tokens, environment, other):
    """A variable may hold a URL with a password; TO is the configured store if none is named."""
    environment.setenv("TOKENKEEP_STORE", URL)
    environment.setenv("OLD", "sqlite:///tokens.db")

    assert 0 == run("copy", "env:OLD").exit_code

    assert len(tokens) == len(other.get_tokens())


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        ("", 2, "FROM"),
        (f"sqlite:///missing.db {URL}", 3, "/missing.db"),
        (f"file:///missing.json {URL}", 3, "/missing.json"),
        (f"memory: {URL}", 3, "nothing in"),
        ("configured", 1, "Both stores are"),
        ("configured sqlite:///./tokens.db", 1, "Both stores are"),
        (f"env:MISSING {URL}", 2, "no environment variable MISSING"),
        (f"env:QUOTED {URL}", 1, "QUOTED has literal quotes"),
        ("configured mysql://app@127.0.0.1:1/d", 5, "can't be reached"),
        ("sqlite:///a sqlite:///b --store sqlite:///c", 2, "--store has no meaning"),
        ("./sdk_tokens.txt", 2, "tokenkeep import"),
        ("zohooauth.db", 2, "tokenkeep import"),
    ],
)
@pytest.mark.usefixtures("tokens")
def test_bad_input(*, run, environment, tmp_path, args, status, said):
    """Each mistake has a sentence of its own; nothing is made, no secret repeated."""
    environment.setenv("QUOTED", "'mysql://app:secret@h/d'")
    for name in ("sdk_tokens.txt", "zohooauth.db"):
        (tmp_path / name).write_text("id,user_name\n")

    done = run("copy", *args.split())

    assert (status, True) == (done.exit_code, said in done.stderr), done.stderr
    assert "secret@" not in done.output
    assert {"tokens.db", "zohooauth.db"} == {each.name for each in tmp_path.glob("*.db")}


def test_without_its_key(run, tokens, environment):
    """What is stored in FROM needs its key; the error says where it was looked for."""
    environment.delenv("TOKENKEEP_KEYS")

    done = run("copy", "configured", URL)

    assert (1, True) == (done.exit_code, "TOKENKEEP_KEY_FILE" in done.stderr)
    assert tokens


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_the_midst(start, store, other, how):
    """Ctrl-C says how to go on; after that, or kill -9, a second run does the rest, once."""
    for number in range(400):
        store.save_token(Token(user=f"u{number}", access_token=f"a{number}"))
    process = start("copy", "configured", URL)
    while len(other.get_tokens()) < 20:
        time.sleep(0.01)

    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    count = len(other.get_tokens())
    _, again = start("copy", "configured", URL).communicate(timeout=100)

    assert 20 <= count < 400
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "Run it again: it goes on from there" in err
        assert "Traceback" not in err
    assert f"{400 - count} new" in again
    assert [t.id for t in store.iter_tokens()] == [t.id for t in other.iter_tokens()]


AT_ONCE = """
import threading
class AtOnce(threading.Timer):
    start = lambda self: self.function()
    join = lambda self: None
threading.Timer = AtOnce
from tokenkeep.cli import main
main()
"""
CSV = """user_mail,client_id,refresh_token,access_token,grant_token,expiry_time
ana@example.com,c,r,a,,1764000000123
"""


@pytest.mark.parametrize(
    ("command", "doing"),
    [
        (f"copy configured {URL}", b"Copying, 4 tokens"),
        (f"import in.csv --data-center us --to {URL}", b"Importing, 1 tokens"),
        ("export --official-csv out.csv --yes", b"Exporting, 4 tokens"),
        ("keys rotate --data", b"Sealing, 4 tokens"),
        ("keys status", b"Counting"),
        ("sweep", b"Sweeping"),
    ],
)
def test_a_bar_on_a_terminal(tokens, tmp_path, command, doing):
    """What takes long shows how far it is, on standard error, on a terminal; not in a pipe."""
    (tmp_path / "in.csv").write_text(CSV)
    words = [sys.executable, "-c", AT_ONCE, *command.split()]
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
    assert tokens
