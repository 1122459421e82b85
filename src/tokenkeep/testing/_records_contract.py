"""The part of `BackendContract` about records: write, compare, find, touch, list, delete."""

# ruff: noqa: S101, PLR2004 -- these are tests: they assert, and their numbers are the example

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tokenkeep.backends.base import FOUND_BY, HEADER, MARKS, Record
from tokenkeep.errors import StoreConflict
from tokenkeep.testing._backend_fixtures import BackendFixtures
from tokenkeep.testing._contract_workers import again, digits, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tokenkeep.backends.base import Backend, Due
    from tokenkeep.testing._backend_fixtures import Factory

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


class RecordsContract(BackendFixtures):
    """
    What is written comes back and is found by what is its own; who was slower learns it.

    What was replaced or deleted is gone for everybody, and from every search.
    """

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
        for name, written in WRITTEN.items():
            mine.write(written, replaces=None)
            assert yours.read(written.id) == written, name

            plain = record("plain", id=written.id, last_used_at=written.last_used_at)
            yours.write(plain, replaces=written.version)
            assert mine.scan(None, 10) == [plain], name
            mine.write(again(written), replaces=plain.version)

            assert yours.scan(None, 10) == [again(written)], name
            yours.delete(written.id)

    def test_large(self, backend: Backend) -> None:
        """However many sealed bytes there are, they come back bit by bit."""
        sealed = os.urandom(self.largest)
        backend.write(record(sealed=sealed), replaces=None)

        found = backend.read(ONE.id)
        assert found is not None
        assert bytes(found.sealed) == sealed

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

    def test_what_was_replaced_is_not_found(self, backend: Backend) -> None:
        """Old marks lead nowhere, new ones do."""
        old = record(access=digits("old"), user=digits("ana"))
        new = again(old, access=digits("new"), user=None)
        _write(backend, old)

        backend.write(new, replaces=old.version)

        assert backend.find([("access", digits("old")), ("user", digits("ana"))]) == []
        assert backend.find([("access", digits("new"))]) == [new]

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
        """What was deleted or replaced is so for who opens the store again, too."""
        backend = connect()
        gone = record("gone", access=digits("a"), due_at=1.0)
        kept = record("kept", access=digits("b"), due_at=1.0)
        _write(backend, gone, kept)
        new = again(kept, access=digits("c"))
        backend.write(new, replaces=kept.version)
        backend.delete(gone.id)

        backend.close()

        for each in (backend, connect()):
            assert _everything(each, gone, kept) == [new]
            assert each.find([("access", digits("c"))]) == [new]
            with pytest.raises(StoreConflict):
                each.write(again(gone), replaces=gone.version)

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
        """One call looks for several values in several fields; who has several is found once."""
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

    def test_find_nothing(self, backend: Backend) -> None:
        """No value and zeros find nothing, least of all the records without a mark."""
        _write(backend, ONE)

        assert backend.find([]) == []
        assert backend.find([(field, "0" * 32) for field in FOUND_BY]) == []

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

    def test_due_as_it_is_now(self, backend: Backend) -> None:
        """Another time counts from its write on, and so does none."""
        one, two, three = (record(name, due_at=1.0) for name in ("one", "two", "three"))
        none = record("none")
        _write(backend, one, two, three, none)
        later, never = again(one, due_at=5.0), again(two, due_at=None)
        now = again(none, due_at=0.5)
        for new, old in ((later, one), (never, two), (now, none)):
            backend.write(new, replaces=old.version)

        assert backend.due(1.0, 10) == [now, three]
        assert backend.due(5.0, 10) == [now, three, later]


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
