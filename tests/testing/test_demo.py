"""The demo, run for real."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from subprocess import PIPE

import pytest

RUN = Path(__file__).with_name("demo_run.py")
PAGE = (Path(__file__).parents[2] / "docs" / "demo.md").read_text()
PATIENCE = 240

pytestmark = pytest.mark.timeout(PATIENCE + 30)


def environment(tmp):
    """The environment of a user who has a temporary folder and nothing configured."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("TOKENKEEP_")}
    return env | {"TMPDIR": str(tmp), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def tmp_path():
    """A folder with a short name: the addresses of sockets in it end at a hundred characters."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def run(command, **given):
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE, **given
    )


def claimed(text):
    """What was claimed, or compared: how it ended, and its name."""
    return re.findall(r"^   (ok|NO|--)  (.*?) \(", text, re.MULTILINE)


class Ended:
    """A demo that has ended, and all it left."""

    def __init__(self, folder, *trouble):
        self.home, self.tmp, self.cwd = (folder / name for name in ("home", "tmp", "cwd"))
        for each in (self.home, self.tmp, self.cwd):
            each.mkdir()
        self.env = environment(self.tmp) | {"HOME": str(self.home)}
        secrets = folder / "secrets"
        done = run([sys.executable, RUN, secrets, *trouble], env=self.env, cwd=self.cwd)
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr
        assert secrets.exists(), self.err
        self.secrets = secrets.read_text().splitlines()
        assert [*self.home.rglob("*"), *self.cwd.rglob("*"), *self.tmp.iterdir()] == []


def test_it_runs(tmp_path):
    """
    It ends well, with the claims that docs/demo.md shows: each holds, or is not ours.

    It prints no code, token or client secret, and leaves nothing.
    """
    ended = Ended(tmp_path)

    assert (ended.err, ended.status) == ("", 0)
    claims = claimed(ended.out)
    assert claimed(PAGE) == claims
    assert [12, 3] == [[mark for mark, _ in claims].count(each) for each in ("ok", "--")]
    assert "\n12 of 12 claims hold, " in ended.out
    assert len(ended.secrets) > 20
    assert [secret for secret in ended.secrets if secret in ended.out + ended.err] == []


def test_claim_that_does_not_hold(tmp_path):
    """A provider that answers wrongly ends it with status 1 and the reason; nothing is left."""
    failed = Ended(tmp_path, "NO_PERMISSION")

    assert failed.status == 1
    assert claimed(failed.out) == [("NO", "Login by grant code")]
    assert "\nThe demo failed: Login by grant code: None, calls: 1" in failed.out


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
@pytest.mark.parametrize(
    ("step", "interrupt"),
    [
        ("2. ", lambda demo: os.killpg(demo.pid, signal.SIGINT)),  # as a terminal does
        ("5. ", lambda demo: demo.terminate()),
        ("   --", lambda demo: demo.send_signal(signal.SIGINT)),
    ],
)
def test_interrupted(tmp_path, step, interrupt):
    """Whenever it comes, it ends its processes too, and its folder goes."""
    command = [sys.executable, "-m", "tokenkeep", "demo"]
    given = {"env": environment(tmp_path), "start_new_session": True, "text": True}
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, **given) as demo:
        while not demo.stdout.readline().startswith(step):
            assert demo.poll() is None
        interrupt(demo)
        _, err = demo.communicate(timeout=PATIENCE)
    # The process that makes the others leaves a moment after the demo.
    end = time.monotonic() + 10
    while children(tmp_path) and time.monotonic() < end:
        time.sleep(0.05)

    assert (demo.returncode, err.strip()) == (130, "")
    assert children(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
