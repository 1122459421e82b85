"""Holders: whether the process that has a claim is known to be gone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from tokenkeep import holder

PRINT_ME = "import sys; from tokenkeep import holder; print(holder.me()); sys.stdin.read()"


@pytest.fixture
def process():
    """Start a process that says who it is and waits."""
    started = subprocess.Popen(
        [sys.executable, "-uc", PRINT_ME], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with started:
        yield started, started.stdout.readline().strip()
        started.kill()


def changed(described=None, **changes):
    return json.dumps({**json.loads(described or holder.me()), **changes})


def test_who_runs_lives(process):
    """Nobody takes a claim away from himself, nor from another process that runs or is stopped."""
    running, described = process
    assert not holder.is_dead(holder.me())
    assert not holder.is_dead(described)

    running.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, running.pid, os.WSTOPPED | os.WNOWAIT)

    assert not holder.is_dead(described)


def test_killed(process):
    """Invariant 2: a killed process is known dead at once, a zombie, too."""
    running, described = process
    running.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)  # a zombie from now on
    assert holder.is_dead(described)

    running.wait()
    assert holder.is_dead(described)


def test_child_is_another_process(fork):
    """A process looks once who it is; a child of it is not its parent."""
    assert json.loads(holder.me())["pid"] == os.getpid()

    child = fork(lambda say: say(holder.me()))

    assert json.loads(child.readline())["pid"] == child.pid
    child.end()


def test_process_id_was_given_away(process):
    """A process with the same number that started at another time is another one, if known."""
    assert holder.is_dead(changed(started="1"))
    for unknown in (None, 1):
        assert not holder.is_dead(changed(process[1], started=unknown))


def test_hidden_by_proc(process, monkeypatch):
    """Invariant 2: another user's process that /proc hides from this one is not dead."""
    running, described = process
    read = Path.read_text

    def hidden(path, **given):
        if path.name == "stat":
            raise PermissionError
        return read(path, **given)

    monkeypatch.setattr(Path, "read_text", hidden)
    assert not holder.is_dead(described)
    running.kill()
    running.wait()
    assert holder.is_dead(described)
    monkeypatch.setattr(os, "kill", Mock(side_effect=PermissionError))
    assert not holder.is_dead(described)


ASK_WITH_ANOTHER_S_PROC = """
import json
from tokenkeep import holder
me = json.loads(holder.me())
# As if outside, the process with the same number had ended and been followed by another.
print(json.dumps([me["namespace"], holder.is_dead(json.dumps({**me, "started": "1"}))]))
"""


def test_proc_of_another_namespace():
    """Where /proc shows other processes than one's own, nothing is known of a number."""
    if not shutil.which("unshare"):
        pytest.skip("no unshare(1) here")
    as_user = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", *as_user, "--pid", "--fork", sys.executable, "-c"]
    done = subprocess.run(
        [*command, ASK_WITH_ANOTHER_S_PROC], capture_output=True, text=True, check=False
    )
    if done.returncode and not done.stdout:
        pytest.skip(f"no namespace of its own here: {done.stderr.strip()}")

    assert json.loads(done.stdout) == [None, False]


@pytest.mark.parametrize("field", ["boot", "namespace"])
@pytest.mark.parametrize("value", ["another", None])
def test_number_means_nothing_elsewhere(field, value):
    """
    Another boot or another process-id namespace: nothing is known, so it is not dead.

    A host's name is for people, who are told it and the process id; it decides nothing.
    """
    assert not holder.is_dead(changed(**{field: value}, pid=2**22 + 1))
    assert not holder.is_dead(changed(host="another"))
    assert holder.is_dead(changed(host="another", started="1"))
    assert holder.name(holder.me()) == f"{socket.gethostname()}/{os.getpid()}"


@pytest.mark.parametrize("text", ["", "x", "null", "[]", "{}", '{"pid": "x"}', '{"pid": null}'])
def test_nonsense_is_not_dead(text):
    """A description of another version or kind says nothing; its claim runs out by itself."""
    assert not holder.is_dead(text)
    for pid in (2**80, "x", None):
        assert not holder.is_dead(changed(pid=pid))
    assert holder.name(text) == "unknown"
