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
    """Open the store that is copied to."""
    opened = []

    def _other():
        opened.append(tokenkeep.open_store(f"sqlite:///{tmp_path}/other.db"))
        return opened[-1]

    yield _other
    for each in opened:
        each.close()


URL = "sqlite:///other.db"


def test_copy_and_again(run, run_json, tokens, other):
    """It says how many were new; the second time, that they are there; in JSON too."""
    done = run("copy", "configured", URL)
    again = run("copy", "configured", URL)

    assert (0, "", "4 new. FROM was left as it is.\n") == (
        done.exit_code, done.stdout, done.stderr,
    )  # fmt: skip
    assert "4 already there" in again.stderr
    assert {"dry_run": False, "rows": {"already there": 4}, "being_renewed": 0} == run_json(
        "copy", "configured", URL
    )
    assert {each.id for each in tokens} == {each.id for each in other().get_tokens()}


def test_a_dry_run_makes_nothing(run, tokens, tmp_path):
    """It says what would be done; not even the file of the target appears."""
    done = run("copy", "configured", URL, "--dry-run")

    assert "4 new. Dry run, nothing was written." in done.stderr
    assert not (tmp_path / "other.db").exists()
    assert tokens


def test_what_is_not_copied_is_told(run, tokens, other):
    """Each row that is not copied is a line: id, user, what was done, why; a document in JSON."""
    other().save_token(Token(user="u1", access_token="secret x", refresh_token="secret y"))

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

    assert len(tokens) == len(other().get_tokens())


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        ((), 2, "FROM"),
        (("sqlite:///missing.db", URL), 3, "/missing.db"),
        (("file:///missing.json", URL), 3, "/missing.json"),
        (("memory:", URL), 3, "nothing in"),
        (("configured",), 1, "Both stores are"),
        (("configured", "sqlite:///./tokens.db"), 1, "Both stores are"),
        (("mysql://app:secret@h/d", URL), 2, "env:NAME"),
        (("env:MISSING", URL), 2, "no environment variable MISSING"),
        (("env:QUOTED", URL), 1, "QUOTED has literal quotes"),
        (("configured", "mysql://app@127.0.0.1:1/d"), 5, "can't be reached"),
        (("configured", "sqlte:///x"), 2, "sqlite"),
        (("sqlite:///a", URL, "--store", "sqlite:///b"), 2, "--store has no meaning"),
    ],
)
@pytest.mark.usefixtures("tokens")
def test_bad_input(*, run, environment, tmp_path, args, status, said):
    """Each mistake has a sentence of its own; nothing is made, no secret repeated."""
    environment.setenv("QUOTED", "'mysql://app:secret@h/d'")
    done = run("copy", *args)

    assert (status, True) == (done.exit_code, said in done.stderr), done.stderr
    assert "secret@" not in done.output
    assert ["tokens.db"] == [each.name for each in tmp_path.glob("*.db")]


def test_without_its_key(run, tokens, environment):
    """What is stored in FROM needs its key; the error says where it was looked for."""
    environment.delenv("TOKENKEEP_KEYS")

    done = run("copy", "configured", URL)

    assert (1, True) == (done.exit_code, "TOKENKEEP_KEY_FILE" in done.stderr)
    assert tokens


def test_a_row_that_does_not_open(run, tokens, store):
    """The others are copied; the exit status is 1, and the row is named."""
    record = store.backend.read(tokens[2].id.removeprefix("tk_"))
    store.backend.delete(record.id)
    fields = {name: getattr(record, name) for name in type(record).__dataclass_fields__}
    store.backend.write(type(record)(**fields | {"sealed": record.sealed + b"x"}), replaces=None)

    done = run("copy", "configured", URL)

    assert (1, True) == (done.exit_code, "3 new, 1 failed" in done.stderr)
    assert tokens[2].id in done.stdout


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_the_midst(start, store, other, how):
    """Ctrl-C says how to go on; after that, or kill -9, a second run does the rest, once."""
    for number in range(400):
        store.save_token(Token(user=f"u{number}", access_token=f"a{number}"))
    process = start("copy", "configured", URL)
    there = other()
    while len(there.get_tokens()) < 20:
        time.sleep(0.01)

    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    count = len(there.get_tokens())
    _, again = start("copy", "configured", URL).communicate(timeout=100)

    assert 20 <= count < 400
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "Run it again: it goes on from there" in err
        assert "Traceback" not in err
    assert f"{400 - count} new" in again
    assert [t.id for t in store.iter_tokens()] == [t.id for t in there.iter_tokens()]


@pytest.mark.parametrize("command", ["copy", "import", "export"])
def test_a_bar_on_a_terminal(tokens, tmp_path, command):
    """On a terminal a bar on standard error shows how far it is; in a pipe there is none."""
    (tmp_path / "in.csv").write_text(
        "user_mail,client_id,refresh_token,access_token,grant_token,expiry_time\n"
        "ana@example.com,c,r,a,,1764000000123\n"
    )
    args = {
        "copy": ["configured", URL],
        "import": ["in.csv", "--data-center", "us", "--to", URL],
        "export": ["--official-csv", "out.csv", "--yes"],
    }
    command = [sys.executable, "-m", "tokenkeep", command, *args[command]]
    main, side = pty.openpty()
    process = subprocess.Popen(
        command,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=side,
    )
    os.close(side)
    out = process.communicate(timeout=100)[0]
    shown = b""
    try:
        while more := os.read(main, 10_000):
            shown += more
    except OSError:
        pass  # Linux's way to say that the other side was closed
    os.close(main)
    (tmp_path / "other.db").unlink(missing_ok=True)
    (tmp_path / "out.csv").unlink(missing_ok=True)
    piped = subprocess.run(command, capture_output=True, check=True, timeout=100)

    assert (process.returncode, True) == (0, b"tokens" in shown and b"\x1b[" in shown)
    assert b"\x1b[" not in out + piped.stdout + piped.stderr
    assert tokens


@pytest.mark.parametrize("name", ["sdk_tokens.txt", "zohooauth.db", "./tokens.csv"])
def test_a_file_of_the_sdk(run, store, tmp_path, name):  # noqa: ARG001
    """It has no URL: how it is taken over is said."""
    (tmp_path / name).write_text("id,user_name\n")

    done = run("copy", name)

    assert (2, True) == (done.exit_code, "tokenkeep import" in done.stderr), done.stderr
