"""
What every backend promises, as tests: subclass, give one fixture, run pytest.

    class TestMyBackend(BackendContract):
        @pytest.fixture
        def open_backend(self, tmp_path):
            return functools.partial(MyBackend, tmp_path / "tokens")

Each call of what ``open_backend`` returns stands for another process that
opens the same store, which is empty when a test begins. A backend that
several processes can share subclasses `SharedBackendContract`, which starts
real ones: there the fixture's value must be picklable, so no lambda.
"""

# ruff: noqa: S101, PLR2004 -- these are tests: they assert, and their numbers are the example

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tokenkeep.backends.base import FIELDS, Backend, Record
from tokenkeep.errors import StoreConflict
from tokenkeep.testing import _contract_workers as workers
from tokenkeep.testing._contract_workers import in_processes, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Factory = Callable[[], Backend]

HARD_TEXTS = (
    "",
    " ",
    "a",
    "A",
    "a ",
    " a",
    "a\0",
    "a\0b",
    "\n\r\t",
    "'; DROP TABLE token; --",
    '"quoted" \\ %s ? :id',
    "caf\u00e9",
    "cafe\u0301",
    "CAF\u00c9",
    "stra\u00dfe",
    "strasse",
    "\U0001f511 \U0001f469\u200d\U0001f4bb",
    "\ufeff\u202e",
    "x" * 65536,
)
"""Texts that look alike to a careless comparison, or break careless quoting."""


