"""The memory backend: the contract, and what is special about it."""

from __future__ import annotations

from operator import attrgetter

import pytest

from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.testing import BackendContract, RevisionContract
from tokenkeep.testing._contract_workers import record


class TestContract(BackendContract, RevisionContract):
    @pytest.fixture
    def open_backend(self):
        backend = MemoryBackend()
        return lambda: backend


def test_each_one_is_its_own():
    """Two of them share nothing."""
    one, two = MemoryBackend(), MemoryBackend()

    one.write(record(), replaces=None)

    assert two.read(record().id) is None


def test_fork_copies(fork):
    """After a fork each side goes on with its own copy."""
    backend = MemoryBackend()
    backend.write(record("both"), replaces=None)

    def work(say):
        backend.write(record("child"), replaces=None)
        say(
            backend.scan(None, 10)
            == sorted([record("both"), record("child")], key=attrgetter("id"))
        )

    assert fork(work).end() == ["True"]
    assert backend.scan(None, 10) == [record("both")]


def test_fork_while_it_is_used(fork):
    """A child never inherits the lock of a thread that it does not have."""
    from threading import Event, Thread

    backend, stop = MemoryBackend(), Event()

    def hammer():
        while not stop.is_set():
            backend.write(record(), replaces=None)
            backend.delete(record().id)

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
