"""The command ``tokenkeep import``, run as a person runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from sdk_rows import ANA

SECRETS = ("client-secret", "1000.refresh", "1000.access", "1000.grant")


@pytest.fixture
def tokenkeep(tmp_path):
    """Run the command in a process with a home of its own."""
    home = tmp_path / "home"
    home.mkdir()
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("TOKENKEEP_", "XDG_"))}

    def _tokenkeep(*args):
        return subprocess.run(
            [sys.executable, "-m", "tokenkeep", *map(str, args)],
            env=environ | {"HOME": str(home)},
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    _tokenkeep.home = home
    return _tokenkeep


def test_dry_run_then_import_then_again(tokenkeep, write_csv):
    """It shows what it will do, does it, and has nothing to do the second time."""
    path = write_csv(ANA)

    dry = tokenkeep("import", path, "--to", "sqlite:///x.db", "--dry-run")
    assert 0 == dry.returncode
    assert "2\tnew\tana@example.com:1\t1000.CLIENT\teu\tproduction\t\n" == dry.stdout
    assert "nothing was written" in dry.stderr
    assert [] == list(tokenkeep.home.rglob("*"))

    done = tokenkeep("import", path, "--to", "sqlite:///x.db")
    assert (0, dry.stdout) == (done.returncode, done.stdout)

    again = tokenkeep("import", path, "--to", "sqlite:///x.db", "--json")
    row, summary = map(json.loads, again.stdout.splitlines())
    assert "already there" == row["action"]
    assert {"already there": 1} == summary["rows"]
    listed = tokenkeep("list", "--store", "sqlite:///x.db", "--json")
    assert "ana@example.com:1" == json.loads(listed.stdout)["user"]
    for each in (dry, done, again):
        assert not [secret for secret in SECRETS if secret in each.stdout + each.stderr]


def test_a_dry_run_on_a_store_writes_nothing(tokenkeep, write_csv):
    """A store that is there says what is new to it, and stays as it is."""
    tokenkeep("import", write_csv(ANA), "--to", "file:///x.json")
    before = (tokenkeep.home / "x.json").read_bytes()

    path = write_csv(ANA, ANA | {"user_name": "bob", "refresh_token": "b"})
    dry = tokenkeep("import", path, "--to", "file:///x.json", "--dry-run")

    assert ["already there", "new"] == [line.split("\t")[1] for line in dry.stdout.splitlines()]
    assert before == (tokenkeep.home / "x.json").read_bytes()


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        ((), 2, "SOURCE"),
        (("missing",), 1, "can't be read"),
        (("--nonsense",), 2, "--nonsense"),
        (("FILE", "--data-center", "mars"), 1, "mars"),
        (("FILE", "--to", "sqlte:///x.db"), 1, "sqlite"),
    ],
)
def test_bad_input(tokenkeep, write_csv, args, status, said):
    """Wrong usage ends with 2, a named error with 1; both say what it is."""
    path = write_csv(ANA)

    done = tokenkeep("import", *[str(path) if arg == "FILE" else arg for arg in args])

    assert status == done.returncode
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_opened_on_the_source_points_here(tokenkeep, write_csv):
    """A store that is told to open the SDK's file refuses it, and names this command."""
    path = write_csv(ANA)
    before = path.read_bytes()

    done = tokenkeep("list", "--store", f"sqlite:///{path}")

    assert 1 == done.returncode
    assert "tokenkeep import" in done.stderr
    assert before == path.read_bytes()


def test_ctrl_c(tokenkeep, write_csv):
    """An interrupted import says how to go on; the next one does the rest, and no row twice."""
    path = write_csv(*[ANA | {"user_name": f"u{n}", "refresh_token": f"r{n}"} for n in range(400)])
    process = subprocess.Popen(
        [sys.executable, "-m", "tokenkeep", "import", path, "--to", "sqlite:///x.db"],
        env=os.environ | {"HOME": str(tokenkeep.home)},
        cwd=tokenkeep.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(20):
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert (130, True) == (process.returncode, "it goes on from there" in err), err
    again = tokenkeep("import", path, "--to", "sqlite:///x.db")
    assert "already there" in again.stdout
    assert 400 == len(tokenkeep("list", "--store", "sqlite:///x.db").stdout.splitlines())
