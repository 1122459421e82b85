"""Strangers, and other processes, for the tests of the backends whose tokens are in a file."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from children import Pause

from tokenkeep.backends import on_disk
from tokenkeep.backends.file import FileBackend
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.testing.records import record

NOBODY = 65534


@pytest.fixture(params=[SQLiteBackend, FileBackend])
def kind(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens"


@pytest.fixture
def made():
    """Open a store in a file that is there from then on, with nothing in it."""

    def made(kind, path, **options):
        backend = kind(path, **options)
        backend.write(record(), replaces=None)
        backend.delete(record().id)
        return backend

    return made


@pytest.fixture
def connections(monkeypatch):
    """The connections to SQLite that were made, as they come."""
    made, connect = [], sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *args, **kw: made.append(connect(*args, **kw)) or made[-1]
    )
    return made


@pytest.fixture
def busy(path, fork):
    """Let another process keep a store busy; what is returned ends that."""

    def work(say, pause, kind, mode):
        if kind is SQLiteBackend:
            db = sqlite3.connect(path, isolation_level=None)
            db.execute(f"PRAGMA locking_mode = {mode}")
            db.execute("BEGIN IMMEDIATE")
        else:
            file = path.open()  # let go, it would be closed, and unlocked
            fcntl.flock(file, fcntl.LOCK_EX)
        say("busy")
        pause.wait()
        if kind is SQLiteBackend:
            db.execute("ROLLBACK")
            db.close()

    def begin(kind=SQLiteBackend, mode="NORMAL"):
        pause = Pause()
        child = fork(lambda say: work(say, pause, kind, mode))
        assert child.readline() == "busy"

        def end():
            pause.end()
            child.end()

        return end

    return begin


@pytest.fixture
def until_waiting(monkeypatch):
    """Return when so many threads wait for another process."""
    waiting, seen = threading.Semaphore(0), set()

    def sleep(seconds):
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            waiting.release()
        time.sleep(seconds)

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=sleep)
    monkeypatch.setattr(on_disk, "time", clock)

    def until_waiting(threads):
        for _ in range(threads):
            assert waiting.acquire(timeout=30)

    return until_waiting


@pytest.fixture
def as_nobody(fork):
    """Do something as a user without special rights; return what it says."""

    def run(work):
        def work_as_nobody(say):
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            work(say)

        return fork(work_as_nobody).end()

    return run


@pytest.fixture
def shared_folder():
    """A folder that other users reach too; pytest's own ones are private."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)
