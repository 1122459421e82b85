"""No private server outlives the process that started it, however that ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from private_servers.postgres import remove_shared_memory, shared_memory
from server_processes import parent, within

SUPPORT = Path(__file__).parents[1] / "support"
OWNER = """
import os, sys, time
sys.path.insert(0, {support!r})
import private_servers
server = private_servers.{kind}()
server.start()
child = os.fork()
if child:
    print(server.folder, server.pid, child, flush=True)
time.sleep(600)
"""


@pytest.fixture
def owner(server):
    """
    Start a process that owns a server; return the process, its server's folder and id.

    A child that it forks lives on, and so do the pipes to the guard.
    """
    code = OWNER.format(support=str(SUPPORT), kind=type(server).__name__)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        folder, pid, child = process.stdout.readline().split()
        yield process, Path(folder), int(pid)
        process.kill()
        os.kill(int(child), signal.SIGKILL)


def wait_until_none(look, seconds=30):
    end = time.monotonic() + seconds
    while found := look():
        assert time.monotonic() < end, found
        time.sleep(0.02)


def all_shared_memory():
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {int(line.split()[1]) for line in lines}


@pytest.mark.parametrize("kind", ["postgres", "redis_server", "aws"], indirect=True)
def test_nothing_outlives_its_owner(owner):
    """`kill -9` of the process that started a server leaves no process, folder or memory."""
    process, folder, pid = owner
    guard, memory = parent(pid), shared_memory(folder)
    assert pid in within(folder)

    process.kill()

    wait_until_none(Path(f"/proc/{guard}").exists)
    assert [] == within(folder)
    assert not folder.exists()
    assert memory not in all_shared_memory()


@pytest.mark.parametrize("kind", ["redis_server"], indirect=True)
def test_interrupted(owner):
    """Nor does an interrupt leave anything; the terminal's Ctrl-C does not reach the server."""
    process, folder, pid = owner
    guard = parent(pid)
    assert os.getsid(process.pid) not in {os.getsid(guard), os.getsid(pid)}

    process.send_signal(signal.SIGINT)

    wait_until_none(Path(f"/proc/{guard}").exists)
    assert [] == within(folder)
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["postgres", "redis_server"], indirect=True)
def test_no_server_outlives_its_guard(owner):
    """`kill -9` of the guard itself leaves no server."""
    _, folder, pid = owner

    os.kill(parent(pid), signal.SIGKILL)

    wait_until_none(lambda: within(folder))
    remove_shared_memory(folder)
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["postgres", "redis_server"], indirect=True)
def test_close(server):
    """Closing it leaves nothing, and it may be started anew."""
    another = type(server)()
    for _ in range(2):
        another.start()
        folder, guard, memory = another.folder, parent(another.pid), shared_memory(another.folder)
        another.close()

        assert not folder.exists()
        assert not Path(f"/proc/{guard}").exists()
        assert memory not in all_shared_memory()
    another.close()


def test_orphans_are_killed(postgres):
    """What the server has started is killed even when the server itself has died before."""
    postgres.pause()
    os.kill(postgres.pid, signal.SIGKILL)
    wait_until_none(lambda: postgres.running)
    assert within(postgres.folder)

    postgres.kill()

    assert [] == within(postgres.folder)
    postgres.start()


def test_a_fork_does_not_end_it(redis_server):
    """A child that was forked beside a server leaves it alone, whatever it closes."""
    if not (child := os.fork()):
        redis_server.close()
        os._exit(0)
    os.waitpid(child, 0)

    assert redis_server.running
    redis_server.check()
