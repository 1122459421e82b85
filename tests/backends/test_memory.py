"""The memory backend: the contract, and what is special about it."""

from __future__ import annotations

import pytest

from tokenkeep.backends import Record
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.testing import BackendContract, RevisionContract


class TestContract(BackendContract, RevisionContract):
    @pytest.fixture
    def open_backend(self):
        backend = MemoryBackend()
        return lambda: backend


def record(name, **changes):
    values = {"version": "1", "identity": f"of {name}", "key_id": "key", "sealed": b"sealed"}
    return Record(id=name, **{**values, **changes})


def test_each_one_is_its_own():
    """Two of them share nothing."""
    one, two = MemoryBackend(), MemoryBackend()

    one.write(record("id"), replaces=None)

    assert two.read("id") is None


def test_fork_copies(fork):
    """After a fork each side goes on with its own copy."""
    backend = MemoryBackend()
    backend.write(record("both"), replaces=None)

    def work(say):
        backend.write(record("child"), replaces=None)
        say(" ".join(each.id for each in backend.scan(None, 10)))

    assert fork(work).end() == ["both child"]
    assert [each.id for each in backend.scan(None, 10)] == ["both"]


def test_fork_while_it_is_used(fork):
    """A child never inherits the lock of a thread that it does not have."""
    from threading import Event, Thread

    backend, stop = MemoryBackend(), Event()

    def hammer():
        while not stop.is_set():
            backend.write(record("id"), replaces=None)
            backend.delete("id")

    thread = Thread(target=hammer)
    thread.start()
    try:
        for _ in range(30):
            fork(lambda _: backend.clear()).end()
    finally:
        stop.set()
        thread.join()


def test_nothing_stays():
    """There is no place beside it for files, and a key may be made for it."""
    assert MemoryBackend().home is None
    assert MemoryBackend().embedded is True
