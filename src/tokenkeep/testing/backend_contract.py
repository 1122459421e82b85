"""
What every backend promises, as tests: subclass, give one fixture, run pytest.

    class TestMyBackend(BackendContract):
        @pytest.fixture
        def open_backend(self, tmp_path):
            return functools.partial(MyBackend, tmp_path / "tokens")

Each call of what ``open_backend`` returns stands for another process that
opens the same store, which is empty when a test begins. A backend that
several processes can share subclasses `SharedBackendContract`, which starts
real ones: there the fixture's value must be picklable, so no lambda. A
backend whose ``revision()`` is not None keeps `RevisionContract` as well.
"""

# ruff: noqa: S101, PLR2004 -- these are tests: they assert, and their numbers are the example

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from tokenkeep.errors import StoreConflict
from tokenkeep.testing import _contract_workers as workers
from tokenkeep.testing._backend_fixtures import HARD_TEXTS
from tokenkeep.testing._contract_workers import in_processes, record
from tokenkeep.testing._records_contract import RecordsContract
from tokenkeep.testing._search_contract import SearchContract

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.backends.base import Backend
    from tokenkeep.testing._backend_fixtures import Factory

__all__ = ["HARD_TEXTS", "BackendContract", "SharedBackendContract"]


class BackendContract(RecordsContract, SearchContract):
    """The promises of `Backend`, among threads and several openings of one store."""

    def test_close_and_go_on(self, connect: Factory) -> None:
        """After close, which may come twice, the next call opens the store again."""
        backend = connect()
        backend.write(record(), replaces=None)
        backend.close()
        backend.close()

        assert backend.read("id") == record()
        backend.write(record(version="2"), replaces="1")
        assert backend.read("id") == record(version="2")

    def test_describe(self, backend: Backend) -> None:
        """A backend says in words where the tokens are."""
        assert backend.describe().strip()

    def test_threads_race(self, backend: Backend) -> None:
        """Of threads that replace the same version, exactly one wins."""
        for turn in range(10):
            backend.write(record(str(turn)), replaces=None)

            def work(number: int, turn: int = turn) -> bool:
                try:
                    backend.write(record(str(turn), version=f"of {number}"), replaces="1")
                except StoreConflict:
                    return False
                return True

            won = _in_threads(work, 8)

            assert won.count(True) == 1
            assert backend.read(str(turn)) == record(str(turn), version=f"of {won.index(True)}")

    def test_threads_lose_nothing(self, backend: Backend) -> None:
        """Threads that use one backend at once get their own answers; all writes stay."""

        def work(number: int) -> bool:
            for turn in range(10):
                mine = record(f"{number}-{turn}", user=str(number))
                backend.write(mine, replaces=None)
                assert backend.read(mine.id) == mine
                assert mine in backend.find("user", [str(number)])
                backend.revision()
            return True

        assert _in_threads(work, 8) == [True] * 8
        assert len(backend.scan(None, 1000)) == 80

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
    def test_fork(self, backend: Backend) -> None:
        """Parent and child both go on using a backend that was open when they parted."""
        backend.write(record(), replaces=None)
        backend.revision()

        ended = _in_fork(lambda: _use(backend, "child"))

        assert ended == 0
        assert _use(backend, "parent")


class SharedBackendContract(BackendContract):
    """The promises of a `Backend` that several processes share: real ones race here."""

    def test_processes_race(self, open_backend: Factory, backend: Backend) -> None:
        """Of processes that replace the same version, exactly one wins."""
        backend.write(record(), replaces=None)

        won = in_processes(workers.replace_first_version, open_backend, 4)

        assert sorted(won) == [False, False, False, True]

    def test_processes_insert_once(self, open_backend: Factory, backend: Backend) -> None:
        """Of processes that store the same thing first, exactly one makes the record."""
        won = in_processes(workers.insert_same_identity, open_backend, 4)

        assert sorted(won) == [False, False, False, True]
        assert len(backend.find("identity", ["the one thing"])) == 1

    def test_processes_lose_nothing(self, open_backend: Factory, backend: Backend) -> None:
        """Four processes save at once: no record and no count is lost, none is doubled."""
        backend.write(record("counter", version="start", sealed=b"0"), replaces=None)

        in_processes(workers.save_many, open_backend, 4)

        ids = {f"{number}-{turn}" for number in range(4) for turn in range(workers.SAVES)}
        assert {each.id for each in backend.scan(None, 1000)} == ids | {"counter"}
        counter = backend.read("counter")
        assert counter is not None
        assert int(counter.sealed) == 4 * workers.SAVES

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
    def test_fork_shares_the_store(self, connect: Factory) -> None:
        """What a forked child writes its parent sees, and the other way round."""
        backend = connect()
        backend.write(record(), replaces=None)
        before = backend.revision()

        ended = _in_fork(lambda: backend.write(record(version="child"), replaces="1"))

        assert ended == 0
        assert before is None or backend.revision() != before
        assert backend.read("id") == record(version="child")
        backend.write(record(version="parent"), replaces="child")
        assert connect().read("id") == record(version="parent")


def _use(backend: Backend, name: str) -> bool:
    """Read and write as somebody who has just been forked."""
    assert backend.read("id") is not None
    backend.revision()
    backend.write(record(name), replaces=None)
    backend.revision()
    return backend.read(name) == record(name)


def _in_fork(work: Callable[[], object]) -> int:
    """Return how a child that did *work* ended: 0 if well."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


def _in_threads(work: Callable[[int], bool], count: int) -> list[bool]:
    """Do *work* in threads that start together; return whether each succeeded."""
    start = threading.Barrier(count)
    results = [False] * count

    def run(number: int) -> None:
        start.wait(workers.PATIENCE)
        results[number] = work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
