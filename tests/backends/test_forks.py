"""Forks beside whatever a process does: nothing acknowledged is lost, nobody hangs."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from children import Pause

from tokenkeep.backends import forks
from tokenkeep.backends.file import FileBackend
from tokenkeep.backends.forks import ForkSafe
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.errors import StoreUnavailable
from tokenkeep.testing._contract_workers import record

LONG = 60.0


@pytest.fixture
def backend(kind, path):
    backend = kind(path, busy_timeout=LONG)
    backend.write(record(), replaces=None)
    yield backend
    backend.close()


on_sqlite = pytest.mark.parametrize("kind", [SQLiteBackend])


def open_files(path):
    """Return the files of the store that this process has open."""
    files = []
    for each in Path("/proc/self/fd").iterdir():
        try:
            files.append(str(each.readlink()))
        except FileNotFoundError:  # the one that lists them
            continue
    return [file for file in files if file.startswith(str(path))]


only_linux = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="only Linux tells which files are open"
)


def all_there(kind, path, names):
    if kind is SQLiteBackend:
        db = sqlite3.connect(path)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        db.close()
    assert {each.id for each in kind(path).scan(None, 10_000)} == {record(n).id for n in names}


def both_sides_save(backend, fork, *, release, beside=()):
    """
    Fork; let the child save, the parent save and close, the child go on saving.

    Args:
        backend: The store, in use.
        fork: The fixture.
        release: Ends what the parent was in the midst of.
        beside: The names of the records that came about meanwhile.
    """
    begin, go_on = Pause(), Pause()

    def work(say):
        begin.wait()
        backend.write(record("child-0"), replaces=None)
        say("saved")
        go_on.wait()
        for n in range(1, 6):
            backend.write(record(f"child-{n}"), replaces=None)

    child = fork(work)
    release()
    begin.end()
    assert child.readline() == "saved"
    backend.write(record("parent"), replaces=None)
    backend.close()
    go_on.end()
    assert child.end() == []
    names = ["one", "parent", *beside, *(f"child-{n}" for n in range(6))]
    all_there(type(backend), backend.home, names)


@only_linux
@on_sqlite
def test_nothing_is_open_after_it_could_not_be_opened(backend, path, busy):
    """A connection that met "busy" while it was opened leaves no file of it open."""
    backend.close()
    end = busy(mode="EXCLUSIVE")

    with pytest.raises(StoreUnavailable, match="busy"):
        SQLiteBackend(path, busy_timeout=0)

    assert open_files(path) == []
    end()


def test_fork_after_a_busy_call(backend, kind, busy, fork):
    """A call that met "busy" leaves nothing to a child that would lose its saves."""
    end = busy(kind)
    with pytest.raises(StoreUnavailable, match="busy"):
        backend.touch(record().id, 5.0)

    both_sides_save(backend, fork, release=end)


def test_fork_while_a_thread_waits(backend, kind, busy, fork, until_waiting):
    """Nor does a thread that waits for another process while the process forks."""
    end = busy(kind)
    thread = threading.Thread(
        target=backend.write, args=(record("thread"),), kwargs={"replaces": None}
    )
    thread.start()
    until_waiting(1)
    assert fork(lambda say: say(backend.read(record().id) == record())).end() == ["True"]

    def release():
        end()
        thread.join()

    both_sides_save(backend, fork, release=release, beside=["thread"])


@pytest.mark.parametrize("make", [MemoryBackend, lambda: SQLiteBackend(":memory:")])
def test_memory_is_copied(make, fork):
    """After a fork each side goes on with its own copy of what is in memory alone."""
    backend = make()
    backend.write(record("both"), replaces=None)

    def work(_):
        backend.write(record("child"), replaces=None)
        backend.revision()
        assert {each.id for each in backend.scan(None, 10)} == {
            record("both").id,
            record("child").id,
        }

    fork(work).end()

    assert backend.scan(None, 10) == [record("both")]


# Threads that never stop calling


class Store(ForkSafe):
    """Something that is nearly always in use."""

    def call(self, seconds):
        self._alone(lambda: time.sleep(seconds))


@contextmanager
def hammering(call, count):
    """Call something from many threads without a pause; yield the names it was called with."""
    stop, names = threading.Event(), []

    def run(number):
        turn = 0
        while not stop.is_set():
            turn += 1
            call(f"{number}-{turn}")
            names.append(f"{number}-{turn}")

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield names
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_fork_is_not_starved(fork):
    """However many threads call without a pause, a fork is made soon."""
    store = Store()
    with hammering(lambda _: store.call(0.001), 12):
        start = time.monotonic()
        for _ in range(10):
            fork(lambda _: store.call(0.0)).end()

        assert time.monotonic() - start < forks.PATIENCE / 2


@pytest.mark.parametrize("kind", [SQLiteBackend, FileBackend, MemoryBackend])
def test_forks_beside_threads_that_save(kind, path, fork):
    """Children forked meanwhile neither hang, nor keep waiting, nor lose anybody's save."""
    backend = MemoryBackend() if kind is MemoryBackend else kind(path, busy_timeout=LONG)

    def work(_, name):
        assert backend.read(record(name).id) is None
        backend.write(record(name), replaces=None)
        backend.revision()

    children = [f"child {n}" for n in range(3)]
    with hammering(lambda name: backend.write(record(name), replaces=None), 2) as names:
        start = time.monotonic()
        for name in children:
            fork(lambda say, name=name: work(say, name)).end()
        took = time.monotonic() - start
    names += [] if kind is MemoryBackend else children

    assert took < forks.PATIENCE / 2
    assert {each.id for each in backend.scan(None, 10_000)} == {record(n).id for n in names}
    backend.close()


# Signal handlers that raise while the process forks


def test_interrupted_fork(path):
    """Wherever a signal handler raises: the parent goes on, and no child hangs."""
    # In a process of its own: what else a test run has open would be interrupted as well.
    script = Path(__file__).with_name("interrupted_fork.py")
    env = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script, path],
        env=env, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
