"""The private servers end with their owner, whatever happens, and are nobody else's."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import pytest
from private_servers import Redis, ServerFailed
from private_servers import server as server_module
from private_servers.ports import free_port
from private_servers.postgres import remove_shared_memory, shared_memory

SUPPORT = Path(server_module.__file__).parents[1]
OWNER = """
import os, sys, time
import private_servers
server = getattr(private_servers, sys.argv[1])()
server.start()
child = os.fork()
if child:
    print(server.folder, server.pid, child, flush=True)
time.sleep(600)
"""


@pytest.fixture
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def owner(server):
    """
    Start a process that owns a server; return the process, its server's folder and id.

    A child that it forks lives on, and so do the pipes to the guard.
    """
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, type(server).__name__],
        env={**os.environ, "PYTHONPATH": str(SUPPORT)}, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        folder, pid, child = process.stdout.readline().split()
        yield process, Path(folder), int(pid)
        process.kill()
        os.kill(int(child), signal.SIGKILL)


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


ENDS = [("postgres", signal.SIGKILL), ("redis_server", signal.SIGINT), ("aws", signal.SIGKILL)]


@pytest.mark.parametrize(("server", "number"), ENDS, indirect=["server"])
def test_nothing_outlives_its_owner(owner, number):
    """However the process ends that started a server: no process, folder or memory is left."""
    process, folder, pid = owner
    guard, memory = parent(pid), shared_memory(folder)
    assert pid in within(folder)
    assert os.getsid(process.pid) not in {os.getsid(guard), os.getsid(pid)}  # of a Ctrl-C there

    process.send_signal(number)

    wait_until_none(Path(f"/proc/{guard}").exists)
    assert [] == within(folder)
    assert not folder.exists()
    shared = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    assert memory not in {int(line.split()[1]) for line in shared}


@pytest.mark.parametrize("server", ["postgres"], indirect=True)
def test_no_server_outlives_its_guard(owner):
    """`kill -9` of the guard itself leaves no server."""
    _, folder, pid = owner

    os.kill(parent(pid), signal.SIGKILL)

    wait_until_none(lambda: within(folder))

    remove_shared_memory(folder)
    shutil.rmtree(folder)


@pytest.mark.parametrize("server", ["redis_server"], indirect=True)
def test_a_fork_does_not_end_it(server):
    """A child that was forked beside a server leaves it alone, whatever it closes."""
    if not (child := os.fork()):
        server.close()
        os._exit(0)
    os.waitpid(child, 0)

    assert server.running
    server.check()


@pytest.mark.parametrize("server", ["postgres", "redis_server"], indirect=True)
def test_taken_port(server, monkeypatch):
    """Somebody takes the port between the choice and the start: another is chosen."""
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        taken = listener.getsockname()[1]
        choices = cycle([lambda: taken, free_port])

        def choose():
            return next(choices)()

        monkeypatch.setattr(server_module, "free_port", choose)
        with type(server)() as another:
            assert another.port not in {taken, server.port}
            another.check()


@pytest.mark.usefixtures("redis_server")
def test_port_taken_in_the_meantime():
    """A server keeps its port; if somebody else has it, the error says so."""
    with Redis() as server:
        server.stop()
        with (
            socket.create_server((server.host, server.port)),
            pytest.raises(ServerFailed, match=f"somebody took port {server.port}"),
        ):
            server.start()
