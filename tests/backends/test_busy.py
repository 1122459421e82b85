"""Waiting for another process: nobody else has to wait because of it."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from filelock import FileLock

from tokenkeep.backends import patience
from tokenkeep.backends.file import FileBackend
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.errors import StoreUnavailable
from tokenkeep.testing._contract_workers import record

WRITERS = 6
LONG = 60.0


@pytest.fixture(params=[SQLiteBackend, FileBackend])
def kind(request):
    return request.param


@pytest.fixture
def backend(kind, tmp_path):
    backend = kind(tmp_path / "tokens", busy_timeout=LONG)
    backend.write(record(), replaces=None)
    yield backend
    backend.close()


@pytest.fixture
def unlock(backend, kind, fork):
    """Another process keeps the store busy until this is called."""
    gate, opener = os.pipe()

    def work(say):
        if kind is SQLiteBackend:
            db = sqlite3.connect(backend.home, isolation_level=None)
            db.execute("BEGIN IMMEDIATE")
        else:
            lock = FileLock(f"{backend.home}.lock")  # let go, it would be released
            lock.acquire()
        say("locked")
        os.read(gate, 1)

    child = fork(work)
    assert child.readline() == "locked"

    def unlock():
        os.write(opener, b".")
        child.end()

    yield unlock
    os.close(gate)
    os.close(opener)


@pytest.fixture
def writing(backend, unlock, monkeypatch):  # noqa: ARG001 - locked before they begin
    """Threads that all wait to write."""
    waiting, seen = threading.Semaphore(0), set()

    def sleep(seconds):
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            waiting.release()
        time.sleep(seconds)

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=sleep)
    monkeypatch.setattr(patience, "time", clock)
    with ThreadPoolExecutor(WRITERS) as pool:
        writes = [
            pool.submit(backend.write, record(f"thread {n}"), replaces=None)
            for n in range(WRITERS)
        ]
        for _ in range(WRITERS):
            assert waiting.acquire(timeout=LONG / 2)
        yield writes


def test_writers_wait_side_by_side(backend, unlock, writing):
    """No thread queues behind one that waits: all try, and readers read meanwhile."""
    before = backend.revision()

    assert backend.read(record().id) == record()
    assert backend.find([("owner", record().owner)]) == [record()]
    assert backend.scan(None, 10) == [record()]
    assert backend.revision() == before
    assert not any(write.done() for write in writing)

    unlock()
    for write in writing:
        write.result()
    assert len(backend.scan(None, 10)) == WRITERS + 1


def test_fork_while_others_wait(backend, unlock, writing, fork):
    """A child forked while threads wait for another process has a store that works."""

    def work(say):
        assert backend.read(record().id) == record()
        say("read")
        backend.write(record("child"), replaces=None)

    child = fork(work)
    assert child.readline() == "read"
    unlock()
    child.end()
    for write in writing:
        write.result()

    assert len(backend.scan(None, 10)) == WRITERS + 2


def test_touch_never_waits(backend, unlock):
    """When a token was last used is not worth a wait: a busy store is an error at once."""
    start = time.monotonic()

    with pytest.raises(StoreUnavailable, match="is busy"):
        backend.touch(record().id, 5.0)

    assert time.monotonic() - start < LONG / 2
    unlock()
    backend.touch(record().id, 5.0)
    assert backend.read(record().id) == record(last_used_at=5.0)
