"""The demo, run for real."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tokenkeep

RUN = Path(__file__).with_name("demo_run.py")
PAGE = (Path(__file__).parents[2] / "docs" / "demo.md").read_text()
COMMAND = Path(sys.executable).with_name("tokenkeep")
PATIENCE = 240

pytestmark = pytest.mark.timeout(PATIENCE + 30)


def environment(tmp):
    """The environment of a user who has a temporary folder and nothing configured."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("TOKENKEEP_")}
    return env | {"TMPDIR": str(tmp), "PYTHONDONTWRITEBYTECODE": "1"}


def run(command, **given):
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE, **given
    )


def summary(text):
    """The rows of the summary: the claim, what was seen, and the verdict."""
    return [
        re.split(r" {2,}", line)
        for line in text.splitlines()
        if re.search(r"\S {2,}\S.* {2,}(yes|NO|-)$", line)
    ]


class Ended:
    """A demo that has ended, and all it left."""

    def __init__(self, folder, trouble):
        self.home = folder / "home"
        self.tmp = folder / "tmp"
        self.cwd = folder / "cwd"
        for each in (self.home, self.tmp, self.cwd):
            each.mkdir()
        self.env = environment(self.tmp) | {"HOME": str(self.home)}
        secrets = folder / "secrets"
        done = run([sys.executable, RUN, secrets, trouble], env=self.env, cwd=self.cwd)
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.secrets = secrets.read_text().splitlines()
        self.rows = summary(self.out)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    return Ended(tmp_path_factory.mktemp("demo"), "none")


def test_every_claim_holds(ended):
    """It ends well, with the claims that docs/demo.md shows: each holds, or is not ours."""
    assert (ended.err, ended.status) == ("", 0)
    claims = [(row[0], row[-1]) for row in ended.rows]
    assert [(row[0], row[-1]) for row in summary(PAGE)] == claims
    assert [12, 0] == [[row[-1] for row in ended.rows].count(each) for each in ("yes", "NO")]


def test_the_other_store_is_counted(ended):
    """The SDK's own store runs beside ours, and its calls are counted and not claimed."""
    seen = {row[0]: row[1] for row in ended.rows if row[-1] == "-"}

    assert re.fullmatch(r"\d calls?, \d served", seen["8 processes, the SDK's FileStore"])
    assert seen["The FileStore's file"].endswith("refresh token in clear")


def test_leaves_no_trace(ended):
    """It prints no code, token or client secret, and writes nothing outside its folder."""
    (folder,) = ended.tmp.iterdir()

    assert len(ended.secrets) > 20
    assert [secret for secret in ended.secrets if secret in ended.out + ended.err] == []
    assert folder.name.startswith("tokenkeep-demo-")
    assert [*ended.home.rglob("*"), *ended.cwd.rglob("*")] == []


def test_commands_to_look_around(ended):
    """The commands it ends with work on what it has kept; those that list print no secret."""
    lines = ended.out.partition("To look around by hand")[2].splitlines()[2:]
    export, *commands = (line.strip() for line in lines)
    env = ended.env | dict(word.split("=", 1) for word in shlex.split(export)[1:])
    printed = ""
    for command in commands:
        done = run(shlex.split(command, comments=True), env=env, cwd=ended.cwd)
        assert (done.returncode, done.stderr) == (0, ""), command
        printed += "" if " token " in command else done.stdout

    assert "ben@example.com:6000008" in printed
    assert [secret for secret in ended.secrets if secret in printed] == []
    assert list(ended.tmp.iterdir()) == []


@pytest.mark.parametrize(
    ("trouble", "claim", "reason"),
    [
        ("user", "Login by grant code", "Login by grant code: user unknown, calls: 1"),
        ("leads", "Step 2", "SDKException"),
    ],
)
def test_claim_that_does_not_hold(tmp_path, trouble, claim, reason):
    """A provider that answers wrongly ends it with status 1 and the reason; nothing is left."""
    ended = Ended(tmp_path, trouble)

    assert ended.status == 1
    assert [row[0] for row in ended.rows if row[-1] == "NO"] == [claim]
    assert f"\nThe demo failed: {reason}" in ended.out
    assert list(ended.tmp.iterdir()) == []


def children(tmp):
    """Ids of the processes that were started with this temporary folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TMPDIR={tmp}".encode() in path.read_bytes().split(b"\0"):
                found.append(path.parent.name)
        except OSError:
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks for its processes in /proc")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(tmp_path, number, status):
    """Ctrl-C and SIGTERM end its processes too, and remove its folder."""
    demo = subprocess.Popen(
        [COMMAND, "demo"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with demo:
        for line in demo.stdout:
            if line.startswith("3. "):
                break
        workers = len(children(tmp_path)) - 1
        demo.send_signal(number)
        rest = demo.stdout.read()
        demo.wait(timeout=60)

    assert workers >= 1
    assert demo.returncode == status
    assert "Traceback" not in rest
    assert children(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow(part="ci")
def test_another_store(tmp_path):
    """With a store that is given every claim holds too, and it is left as empty as it was."""
    store = tmp_path / "tokens.json"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = run([COMMAND, "demo", "--store", f"file:///{store}"], env=environment(temporary))

    assert done.returncode == 0, done.stdout + done.stderr
    assert store.exists()
    assert b"sealed" not in store.read_bytes()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("memory:", "this store is in the memory of one process, and the demo has many"),
        ("sqlit:///x", "Did you mean 'sqlite'?"),
        ("sqlite:///{}/tokens.db", "KeyMissing"),
    ],
)
def test_store_it_can_not_use(tmp_path, monkeypatch, url, reason):
    """A store that can't be used, or is in use, is left as it is: status 1 and the reason."""
    monkeypatch.setenv("TOKENKEEP_KEY_FILE", str(tmp_path / "keys"))
    vault = tokenkeep.open_store(f"sqlite:///{tmp_path}/tokens.db")
    saved = vault.save_token(tokenkeep.Token(user="ana", access_token="access"))
    done = run([COMMAND, "demo", "--store", url.format(tmp_path)], env=environment(tmp_path))

    assert done.returncode == 1
    assert "The demo failed: " in done.stdout
    assert reason in done.stdout
    assert "1. " not in done.stdout
    assert saved.version == vault.find_token_by_id(saved.id).version
    vault.close()
