"""The private servers end with their owner, keep their port, and are skipped if not installed."""

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
from private_servers import server as server_module

SUPPORT = Path(server_module.__file__).parents[1]
OWNER = """
import sys, time
import private_servers
with getattr(private_servers, sys.argv[1])() as server:
    print(server.folder, flush=True)
    time.sleep(600)
"""
MISSING = """
import pytest
from private_servers import redis
from private_servers.binaries import Program
from private_servers.skipped import installed, started
redis.REDIS = Program("Redis", "no-such-program", "redis-server")
@pytest.fixture(scope="session")
def server():
    yield from started(redis.Redis)
@pytest.fixture
def browser():
    return installed(Program("Browser", "no-such-browser", "browser"))
def test_one(server): ...
def test_two(browser): ...
def test_else(): ...
"""


def within(folder):
    """Return the processes that work in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if folder in str(path.readlink()):
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize(
    ("kind", "number"),
    [("Postgres", signal.SIGKILL), ("Redis", signal.SIGINT), ("AWS", signal.SIGKILL)],
)
@pytest.mark.usefixtures("postgres", "redis_server")  # else they are skipped
def test_nothing_outlives_its_owner(kind, number):
    """However the process ends that started a server, no process is left."""
    words, env = [sys.executable, "-c", OWNER, kind], {**os.environ, "PYTHONPATH": str(SUPPORT)}
    with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True) as owner:
        folder = owner.stdout.readline().strip()
        assert within(folder)
        owner.send_signal(number)

    end = time.monotonic() + 30
    while found := within(folder):
        assert time.monotonic() < end, found
        time.sleep(0.02)
    assert Path(folder).exists() == (number == signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("ci", ["", "true"])
def test_missing(tmp_path, ci):
    """What is not installed skips its tests, and fails them in CI; the reason is how to get it."""
    (tmp_path / "test_it.py").write_text(MISSING)
    path = os.pathsep.join([str(SUPPORT), *sys.path])
    alone = {"CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": path}
    words = [sys.executable, "-m", "pytest", "-ra"]
    done = subprocess.run(
        words, cwd=tmp_path, env=os.environ | alone, capture_output=True, text=True, check=False
    )

    for missing in ("Redis is not installed: no no-such-program", "no no-such-browser"):
        assert f"{missing} found. To get it: make test as root" in done.stdout
    assert ("1 passed, 2 errors" if ci else "1 passed, 2 skipped") in done.stdout
