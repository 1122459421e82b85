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
from contextlib import ExitStack, closing
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, ClassVar, NoReturn

import pytest

from tokenkeep.backends.base import FOUND_BY, HEADER, MARKS, Record
from tokenkeep.errors import StoreConflict
from tokenkeep.testing import _workers as workers
from tokenkeep.testing.racing import in_fork, in_processes, in_threads, interrupted_after
from tokenkeep.testing.records import again, digits, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tokenkeep.backends.base import Backend, Due

    Factory = Callable[[], Backend]

__all__ = ["BackendContract", "RevisionContract", "SharedBackendContract"]

ONE, TWO = record(), record("two")
NEW = again(ONE)
"""Another version of `ONE`."""

HEADER_RECORD = record("header", id=HEADER, owner=HEADER, kind="header", key=0)

WRITTEN = {
    "whole": record(
        due_at=1795000000.123456, last_used_at=4.25, **{mark: digits(mark) for mark in MARKS}
    ),
    "with None": ONE,
    "with zeros": record(due_at=0.0, last_used_at=0.0),
    "alias": record(kind="alias", key=2),
    "lease": record(kind="lease", key=999),
    "ended": record(kind="ended", key=2_000_000_000),
    "header": HEADER_RECORD,
    "empty": record(sealed=b""),
    "nul": record(sealed=b"\0"),
    "all bytes": record(sealed=bytes(range(256))),
    "quotes": record(sealed=b"\xff\xfe'\"; --"),
}
"""What comes back as it was written."""

CONFLICTS: dict[str, Callable[[Backend], object]] = {
    "insert what is there": lambda by: by.write(NEW, replaces=None),
    "replace another version": lambda by: by.write(NEW, replaces=digits("another")),
    "replace, first digit": lambda by: by.write(NEW, replaces=_but_one_digit(ONE.version, 0)),
    "replace, last digit": lambda by: by.write(NEW, replaces=_but_one_digit(ONE.version, 31)),
    "replace what is not there": lambda by: by.write(record("3"), replaces=ONE.version),
    "delete another version": lambda by: by.delete(ONE.id, replaces=NEW.version),
}

CHANGES: dict[str, Callable[[Backend], object]] = {
    "insert": lambda by: by.write(record("new"), replaces=None),
    "replace": lambda by: by.write(NEW, replaces=ONE.version),
    "touch": lambda by: by.touch(ONE.id, 5.0),
    "delete": lambda by: by.delete(ONE.id),
    "clear": lambda by: by.clear(),
}
"""What commits something, after `ONE` was inserted."""

INTERRUPTIONS = 30
LONGEST = 0.02
"""After how many seconds the last of `INTERRUPTIONS` comes."""


class BackendFixtures:
    """The fixtures of each contract of backends. Subclasses give the first."""

    @pytest.fixture
    def open_backend(self) -> Factory:
        """Return what opens the store once more. Every subclass overrides this."""
        raise NotImplementedError("give the fixture open_backend: see BackendContract")

    @pytest.fixture
    def connect(self, open_backend: Factory) -> Iterator[Factory]:
        """``open_backend``, with every backend closed at the end."""
        with ExitStack() as stack:
            yield lambda: stack.enter_context(closing(open_backend()))

    @pytest.fixture
    def backend(self, connect: Factory) -> Backend:
        """One opening of the store."""
        return connect()


