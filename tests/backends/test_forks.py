"""Forks beside whatever a process does: nothing acknowledged is lost, nobody hangs."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tokenkeep.backends import Record, patience
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.errors import StoreUnavailable

LONG = 60.0


def record(name="id", **changes):
    values = {"version": "1", "identity": f"of {name}", "key_id": "key", "sealed": b"sealed"}
    return Record(id=name, **{**values, **changes})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens"


@pytest.fixture
def backend(path):
    backend = SQLiteBackend(path, busy_timeout=LONG)
    backend.write(record(), replaces=None)
    yield backend
    backend.close()


class Pause:
    """Where one process waits until another one lets it go on."""

    def __init__(self):
        self._reader, self._writer = os.pipe()

    def wait(self):
        assert os.read(self._reader, 1)

    def end(self):
        os.write(self._writer, b".")

    def __del__(self):
        os.close(self._reader)
        os.close(self._writer)


def open_files(path):
    """Return the names of the store's files that this process has open."""
    names = []
    for each in Path("/proc/self/fd").iterdir():
        try:
            names.append(each.readlink())
        except FileNotFoundError:  # the one that lists them
            continue
    return sorted(name.name for name in names if name.name.startswith(path.name))


only_linux = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="only Linux tells which files are open"
)


@pytest.fixture
def busy(path, fork):
    """Let another process write; what is returned ends that."""
    pause = Pause()

    def work(say, mode):
        db = sqlite3.connect(path, isolation_level=None)
        db.execute(f"PRAGMA locking_mode = {mode}")
        db.execute("BEGIN IMMEDIATE")
        say("writing")
        pause.wait()
        db.execute("ROLLBACK")
        db.close()

    def begin(mode="NORMAL"):
        child = fork(lambda say: work(say, mode))
        assert child.readline() == "writing"

        def end():
            pause.end()
            child.end()

        return end

    return begin


def all_there(path, names):
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert {name for (name,) in db.execute("SELECT id FROM token")} == set(names)
    db.close()


def both_sides_save(backend, path, fork, *, release, beside=()):
    """
    Fork; let the child save, the parent save and close, the child go on saving.

    Args:
        backend: The store, in use.
        path: Where it is.
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
    all_there(path, ["id", "parent", *beside, *(f"child-{n}" for n in range(6))])


@only_linux
def test_nothing_is_open_after_a_busy_call(backend, path, busy):
    """A connection that met "busy" is closed as any other: no file of it stays open."""
    end = busy()
    with pytest.raises(StoreUnavailable, match="busy"):
        backend.touch("id", 5.0)

    backend.close()

    assert open_files(path) == []
    end()


@only_linux
def test_nothing_is_open_after_it_could_not_be_opened(backend, path, busy):
    """Nor does one stay open that met "busy" while it was opened."""
    backend.close()
    end = busy("EXCLUSIVE")

    with pytest.raises(StoreUnavailable, match="busy"):
        SQLiteBackend(path, busy_timeout=0)

    assert open_files(path) == []
    end()


def test_fork_after_a_busy_call(backend, path, busy, fork):
    """A call that met "busy" leaves nothing to a child that would lose its saves."""
    end = busy()
    with pytest.raises(StoreUnavailable, match="busy"):
        backend.touch("id", 5.0)

    both_sides_save(backend, path, fork, release=end)


def test_fork_while_a_thread_waits(backend, path, busy, fork, monkeypatch):
    """Nor does a thread that waits for another process while the process forks."""
    waiting = threading.Event()

    def sleep(seconds):
        waiting.set()
        time.sleep(seconds)

    monkeypatch.setattr(patience, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    end = busy()
    thread = threading.Thread(
        target=backend.write, args=(record("thread"),), kwargs={"replaces": None}
    )
    thread.start()
    assert waiting.wait(LONG / 2)

    def release():
        end()
        thread.join()

    both_sides_save(backend, path, fork, release=release, beside=["thread"])
