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

import multiprocessing
import os
import re
import signal
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, NoReturn

import pytest

from tokenkeep.errors import StoreConflict
from tokenkeep.testing import _contract_workers as workers
from tokenkeep.testing._backend_fixtures import BackendFixtures, in_fork, interrupted_after
from tokenkeep.testing._contract_workers import again, digits, in_processes, in_threads, record
from tokenkeep.testing._records_contract import CONFLICTS, NEW, ONE, TWO, RecordsContract

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.backends.base import Backend, Record
    from tokenkeep.testing._backend_fixtures import Factory

__all__ = ["BackendContract", "RevisionContract", "SharedBackendContract"]

CHANGES: dict[str, Callable[[Backend], object]] = {
    "insert": lambda by: by.write(record("new"), replaces=None),
    "replace": lambda by: by.write(NEW, replaces=ONE.version),
    "touch": lambda by: by.touch(ONE.id, 5.0),
    "delete": lambda by: by.delete(ONE.id),
    "clear": lambda by: by.clear(),
}
"""What commits something, after `ONE` was inserted."""


class BackendContract(RecordsContract):
    """The promises of `Backend`, among threads and several openings of one store."""

    def test_close_and_go_on(self, connect: Factory) -> None:
        """After close, which may come twice, the next call opens the store again."""
        backend = connect()
        backend.write(ONE, replaces=None)
        backend.close()
        backend.close()

        assert backend.read(ONE.id) == ONE
        backend.write(NEW, replaces=ONE.version)
        assert backend.read(ONE.id) == NEW

    def test_describe(self, backend: Backend) -> None:
        """A backend says in words where the tokens are."""
        assert backend.describe().strip()

    def test_ids_it_gives(self, connect: Factory) -> None:
        """A backend that makes an id of an owner makes the same one each time, of digits."""
        mine, other = connect().id_for(ONE.owner), connect().id_for(digits("other"))

        assert mine == connect().id_for(ONE.owner)
        assert (mine is None) == (other is None)
        if mine is not None:
            assert mine != other
            assert re.fullmatch("[0-9a-f]{32}", mine)

    def test_a_revision_has_its_contract(self, backend: Backend) -> None:
        """Who says when something changed is held to it."""
        assert backend.revision() is None or isinstance(self, RevisionContract)

    # Threads

    def test_threads_race(self, backend: Backend) -> None:
        """Of threads that replace the same version, exactly one wins."""
        for turn in range(10):
            old = record(str(turn))
            backend.write(old, replaces=None)

            def work(number: int, old: Record = old) -> bool:
                try:
                    backend.write(again(old, f"of {number}"), replaces=old.version)
                except StoreConflict:
                    return False
                return True

            won = in_threads(work, 8)

            assert won.count(True) == 1
            assert backend.read(old.id) == again(old, f"of {won.index(True)}")

    def test_threads_lose_nothing(self, backend: Backend) -> None:
        """Threads that use one backend at once get their own answers; all writes stay."""

        def work(number: int) -> bool:
            for turn in range(10):
                mine = record(f"{number}-{turn}", user=digits(str(number)))
                backend.write(mine, replaces=None)
                assert backend.read(mine.id) == mine
                assert mine in backend.find([("user", digits(str(number)))])
                backend.revision()
            return True

        assert in_threads(work, 8) == [True] * 8
        assert len(backend.scan(None, 1000)) == 80

    def test_threads_see_what_was_written(self, backend: Backend) -> None:
        """From the return of a write on no thread sees what was before, by revision or not."""
        backend.write(record("seen", sealed=b"0"), replaces=None)
        board = [0] * 3

        saw = in_threads(partial(workers.write_and_look, board, backend), 3)

        assert saw == [[], [], []]

    # Interruptions and forks

    @pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no such signals here")
    # Where the handler raises in a finalizer, Python can only show it.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_interrupted(self, backend: Backend) -> None:
        """
        A signal handler may raise in the midst of any call.

        It comes through; the record is the old or the new one, nobody is
        answered with another one, and the store goes on.
        """
        other = record("other", access=digits("other"))
        backend.write(other, replaces=None)
        backend.write(ONE, replaces=None)
        old = ONE
        versions = count()
        for turn in range(INTERRUPTIONS):
            tried = [old]

            def go_on(tried: list[Record] = tried) -> NoReturn:
                while True:
                    tried.append(again(ONE, f"{next(versions)}", access=digits(str(len(tried)))))
                    backend.write(tried[-1], replaces=tried[-2].version)
                    del tried[0]
                    backend.read(ONE.id)
                    backend.find([("access", digits("other"))])

            interrupted_after(turn * LONGEST / INTERRUPTIONS, go_on)

            assert backend.read(other.id) == other
            assert backend.find([("access", digits("other"))]) == [other]
            old = _written_over(backend, tried, f"after {turn}")

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
    def test_fork(self, backend: Backend) -> None:
        """Parent and child both go on using a backend that was open when they parted."""
        backend.write(ONE, replaces=None)
        backend.revision()

        ended = in_fork(lambda: _use(backend, "child"))

        assert ended == 0
        assert _use(backend, "parent")


