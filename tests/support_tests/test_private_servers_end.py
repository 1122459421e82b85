"""No private server outlives the process that started it, however that ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from private_servers import Redis
from private_servers.postgres import remove_shared_memory, shared_memory

SUPPORT = Path(__file__).parents[1] / "support"
OWNER = """
import sys, time
sys.path.insert(0, {support!r})
import private_servers
server = private_servers.{kind}()
server.start()
print(server.folder, server.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def owner(server):
    """Start a process that owns a server; return the process, its server's folder and id."""
    code = OWNER.format(support=str(SUPPORT), kind=type(server).__name__)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        folder, pid = process.stdout.readline().split()
        yield process, Path(folder), int(pid)
        process.kill()


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def within(folder):
    """Return the processes that work in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if path.readlink().is_relative_to(folder):
                found.append(int(path.parent.name))
    return found


def wait_until_none(look, seconds=30):
    end = time.monotonic() + seconds
    while found := look():
        assert time.monotonic() < end, found
        time.sleep(0.02)


def all_shared_memory():
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {int(line.split()[1]) for line in lines}


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


def test_interrupted(owner):
    """Nor does an interrupt, as Ctrl-C sends it, leave anything."""
    process, folder, pid = owner
    guard = parent(pid)

    process.send_signal(signal.SIGINT)

    wait_until_none(Path(f"/proc/{guard}").exists)
    assert [] == within(folder)
    assert not folder.exists()


def test_no_server_outlives_its_guard(owner):
    """`kill -9` of the guard itself leaves no server."""
    _, folder, pid = owner

    os.kill(parent(pid), signal.SIGKILL)

    wait_until_none(lambda: within(folder))
    remove_shared_memory(folder)
    shutil.rmtree(folder)


@pytest.mark.usefixtures("redis_server")
def test_close():
    """Closing it leaves nothing, and it may be started anew."""
    server = Redis()
    for _ in range(2):
        server.start()
        folder, guard = server.folder, parent(server.pid)
        server.close()

        assert not folder.exists()
        assert not Path(f"/proc/{guard}").exists()
    server.close()


def test_a_fork_does_not_end_it(redis_server):
    """A child that was forked beside a server leaves it alone, whatever it closes."""
    if not (child := os.fork()):
        redis_server.close()
        os._exit(0)
    os.waitpid(child, 0)

    assert redis_server.running
    redis_server.check()
