"""Forks beside whatever a process does: nothing acknowledged is lost, nobody hangs."""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from children import Pause

from tokenkeep.backends import forks
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.errors import StoreUnavailable
from tokenkeep.testing.records import record

LONG = 60.0


@pytest.fixture
def backend(kind, path):
    backend = kind(path, busy_timeout=LONG)
    backend.write(record(), replaces=None)
    yield backend
    backend.close()


def ids_of(*names):
    return {record(name).id for name in names}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells what is open")
@pytest.mark.parametrize("kind", [SQLiteBackend])
def test_nothing_is_open_after_it_could_not_be_opened(backend, path, busy):
    """A connection that met "busy" while it was opened leaves no file of it open."""
    backend.close()
    end = busy(mode="EXCLUSIVE")

    with pytest.raises(StoreUnavailable, match="busy"):
        SQLiteBackend(path, busy_timeout=0)

    links = [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.exists()]
    assert not [link for link in links if link.startswith(str(path))]
    end()


@pytest.mark.parametrize("waits", [False, True], ids=["a busy call", "a thread that waits"])
def test_fork_beside(waits, backend, kind, path, busy, fork, until_waiting):  # noqa: PLR0917
    """A call that met "busy", or waits, leaves nothing to a child that would lose its saves."""
    end, begin, go_on = busy(kind), Pause(), Pause()
    thread = threading.Thread(target=lambda: backend.write(record("thread"), replaces=None))
    if waits:
        thread.start()
        until_waiting(1)
        assert fork(lambda say: say(backend.read(record().id) == record())).end() == ["True"]
    else:
        with pytest.raises(StoreUnavailable, match="busy"):
            backend.touch(record().id, 5.0)

    def work(say):
        begin.wait()
        backend.write(record("child"), replaces=None)
        say("saved")
        go_on.wait()
        for n in range(5):
            backend.write(record(f"child {n}"), replaces=None)

    child = fork(work)
    end()
    if waits:
        thread.join()
    begin.end()
    assert child.readline() == "saved"
    backend.write(record("parent"), replaces=None)
    backend.close()
    go_on.end()
    child.end()

    if kind is SQLiteBackend:
        db = sqlite3.connect(path)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        db.close()
    names = ["one", "parent", "child", *(f"child {n}" for n in range(5)), *["thread"] * waits]
    assert {each.id for each in kind(path).scan(None, 100)} == ids_of(*names)


def test_forks_beside_threads_that_save(backend, fork):
    """Children forked meanwhile neither hang, nor keep waiting, nor lose anybody's save."""
    stop, names = threading.Event(), ["one"]

    def save(number):
        for turn in count():
            if stop.is_set():
                return
            backend.write(record(f"{number}-{turn}"), replaces=None)
            names.append(f"{number}-{turn}")

    def work(name):
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(backend.read, record(name).id).result(LONG) is None
        backend.write(record(name), replaces=None)
        backend.revision()

    threads = [threading.Thread(target=save, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    children = [f"child {n}" for n in range(3)]
    start = time.monotonic()
    for name in children:
        fork(lambda _, name=name: work(name)).end()
    took = time.monotonic() - start
    stop.set()
    for thread in threads:
        thread.join()

    assert took < forks.PATIENCE / 2
    assert {each.id for each in backend.scan(None, 10_000)} == ids_of(*names, *children)


def test_a_hook_that_asks(backend, fork):
    """What a program does before its forks is refused the store, which the child can use."""
    asked = []

    class Hook(forks.ForkSafe):
        """Comes to rest after the store, as a hook does that was there before tokenkeep."""

        def before_fork(self):
            with pytest.raises(StoreUnavailable, match="hook before a fork"):
                backend.read(record().id)
            asked.append("refused")
            return super().before_fork()

    hook = Hook()

    assert fork(lambda say: say(backend.read(record().id) == record())).end() == ["True"]
    assert backend.read(record().id) == record()
    assert ["refused"] == asked
    del hook