INTERRUPTIONS = 30
LONGEST = 0.02
"""After how many seconds the last of `INTERRUPTIONS` comes."""


class SharedBackendContract(BackendContract):
    """The promises of a `Backend` that several processes share: real ones race here."""

    def test_processes_race(self, open_backend: Factory, backend: Backend) -> None:
        """
        Of processes that replace the same version, or store the same thing first, one wins.

        Of what four save at once, no record and no count is lost, none is doubled.
        """
        counter = record("counter", sealed=b"0")
        backend.write(ONE, replaces=None)
        backend.write(counter, replaces=None)

        won = in_processes(workers.race, open_backend, 4)

        for each in zip(*won, strict=True):
            assert sorted(each) == [False, False, False, True]
        (thing,) = backend.find([("owner", digits("the one thing"))])
        names = {f"{number}-{turn}" for number in range(4) for turn in range(workers.SAVES)}
        ids = {record(name).id for name in names} | {ONE.id, counter.id, thing.id}
        assert {each.id for each in backend.scan(None, 1000)} == ids
        counted = backend.read(counter.id)
        assert counted is not None
        assert int(counted.sealed) == 4 * workers.SAVES

    def test_processes_see_what_was_written(self, open_backend: Factory, backend: Backend) -> None:
        """
        From the return of a write on no process sees what was before.

        The readers keep what they read for as long as ``revision()`` stays the
        same, as the vault does. One that moves before what was committed can be
        read lets them keep the old record under the new revision: a token is
        handed out after its revocation.
        """
        backend.write(record("seen", sealed=b"0"), replaces=None)
        board = multiprocessing.get_context("spawn").RawArray("q", 3)

        saw = in_processes(partial(workers.write_and_look, board), open_backend, 3)

        assert saw == [[], [], []]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
    def test_fork_shares_the_store(self, connect: Factory) -> None:
        """What a forked child writes its parent sees, and the other way round."""
        backend = connect()
        backend.write(ONE, replaces=None)
        before = backend.revision()
        child = again(ONE, "child")

        ended = in_fork(lambda: backend.write(child, replaces=ONE.version))

        assert ended == 0
        assert before is None or backend.revision() != before
        assert backend.read(ONE.id) == child
        parent = again(ONE, "parent")
        backend.write(parent, replaces=child.version)
        assert connect().read(ONE.id) == parent


class RevisionContract(BackendFixtures):
    """The promises of ``Backend.revision``, where that is not None."""

    @pytest.mark.parametrize("change", CHANGES)
    def test_revision_changes_with_every_commit(self, connect: Factory, change: str) -> None:
        """After a commit of any kind by anybody, nobody is answered with an old revision."""
        for writer in (0, 1):
            both = connect(), connect()
            both[0].clear()
            both[0].write(ONE, replaces=None)
            before = [each.revision() for each in both]

            CHANGES[change](both[writer])

            assert both[0].revision() != before[0]
            assert both[1].revision() != before[1]

    def test_no_two_states_share_a_revision(self, connect: Factory) -> None:
        """However fast commits follow each other, a revision is not used again."""
        writer, reader = connect(), connect()
        old = ONE
        writer.write(old, replaces=None)
        seen = [reader.revision()]

        for turn in range(1, 101):
            new = again(old, str(turn))
            writer.write(new, replaces=old.version)
            seen.append(reader.revision())
            old = new

        assert len(set(seen)) == 101

    def test_revision_stays_without_a_commit(self, connect: Factory) -> None:
        """Reading, and writes that were refused, leave the revision as it is."""
        backend = connect()
        one = record(last_used_at=5.0)
        backend.write(one, replaces=None)
        backend.write(TWO, replaces=None)
        before = backend.revision()

        backend.read(one.id)
        backend.find([("user", digits("u")), ("id", one.id)])
        backend.scan(None, 10)
        backend.due(5.0, 10)
        backend.touch(one.id, 1.0)
        backend.delete(digits("unknown"))
        for late in CONFLICTS.values():
            with pytest.raises(StoreConflict):
                late(backend)

        assert backend.revision() == before


def _written_over(backend: Backend, tried: list[Record], version: str) -> Record:
    """Replace what an interruption left, which is one of those that were tried."""
    for _ in range(100):
        found = backend.read(ONE.id)
        assert found in tried
        seen = backend.find([("access", found.access or ""), ("owner", found.owner)])
        assert seen == [found] or backend.read(ONE.id) != found
        new = again(found, version)
        try:
            backend.write(new, replaces=found.version)
        except StoreConflict:
            continue  # what was interrupted has come to its end only now
        assert backend.read(ONE.id) == new
        return new
    raise AssertionError("nothing can be written any more")


def _use(backend: Backend, name: str) -> bool:
    """Read and write as somebody who has just been forked."""
    assert backend.read(ONE.id) is not None
    backend.revision()
    backend.write(record(name), replaces=None)
    backend.revision()
    return backend.read(record(name).id) == record(name)
