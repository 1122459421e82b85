"""A signal handler that asks the store which its own thread is just using."""

from __future__ import annotations

import signal
import threading

import pytest

from tokenkeep.backends import Record, private_file
from tokenkeep.backends.file import FileBackend
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.backends.table import Table
from tokenkeep.errors import StoreUnavailable


def record(name="id", **changes):
    values = {"version": "1", "identity": f"of {name}", "key_id": "key", "sealed": b"sealed"}
    return Record(id=name, **{**values, **changes})


class Interruption:
    """What a handler does in the midst of a call; what came of it, each time."""

    def __init__(self):
        self.ask = lambda: None
        self.answers = []

    def handle(self, *_):
        try:
            self.answers.append(self.ask())
        except StoreUnavailable as exc:
            self.answers.append(str(exc))

    def strike(self, *_, **__):
        """Be interrupted, here."""
        signal.raise_signal(signal.SIGUSR1)


@pytest.fixture
def interruption():
    interruption = Interruption()
    before = signal.signal(signal.SIGUSR1, interruption.handle)
    yield interruption
    signal.signal(signal.SIGUSR1, before)


def in_sqlite(path, monkeypatch, interruption):  # noqa: ARG001 - each kind in its own way
    backend = SQLiteBackend(path)
    backend._link.db.set_trace_callback(interruption.strike)
    return backend


def in_a_file(path, monkeypatch, interruption):
    backend = FileBackend(path)
    monkeypatch.setattr(private_file, "sync_folder", interruption.strike)
    return backend


def in_memory(path, monkeypatch, interruption):  # noqa: ARG001 - each kind in its own way
    write = Table.write

    def interrupted(*args, **options):
        interruption.strike()
        write(*args, **options)

    monkeypatch.setattr(Table, "write", interrupted)
    return MemoryBackend()


@pytest.mark.parametrize("make", [in_sqlite, in_a_file, in_memory])
def test_interrupted_write(make, tmp_path, monkeypatch, interruption):
    """A handler that asks in the midst of a write is refused by name, and nothing hangs."""
    backend = make(tmp_path / "tokens", monkeypatch, interruption)
    interruption.ask = lambda: backend.write(record("handler"), replaces=None)

    backend.write(record(), replaces=None)

    assert interruption.answers
    assert all("signal handler" in answer for answer in interruption.answers)
    found = []
    thread = threading.Thread(target=lambda: found.extend(backend.scan(None, 10)))
    interruption.ask = lambda: None
    thread.start()
    thread.join()
    assert found == [record()]
    backend.close()


@pytest.mark.parametrize(
    "ask",
    [
        lambda backend: backend.read("id"),
        lambda backend: backend.revision(),
        lambda backend: backend.find("identity", ["of id"]),
        lambda backend: backend.touch("id", 5.0),
        lambda backend: backend.close(),
    ],
    ids=["read", "revision", "find", "touch", "close"],
)
@pytest.mark.parametrize(
    "during",
    [
        lambda backend: backend.read("id"),
        lambda backend: backend.revision(),
        lambda backend: backend.find("identity", ["of id"]),
    ],
    ids=["read", "revision", "find"],
)
def test_interrupted_read(ask, during, tmp_path, monkeypatch, interruption):
    """Whatever a handler asks during whatever call: that call gets its own answer."""
    backend = in_sqlite(tmp_path / "tokens", monkeypatch, interruption)
    backend.write(record(), replaces=None)
    expected = during(backend)
    interruption.answers.clear()
    interruption.ask = lambda: ask(backend)

    assert during(backend) == expected

    assert interruption.answers
    assert all("signal handler" in answer for answer in interruption.answers)
    backend._link.db.set_trace_callback(None)
    assert during(backend) == expected
    backend.close()