class BackendContract:
    """The promises of `Backend`, among threads and several openings of one store."""

    @pytest.fixture
    def open_backend(self) -> Factory:
        """Return what opens the store once more. Every subclass overrides this."""
        raise NotImplementedError("give the fixture open_backend: see BackendContract")

    @pytest.fixture
    def connect(self, open_backend: Factory) -> Iterator[Factory]:
        """``open_backend``, with every backend closed at the end."""
        opened: list[Backend] = []

        def connect() -> Backend:
            opened.append(open_backend())
            return opened[-1]

        yield connect
        for backend in opened:
            backend.close()

    @pytest.fixture
    def backend(self, connect: Factory) -> Backend:
        """One opening of the store."""
        return connect()

    # Reading and writing

    def test_empty_at_first(self, backend: Backend) -> None:
        """A new store holds nothing, and asking for something is no error."""
        assert backend.read("id") is None
        assert backend.find("identity", ["identity of id"]) == []
        assert backend.scan(None, 10) == []

    def test_comes_back_as_written(self, connect: Factory) -> None:
        """Every field comes back as it was written, to whoever asks."""
        full = record(
            access="a", refresh="r", grant="g", user="u", client_id="c", provider="p",
            data_center="d", environment="e", status="s", expires_at=1.5, created_at=2.25,
            updated_at=3.125, last_used_at=4.0,
        )  # fmt: skip

        connect().write(full, replaces=None)

        assert connect().read("id") == full

    def test_none_stays_none(self, backend: Backend) -> None:
        """What is None comes back as None, not as an empty text or zero."""
        backend.write(record(), replaces=None)

        assert backend.read("id") == record()

    def test_empty_text_stays_empty(self, backend: Backend) -> None:
        """An empty text comes back as an empty text, not as None."""
        empty = record(user="", access="", status="")

        backend.write(empty, replaces=None)

        assert backend.read("id") == empty

    @pytest.mark.parametrize("text", HARD_TEXTS, ids=range(len(HARD_TEXTS)))
    def test_any_text(self, backend: Backend, text: str) -> None:
        """A text in any field comes back character by character, and is found by."""
        hard = record(
            access=text, refresh=text, grant=text, user=text, client_id=text, provider=text,
            data_center=text, environment=text, status=text, key_id=text,
        )  # fmt: skip

        backend.write(hard, replaces=None)

        assert backend.read("id") == hard
        for field in ("user", "access", "refresh", "grant"):
            assert backend.find(field, [text]) == [hard]

    @pytest.mark.parametrize(
        "sealed",
        [b"", b"\0", bytes(range(256)), b"\xff\xfe'\"; --", os.urandom(65536)],
        ids=["empty", "nul", "all", "quotes", "64 KB"],
    )
    def test_any_bytes(self, backend: Backend, sealed: bytes) -> None:
        """The sealed bytes come back bit by bit."""
        backend.write(record(sealed=sealed), replaces=None)

        found = backend.read("id")
        assert found is not None
        assert bytes(found.sealed) == sealed

    def test_insert_needs_a_free_id(self, backend: Backend) -> None:
        """Inserting an id that exists is a conflict and changes nothing."""
        backend.write(record(), replaces=None)

        with pytest.raises(StoreConflict):
            backend.write(record(version="2", identity="other"), replaces=None)

        assert backend.read("id") == record()

    def test_insert_needs_a_free_identity(self, backend: Backend) -> None:
        """A second record for the same thing is a conflict and is not stored."""
        backend.write(record("one", identity="same"), replaces=None)

        with pytest.raises(StoreConflict):
            backend.write(record("two", identity="same"), replaces=None)

        assert backend.read("two") is None

    def test_replace_needs_a_free_identity(self, backend: Backend) -> None:
        """No record takes over the identity of another one."""
        one, two = record("one"), record("two")
        backend.write(one, replaces=None)
        backend.write(two, replaces=None)

        with pytest.raises(StoreConflict):
            backend.write(replace(two, version="2", identity=one.identity), replaces="1")

        assert backend.scan(None, 10) == [one, two]

    def test_replace(self, connect: Factory) -> None:
        """The right version is replaced whole; fields that became None are None."""
        connect().write(record(access="a", user="u"), replaces=None)
        new = record(version="2", refresh="r", identity="new")

        connect().write(new, replaces="1")

        assert connect().scan(None, 10) == [new]

    def test_replaced_digests_are_not_found(self, backend: Backend) -> None:
        """A token that was replaced is no longer found by, the new one is."""
        backend.write(record(access="old"), replaces=None)
        new = record(version="2", access="new")

        backend.write(new, replaces="1")

        assert backend.find("access", ["old"]) == []
        assert backend.find("access", ["new"]) == [new]

    def test_lost_race(self, connect: Factory) -> None:
        """Who read before somebody else wrote gets a conflict; the first write stays."""
        mine, yours = connect(), connect()
        mine.write(record(), replaces=None)
        yours.write(record(version="yours"), replaces="1")

        with pytest.raises(StoreConflict):
            mine.write(record(version="mine"), replaces="1")

        assert mine.read("id") == record(version="yours")

    def test_replace_never_inserts(self, backend: Backend) -> None:
        """A record that was deleted does not come back by a late write."""
        backend.write(record(), replaces=None)
        backend.delete("id")

        with pytest.raises(StoreConflict):
            backend.write(record(version="2"), replaces="1")

        assert backend.read("id") is None

    def test_recreated_is_another_version(self, connect: Factory) -> None:
        """A record deleted and made again is not mistaken for the old one."""
        mine, yours = connect(), connect()
        mine.write(record(), replaces=None)
        yours.delete("id")
        again = record(version="again")
        yours.write(again, replaces=None)

        with pytest.raises(StoreConflict):
            mine.write(record(version="2"), replaces="1")
        with pytest.raises(StoreConflict):
            mine.delete("id", replaces="1")

        assert mine.read("id") == again

    @pytest.mark.parametrize(("stored", "asked"), [("v", "V"), ("v", "v "), ("1", "01")])
    def test_versions_compare_exactly(self, backend: Backend, stored: str, asked: str) -> None:
        """A version that only looks like the stored one is another version."""
        backend.write(record(version=stored), replaces=None)

        with pytest.raises(StoreConflict):
            backend.write(record(version="new"), replaces=asked)

    # Finding

    @pytest.mark.parametrize("field", FIELDS)
    def test_find_by_each_field(self, backend: Backend, field: str) -> None:
        """Records are found by each of the fields, and only by their own."""
        mine, yours = record("one", **{field: "mine"}), record("two", **{field: "yours"})
        backend.write(mine, replaces=None)
        backend.write(yours, replaces=None)

        assert backend.find(field, ["mine"]) == [mine]
        assert backend.find(field, ["nobody's"]) == []

    @pytest.mark.parametrize("field", ["user", "access", "refresh", "grant"])
    def test_find_all_that_share_a_value(self, backend: Backend, field: str) -> None:
        """Several records may share a value, and all of them are found."""
        records = [record(name, **{field: "shared"}) for name in "abc"]
        for each in records:
            backend.write(each, replaces=None)

        assert sorted(backend.find(field, ["shared"]), key=_id) == records

    def test_find_several_values(self, backend: Backend) -> None:
        """One call looks for several values; a value given twice finds a record once."""
        records = [record(name, access=name) for name in "abcd"]
        for each in records:
            backend.write(each, replaces=None)

        found = backend.find("access", ["a", "c", "x", "a"])

        assert sorted(found, key=_id) == [records[0], records[2]]

    def test_find_no_value(self, backend: Backend) -> None:
        """Looking for no value finds nothing, least of all the records without one."""
        backend.write(record(), replaces=None)

        assert backend.find("access", []) == []

    def test_find_very_many_values(self, backend: Backend) -> None:
        """There is no limit to how many values one call may ask for."""
        backend.write(record(access="5"), replaces=None)

        assert backend.find("access", [str(n) for n in range(3000)]) == [record(access="5")]

    def test_none_is_not_found_by_text(self, backend: Backend) -> None:
        """A record without a value is not found by an empty or telling text."""
        backend.write(record(), replaces=None)

        assert backend.find("user", ["", "None", "null", "NULL"]) == []

    def test_look_alikes_are_different(self, backend: Backend) -> None:
        """Case, spaces and Unicode normalisation count; users never mix."""
        records = [
            record(f"{n:02}", user=text, identity=text) for n, text in enumerate(HARD_TEXTS)
        ]
        for each in records:
            backend.write(each, replaces=None)

        for each in records:
            assert each.user is not None
            assert backend.find("user", [each.user]) == [each]
            assert backend.find("identity", [each.identity]) == [each]

    def test_ids_compare_exactly(self, backend: Backend) -> None:
        """Ids that look alike are different records."""
        backend.write(record("a"), replaces=None)
        backend.write(record("A"), replaces=None)

        assert backend.read("A") == record("A")
        assert backend.read("a ") is None
        assert backend.delete("a ") is False
        assert backend.delete("a") is True
        assert backend.scan(None, 10) == [record("A")]

    # Deleting

    def test_delete(self, connect: Factory) -> None:
        """A deleted record is gone for everybody, and from every search."""
        connect().write(record(access="a"), replaces=None)

        assert connect().delete("id") is True

        assert connect().read("id") is None
        assert connect().find("access", ["a"]) == []

    def test_delete_what_is_not_there(self, backend: Backend) -> None:
        """Deleting nothing says so and is no error, with a version or without."""
        assert backend.delete("id") is False
        assert backend.delete("id", replaces="1") is False

    def test_delete_one_version(self, backend: Backend) -> None:
        """A delete that names a version takes only that one."""
        backend.write(record(), replaces=None)

        with pytest.raises(StoreConflict):
            backend.delete("id", replaces="0")
        assert backend.read("id") == record()
        assert backend.delete("id", replaces="1") is True
        assert backend.read("id") is None

    def test_deleted_identity_is_free(self, backend: Backend) -> None:
        """After a delete the same thing can be stored under another id."""
        backend.write(record("one", identity="same"), replaces=None)
        backend.delete("one")

        backend.write(record("two", identity="same"), replaces=None)

        assert backend.find("identity", ["same"]) == [record("two", identity="same")]

    def test_clear(self, connect: Factory) -> None:
        """Clear deletes everything, says how much it was, and leaves the store usable."""
        backend = connect()
        for name in "abc":
            backend.write(record(name, user="u"), replaces=None)

        assert connect().clear() == 3

        assert backend.scan(None, 10) == []
        assert backend.find("user", ["u"]) == []
        assert backend.clear() == 0
        backend.write(record("a"), replaces=None)
        assert backend.read("a") == record("a")

    # Touching

    def test_touch(self, connect: Factory) -> None:
        """A touch is seen by everybody and leaves all else as it is, the version too."""
        connect().write(record(access="a", updated_at=1.0), replaces=None)

        connect().touch("id", 7.5)

        touched = record(access="a", updated_at=1.0, last_used_at=7.5)
        assert connect().read("id") == touched
        assert connect().find("access", ["a"]) == [touched]

    def test_touch_never_goes_back(self, backend: Backend) -> None:
        """A late touch with an older time changes nothing."""
        backend.write(record(), replaces=None)
        backend.touch("id", 7.0)

        backend.touch("id", 6.0)

        assert backend.read("id") == record(last_used_at=7.0)

    def test_touch_never_inserts(self, backend: Backend) -> None:
        """Touching an unknown id is silent and makes no record."""
        backend.touch("id", 7.0)

        assert backend.read("id") is None

    def test_touch_does_not_disturb_a_write(self, connect: Factory) -> None:
        """A touch in between is no conflict, and the write keeps its time."""
        mine, yours = connect(), connect()
        mine.write(record(), replaces=None)
        yours.touch("id", 7.0)

        mine.write(record(version="2", last_used_at=3.0), replaces="1")

        assert mine.read("id") == record(version="2", last_used_at=7.0)

    # Listing

    def test_scan_in_pages(self, backend: Backend) -> None:
        """Pages follow each other in the order of the ids, with nothing twice or left out."""
        names = [f"{n:02}" for n in range(25)]
        for name in names[::-2] + names[-2::-2]:
            backend.write(record(name), replaces=None)

        pages: list[list[Record]] = []
        while not pages or pages[-1]:
            pages.append(backend.scan(pages[-1][-1].id if pages else None, 10))

        assert [len(page) for page in pages] == [10, 10, 5, 0]
        assert [each.id for page in pages for each in page] == names

    def test_scan_orders_by_code_points(self, backend: Backend) -> None:
        """The order of ids is that of their characters, not that of a language."""
        names = sorted(["a", "B", "_", "0", "Z", "b", "\u00e9", "e", "\uffee", "\U0001f511"])
        for name in reversed(names):
            backend.write(record(name), replaces=None)

        assert [each.id for each in backend.scan(None, 100)] == names
        assert [each.id for each in backend.scan("Z", 2)] == ["_", "a"]

    def test_scan_goes_on_behind_a_deleted_id(self, backend: Backend) -> None:
        """A page starts behind an id that is no longer there."""
        for name in "abcd":
            backend.write(record(name), replaces=None)
        backend.delete("b")

        assert [each.id for each in backend.scan("b", 10)] == ["c", "d"]

    # Revision

    @pytest.mark.parametrize("change", ["insert", "replace", "touch", "delete", "clear"])
    @pytest.mark.parametrize("writer", [0, 1])
    def test_revision_changes_with_every_commit(
        self, connect: Factory, change: str, writer: int
    ) -> None:
        """After a commit of any kind by anybody, nobody is answered with an old revision."""
        both = connect(), connect()
        _skip_without_revision(both[0])
        both[0].write(record(), replaces=None)
        before = [each.revision() for each in both]
        changes: dict[str, Callable[[Backend], object]] = {
            "insert": lambda by: by.write(record("new"), replaces=None),
            "replace": lambda by: by.write(record(version="2"), replaces="1"),
            "touch": lambda by: by.touch("id", 5.0),
            "delete": lambda by: by.delete("id"),
            "clear": lambda by: by.clear(),
        }

        changes[change](both[writer])

        assert both[0].revision() != before[0]
        assert both[1].revision() != before[1]

    def test_no_two_states_share_a_revision(self, connect: Factory) -> None:
        """However fast commits follow each other, a revision is not used again."""
        writer, reader = connect(), connect()
        _skip_without_revision(reader)
        writer.write(record(version="0"), replaces=None)
        seen = [reader.revision()]

        for turn in range(1, 101):
            writer.write(record(version=str(turn)), replaces=str(turn - 1))
            seen.append(reader.revision())

        assert len(set(seen)) == 101

    def test_revision_stays_without_a_commit(self, connect: Factory) -> None:
        """Reading, and writes that were refused, leave the revision as it is."""
        backend = connect()
        _skip_without_revision(backend)
        backend.write(record(last_used_at=5.0), replaces=None)
        before = backend.revision()

        backend.read("id")
        backend.find("user", ["u"])
        backend.scan(None, 10)
        backend.touch("id", 1.0)
        backend.delete("unknown")
        for bad in (record(version="2"), record("other", identity=record().identity)):
            with pytest.raises(StoreConflict):
                backend.write(bad, replaces=None)
        with pytest.raises(StoreConflict):
            backend.write(record(version="2"), replaces="0")

        assert backend.revision() == before

    def test_conflict_holds_nobody_up(self, connect: Factory) -> None:
        """After a refused write others write at once: no transaction is left open."""
        mine, yours = connect(), connect()
        mine.write(record(), replaces=None)
        with pytest.raises(StoreConflict):
            mine.write(record(version="2"), replaces="0")
        with pytest.raises(StoreConflict):
            mine.write(record("other", identity=record().identity), replaces=None)

        yours.write(record(version="2"), replaces="1")

        assert mine.read("id") == record(version="2")

    # Life and threads

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
        _skip_without_revision(backend)
        backend.write(record(), replaces=None)
        before = backend.revision()

        ended = _in_fork(lambda: backend.write(record(version="child"), replaces="1"))

        assert ended == 0
        assert backend.revision() != before
        assert backend.read("id") == record(version="child")
        backend.write(record(version="parent"), replaces="child")
        assert connect().read("id") == record(version="parent")


def _id(each: Record) -> str:
    return each.id


def _skip_without_revision(backend: Backend) -> None:
    if backend.revision() is None:
        pytest.skip("this backend has no change counter")


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