class BackendContract(BackendFixtures):
    """
    The promises of `Backend`, among threads and several openings of one store.

    What is written comes back and is found by what is its own; who was slower learns it.
    What was replaced or deleted is gone for everybody, and from every search.
    """

    very_many: ClassVar[int] = 3000
    """More values than one query may have; fewer where each is a request."""

    largest: ClassVar[int] = 65536
    """How many sealed bytes are tried; fewer where a store has a limit of its own."""

    # Reading and writing

    def test_empty_at_first(self, backend: Backend) -> None:
        """A new store holds nothing; asking for it, deleting and touching it is no error."""
        backend.touch(ONE.id, 7.0)

        assert backend.delete(ONE.id) is False
        assert backend.delete(ONE.id, replaces=ONE.version) is False
        assert _everything(backend, ONE) == []
        assert backend.clear() == 0

    def test_comes_back_as_written(self, connect: Factory) -> None:
        """Every field comes back as it was written, inserted or replaced, to whoever asks."""
        mine, yours = connect(), connect()
        large = record(sealed=os.urandom(self.largest))
        for name, written in {**WRITTEN, "large": large}.items():
            mine.write(written, replaces=None)
            assert yours.read(written.id) == written, name

            plain = record("plain", id=written.id, last_used_at=written.last_used_at)
            yours.write(plain, replaces=written.version)
            assert mine.scan(None, 10) == [plain], name
            mine.write(again(written), replaces=plain.version)

            assert yours.scan(None, 10) == [again(written)], name
            yours.delete(written.id)

    @pytest.mark.parametrize("late", CONFLICTS.values(), ids=CONFLICTS)
    def test_conflict(self, connect: Factory, late: Callable[[Backend], object]) -> None:
        """Who is late, or takes what is another's, is told, and changes and holds up nothing."""
        mine, yours = connect(), connect()
        _write(mine, ONE, TWO)

        with pytest.raises(StoreConflict):
            late(mine)

        assert mine.scan(None, 10) == _by_id([ONE, TWO])
        yours.write(NEW, replaces=ONE.version)
        assert mine.read(ONE.id) == NEW
        with pytest.raises(StoreConflict):
            mine.write(again(ONE, "3"), replaces=ONE.version)
        assert yours.delete(TWO.id, replaces=TWO.version) is True

    def test_insert_several(self, backend: Backend) -> None:
        """All are there at once, but those whose id or owner is taken: their ids are told."""
        several = [record(f"n{n}", user=digits(f"u{n}")) for n in range(70)]
        assert backend.insert([]) == []
        assert backend.insert(several) == []
        backend.write(ONE, replaces=None)
        taken = [NEW, record("a", owner=ONE.owner), record("b", owner=TWO.owner)]
        three = record("three")

        left = backend.insert([TWO, *taken, three])

        assert left == [each.id for each in taken]
        assert backend.scan(None, 100) == _by_id([*several, ONE, TWO, three])

    def test_owners_are_unique(self, backend: Backend) -> None:
        """
        No two records are for the same thing; one that is left or deleted is free again.

        A backend whose ids are made of owners leaves this out.
        """
        _write(backend, ONE, TWO)
        taken = again(TWO, owner=ONE.owner)
        for record_, replaces in (
            (again(ONE, owner=digits("other")), None),
            (record("three", owner=ONE.owner), None),
            (taken, TWO.version),
        ):
            with pytest.raises(StoreConflict):
                backend.write(record_, replaces=replaces)
        assert backend.scan(None, 10) == _by_id([ONE, TWO])

        moved = again(ONE, owner=digits("new"))
        backend.write(moved, replaces=ONE.version)
        assert backend.find([("owner", ONE.owner)]) == []
        assert backend.find([("owner", moved.owner)]) == [moved]
        backend.write(taken, replaces=TWO.version)
        assert backend.find([("owner", ONE.owner)]) == [taken]
        backend.delete(TWO.id)
        _write(backend, record("three", owner=ONE.owner))

    # Deleting

    def test_deleted(self, connect: Factory) -> None:
        """What is deleted is gone, its owner free, and no late write or delete finds it."""
        mine, yours = connect(), connect()
        marked = record(access=digits("a"), due_at=1.0)
        mine.write(marked, replaces=None)
        assert yours.delete(ONE.id) is True

        assert _everything(mine, marked) == []
        with pytest.raises(StoreConflict):
            mine.write(NEW, replaces=ONE.version)
        made_again = record("again", id=ONE.id, owner=ONE.owner)
        yours.write(made_again, replaces=None)
        with pytest.raises(StoreConflict):
            mine.write(NEW, replaces=ONE.version)
        with pytest.raises(StoreConflict):
            mine.delete(ONE.id, replaces=ONE.version)

        assert mine.read(ONE.id) == made_again

    def test_reopened_after_a_deletion(self, connect: Factory) -> None:
        """Closed, even twice, it goes on; what was deleted or replaced is so for others, too."""
        backend = connect()
        gone = record("gone", access=digits("a"), due_at=1.0)
        kept = record("kept", access=digits("b"), user=digits("ana"), due_at=1.0)
        _write(backend, gone, kept)
        new = again(kept, access=digits("c"), user=None)
        backend.write(new, replaces=kept.version)
        backend.delete(gone.id)

        def look(at: Backend) -> None:
            assert _everything(at, gone, kept) == [new]
            assert at.find([("access", digits("b")), ("user", digits("ana"))]) == []
            assert at.find([("access", digits("c"))]) == [new]
            with pytest.raises(StoreConflict):
                at.write(again(gone), replaces=gone.version)

        look(backend)
        backend.close()
        backend.close()
        look(backend)
        look(connect())
        backend.write(again(new, "3"), replaces=new.version)

    def test_clear(self, connect: Factory) -> None:
        """Clear deletes everything but the header, says how much, and leaves the store usable."""
        backend = connect()
        records = [record(name, user=digits("u"), due_at=1.0) for name in "abc"]
        _write(backend, HEADER_RECORD, *records)

        assert connect().clear() == 3

        assert _everything(backend, HEADER_RECORD, *records) == [HEADER_RECORD]
        assert backend.clear() == 0
        _write(backend, records[0])
        assert backend.read(records[0].id) == records[0]

    # Finding

    @pytest.mark.parametrize("field", FOUND_BY)
    def test_find_by_each_field(self, backend: Backend, field: str) -> None:
        """All who have a mark are found, and only in its own field."""
        count = 1 if field in ("id", "owner") else 3
        mine = [record(f"mine {n}", **{field: digits("mine")}) for n in range(count)]
        yours = record("yours", **{field: digits("yours")})
        _write(backend, *mine, yours)

        assert _by_id(backend.find([(field, digits("mine"))])) == _by_id(mine)
        assert backend.find([(field, digits("yours"))]) == [yours]
        assert backend.find([(field, digits("nobody's"))]) == []
        if field in MARKS:
            others = [(other, digits("mine")) for other in FOUND_BY if other != field]
            assert backend.find(others) == []

    def test_find_by_several_fields(self, backend: Backend) -> None:
        """One call looks for values in several fields; who has several is found once."""
        ana = record("ana", user=digits("ana"), access=digits("a"), refresh=digits("r"))
        bob = record("bob", user=digits("bob"), access=digits("b"))
        carl = record("carl", user=digits("carl"), grant=digits("g"))
        dora = record("dora", user=digits("dora"))
        emil = record("emil", user=digits("ana"))
        _write(backend, ana, bob, carl, dora, emil, record("other", user=digits("other")))

        found = backend.find([
            ("user", digits("ana")), ("access", digits("a")), ("refresh", digits("r")),
            ("access", digits("a")), ("access", digits("x")), ("id", ana.id), ("owner", ana.owner),
            ("id", bob.id), ("owner", dora.owner), ("grant", digits("g")),
            ("id", digits("nobody")), ("owner", digits("nobody")), ("tenant", digits("none")),
        ])  # fmt: skip

        assert _by_id(found) == _by_id([ana, bob, carl, dora, emil])
        assert backend.find([]) == []
        assert backend.find([(field, "0" * 32) for field in FOUND_BY]) == []  # none is no mark

    def test_find_very_many_values(self, backend: Backend) -> None:
        """There is no limit to how many values one call may ask for, in whatever fields."""
        ana = record("ana", access=digits("5"), user=digits("ana"))
        bob = record("bob", refresh=digits("7"))
        _write(backend, ana, bob)

        marks = [
            (field, digits(str(n)))
            for n in range(self.very_many // 2)
            for field in ("access", "refresh")
        ]

        assert _by_id(backend.find([*marks, ("user", digits("ana"))])) == _by_id([ana, bob])

    # Touching

    def test_touch(self, connect: Factory) -> None:
        """A touch is seen by everybody, leaves all else as it is, and never goes back."""
        one = record(access=digits("a"), due_at=3.0)
        _write(connect(), one)

        connect().touch(one.id, 7.5)
        connect().touch(one.id, 6.0)

        touched = record(access=digits("a"), due_at=3.0, last_used_at=7.5)
        assert _everything(connect(), one) == [touched]

    def test_touch_does_not_disturb_a_write(self, connect: Factory) -> None:
        """A touch in between is no conflict, and the write keeps its time."""
        mine, yours = connect(), connect()
        _write(mine, ONE)
        yours.touch(ONE.id, 7.0)

        mine.write(again(ONE, last_used_at=3.0), replaces=ONE.version)

        assert mine.read(ONE.id) == again(ONE, last_used_at=7.0)

    # Listing

    def test_scan_in_pages(self, backend: Backend) -> None:
        """Pages follow each other in the order of the ids, also behind one that was deleted."""
        records = _by_id([record(str(n)) for n in range(25)])
        _write(backend, *records)

        pages = _pages(backend, 10)

        assert [len(page) for page in pages] == [10, 10, 5]
        assert [each for page in pages for each in page] == records
        assert backend.scan(records[-1].id, 10) == []
        backend.delete(records[9].id)
        assert backend.scan(records[9].id, 10) == records[10:20]

    def test_scan_orders_by_digits(self, backend: Backend) -> None:
        """The order of ids is that of their digits: letters come last, the header first."""
        ids = [HEADER, "0" * 31 + "1", "0a" + "9" * 30, "9" * 32, "a" * 32, "f" * 32]
        _write(backend, *(record(each, id=each) for each in reversed(ids)))

        assert [each.id for each in backend.scan(None, 100)] == ids
        assert [each.id for each in backend.scan(ids[2], 2)] == ids[3:5]

    @pytest.mark.parametrize("field", MARKS)
    def test_scan_by_mark(self, backend: Backend, field: str) -> None:
        """Those with one mark are listed in pages of their own, as they are now."""
        mine = _by_id([record(f"mine {n}", **{field: digits("mine")}) for n in range(7)])
        yours = [record(f"yours {n}", **{field: digits("yours")}) for n in range(4)]
        _write(backend, *mine, *yours, record("nobody's"))

        pages = _pages(backend, 3, (field, digits("mine")))

        assert [len(page) for page in pages] == [3, 3, 1]
        assert [each for page in pages for each in page] == mine
        assert backend.scan(None, 4, mark=(field, digits("yours"))) == _by_id(yours)
        assert backend.scan(None, 10, mark=(field, digits("another"))) == []
        moved = again(mine[1], **{field: digits("another")})
        backend.write(moved, replaces=mine[1].version)
        backend.delete(mine[0].id)
        assert backend.scan(None, 10, mark=(field, digits("mine"))) == mine[2:]
        assert backend.scan(None, 10, mark=(field, digits("another"))) == [moved]

    # What is due

    def test_due_in_order(self, backend: Backend) -> None:
        """What has a time comes in its order, up to and with the one asked for."""
        times = [5.0, 1.0, 1795000000.25, 3.0, 0.0, 1795000000.5]
        records = {at: record(str(at), due_at=at) for at in times}
        _write(backend, *records.values(), record("never"))

        assert backend.due(3.0, 10) == [records[at] for at in (0.0, 1.0, 3.0)]
        assert backend.due(2.999, 10) == [records[at] for at in (0.0, 1.0)]
        assert backend.due(1795000000.25, 10)[-1] == records[1795000000.25]
        assert backend.due(3.0, 2) == [records[0.0], records[1.0]]
        assert len(backend.due(1e12, 10)) == len(times)
        for at, then in ((0.0, 4.0), (1.0, None)):  # another time counts from its write on
            backend.write(again(records[at], due_at=then), replaces=records[at].version)
        assert backend.due(4.0, 10) == [records[3.0], again(records[0.0], due_at=4.0)]

    def test_due_in_pages(self, backend: Backend) -> None:
        """Pages follow by time and id, also within one instant and behind what is gone."""
        records = [record(str(n), due_at=[1.0, 2.5, 2.5, 2.5, 4.0][n % 5]) for n in range(20)]
        _write(backend, *records, record("never"), record("later", due_at=9.0))
        records.sort(key=_due)

        pages: list[list[Record]] = []
        after: Due | None = None
        while not pages or len(pages[-1]) == 3:
            pages.append(backend.due(4.0, 3, after=after))
            after = _due(pages[-1][-1])

        assert [each for page in pages for each in page] == records
        backend.delete(records[7].id)
        backend.write(again(records[6], due_at=8.0), replaces=records[6].version)
        for done in records[6:8]:
            assert backend.due(4.0, 3, after=_due(done)) == records[8:11]

    # Opening and closing

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


def _write(backend: Backend, *records: Record) -> None:
    for each in records:
        backend.write(each, replaces=None)


def _but_one_digit(version: str, at: int) -> str:
    """Return a version that differs in one digit."""
    asked = list(version)
    asked[at] = f"{int(asked[at], 16) ^ 1:x}"
    return "".join(asked)


def _everything(backend: Backend, *about: Record) -> list[Record]:
    """Return all there is, listed, due, read or found by what these have, each once."""
    marks = [
        (field, value) for each in about for field in FOUND_BY if (value := getattr(each, field))
    ]
    found = [*backend.find(marks), *backend.scan(None, 10), *backend.due(1e10, 10)]
    found += [read for each in about if (read := backend.read(each.id))]
    return list(dict.fromkeys(found))


def _by_id(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda each: each.id)


def _due(each: Record) -> Due:
    assert each.due_at is not None
    return each.due_at, each.id


def _pages(backend: Backend, size: int, mark: tuple[str, str] | None = None) -> list[list[Record]]:
    """Return all pages of a scan."""
    pages = [backend.scan(None, size, mark=mark)]
    while len(pages[-1]) == size:
        pages.append(backend.scan(pages[-1][-1].id, size, mark=mark))
    return pages


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
