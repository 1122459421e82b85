"""Holders: whether the process that has a claim is known to be gone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from tokenkeep import holder

PRINT_ME = (
    "import sys; from tokenkeep import holder; print(holder.me(), flush=True); sys.stdin.read()"
)


@pytest.fixture
def process():
    """Start a process that says who it is and waits."""
    started = subprocess.Popen(
        [sys.executable, "-c", PRINT_ME], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with started:
        yield started, started.stdout.readline().strip()
        started.kill()


def changed(**changes):
    return json.dumps({**json.loads(holder.me()), **changes})


def test_this_process_lives():
    """Nobody takes a claim away from himself."""
    assert not holder.is_dead(holder.me())


def test_another_process_lives(process):
    """A process of this host that runs is not dead."""
    assert not holder.is_dead(process[1])


def test_killed(process):
    """Invariant 2: a killed process is known dead at once, a zombie, too."""
    running, described = process
    running.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)  # a zombie from now on
    assert holder.is_dead(described)

    running.wait()
    assert holder.is_dead(described)


def test_stopped_process_lives(process):
    """A process that was stopped may go on at any time: it is not dead."""
    running, described = process
    running.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, running.pid, os.WSTOPPED | os.WNOWAIT)

    assert not holder.is_dead(described)


def test_process_id_was_given_away():
    """A process with the same number that started at another time is another one."""
    assert holder.is_dead(changed(started="1"))


@pytest.mark.parametrize("field", ["boot", "namespace"])
@pytest.mark.parametrize("value", ["another", None])
def test_number_means_nothing_elsewhere(field, value):
    """Another boot or another process-id namespace: nothing is known, so it is not dead."""
    assert not holder.is_dead(changed(**{field: value}, pid=2**22 + 1))


def test_host_name_proves_nothing():
    """A host name that differs, or is the same, decides nothing."""
    assert not holder.is_dead(changed(host="another"))
    assert holder.is_dead(changed(host="another", started="1"))


@pytest.mark.parametrize(
    "text", ["", "x", "null", "[]", "{}", '"a"', '{"pid": "x"}', '{"pid": null}', "1"]
)
def test_nonsense_is_not_dead(text):
    """A description of another version or kind says nothing; its claim runs out by itself."""
    assert not holder.is_dead(text)
    assert holder.name(text) == "unknown"


def test_name_for_people():
    """Errors and listings name host and process id."""
    assert holder.name(holder.me()) == f"{socket.gethostname()}/{os.getpid()}"


FORK = """
import os
from tokenkeep import holder
parent = holder.me()
child = os.fork()
if not child:
    print(parent, holder.me(), sep="\\n", flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


def test_child_is_not_its_parent():
    """After a fork the child describes itself, not the process it came from."""
    done = subprocess.run(
        [sys.executable, "-c", FORK], stdout=subprocess.PIPE, text=True, check=True
    )
    parent, child = (json.loads(line) for line in done.stdout.splitlines())

    assert parent["pid"] != child["pid"]
    assert (parent["boot"], parent["namespace"]) == (child["boot"], child["namespace"])
