"""The part of `BackendContract` about many records: find, touch, list, what is due."""

# ruff: noqa: S101, PLR2004 -- these are tests: they assert, and their numbers are the example

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokenkeep.backends.base import FOUND_BY, HEADER, MARKS, Record
from tokenkeep.testing._backend_fixtures import BackendFixtures
from tokenkeep.testing._contract_workers import again, digits, record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokenkeep.backends.base import Backend, Due
    from tokenkeep.testing._backend_fixtures import Factory


class SearchContract(BackendFixtures):
    """Records are found by what is theirs alone, and listed whole."""

    # Finding

    @pytest.mark.parametrize("field", FOUND_BY)
    def test_find_by_each_field(self, backend: Backend, field: str) -> None:
        """Records are found by each of the fields, and only by their own."""
        mine = record("mine", **{field: digits("mine")})
        yours = record("yours", **{field: digits("yours")})
        _write(backend, mine, yours)

        assert backend.find([(field, digits("mine"))]) == [mine]
        assert backend.find([(field, digits("nobody's"))]) == []

    @pytest.mark.parametrize("field", MARKS)
    def test_find_all_that_share_a_mark(self, backend: Backend, field: str) -> None:
        """Several records may share a mark, and all of them are found."""
        records = [record(name, **{field: digits("shared")}) for name in "abc"]
        _write(backend, *records)

        assert _by_id(backend.find([(field, digits("shared"))])) == _by_id(records)

    @pytest.mark.parametrize("field", MARKS)
    def test_fields_are_kept_apart(self, backend: Backend, field: str) -> None:
        """The same digits in another field are another mark."""
        _write(backend, record("mine", **{field: digits("same")}))

        others = [(other, digits("same")) for other in FOUND_BY if other != field]

        assert backend.find(others) == []

    def test_find_several_values(self, backend: Backend) -> None:
        """One call looks for several values; a value given twice finds a record once."""
        records = {name: record(name, access=digits(name)) for name in "abcd"}
        _write(backend, *records.values())

        found = backend.find([("access", digits(value)) for value in "acxa"])

        assert _by_id(found) == _by_id([records["a"], records["c"]])

    def test_find_by_several_fields(self, backend: Backend) -> None:
        """One call looks in several fields; who has several of the marks is found once."""
        ana = record("ana", user=digits("ana"), access=digits("a"), refresh=digits("r"))
        bob = record("bob", user=digits("bob"), access=digits("b"))
        carl = record("carl", user=digits("carl"), grant=digits("g"))
        dora = record("dora", user=digits("dora"))
        emil = record("emil", user=digits("ana"))
        _write(backend, ana, bob, carl, dora, emil, record("other", user=digits("other")))

        found = backend.find([
            ("user", digits("ana")), ("access", digits("a")), ("refresh", digits("r")),
            ("id", ana.id), ("owner", ana.owner),
            ("id", bob.id), ("owner", dora.owner), ("grant", digits("g")),
            ("id", digits("nobody")), ("owner", digits("nobody")), ("tenant", digits("none")),
        ])  # fmt: skip

        assert _by_id(found) == _by_id([ana, bob, carl, dora, emil])

    def test_find_no_value(self, backend: Backend) -> None:
        """Looking for no value finds nothing, least of all the records without one."""
        _write(backend, record())

        assert backend.find([]) == []

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

    def test_no_mark_is_no_mark(self, backend: Backend) -> None:
        """A record without a mark is not found by zeros."""
        _write(backend, record())

        assert backend.find([(field, "0" * 32) for field in FOUND_BY]) == []

    # Touching

    def test_touch(self, connect: Factory) -> None:
        """A touch is seen by everybody and leaves all else as it is, the version too."""
        one = record(access=digits("a"), due_at=3.0)
        _write(connect(), one)

        connect().touch(one.id, 7.5)

        touched = record(access=digits("a"), due_at=3.0, last_used_at=7.5)
        assert connect().read(one.id) == touched
        assert connect().find([("access", digits("a"))]) == [touched]
        assert connect().due(3.0, 10) == [touched]

    def test_touch_never_goes_back(self, backend: Backend) -> None:
        """A late touch with an older time changes nothing."""
        _write(backend, record())
        backend.touch(record().id, 7.0)

        backend.touch(record().id, 6.0)

        assert backend.read(record().id) == record(last_used_at=7.0)

    def test_touch_never_inserts(self, backend: Backend) -> None:
        """Touching an unknown id is silent and makes no record."""
        backend.touch(record().id, 7.0)

        assert backend.read(record().id) is None

    def test_touch_does_not_disturb_a_write(self, connect: Factory) -> None:
        """A touch in between is no conflict, and the write keeps its time."""
        mine, yours = connect(), connect()
        _write(mine, record())
        yours.touch(record().id, 7.0)

        mine.write(again(record(), last_used_at=3.0), replaces=record().version)

        assert mine.read(record().id) == again(record(), last_used_at=7.0)

    # Listing

    def test_scan_in_pages(self, backend: Backend) -> None:
        """Pages follow each other in the order of the ids, with nothing twice or left out."""
        records = [record(str(n)) for n in range(25)]
        _write(backend, *records)

        pages = _pages(backend, 10)

        assert [len(page) for page in pages] == [10, 10, 5]
        assert [each for page in pages for each in page] == _by_id(records)
        assert backend.scan(pages[-1][-1].id, 10) == []

    def test_scan_orders_by_digits(self, backend: Backend) -> None:
        """The order of ids is that of their digits: letters come last, the header first."""
        ids = [HEADER, "0" * 31 + "1", "0a" + "9" * 30, "9" * 32, "a" * 32, "f" * 32]
        _write(backend, *(record(each, id=each) for each in reversed(ids)))

        assert [each.id for each in backend.scan(None, 100)] == ids
        assert [each.id for each in backend.scan(ids[2], 2)] == ids[3:5]

    def test_scan_goes_on_behind_a_deleted_id(self, backend: Backend) -> None:
        """A page starts behind an id that is no longer there."""
        records = _by_id([record(name) for name in "abcd"])
        _write(backend, *records)
        backend.delete(records[1].id)

        assert backend.scan(records[1].id, 10) == records[2:]

    @pytest.mark.parametrize("field", MARKS)
    def test_scan_by_mark(self, backend: Backend, field: str) -> None:
        """Those with one mark are listed in pages of their own, in the order of their ids."""
        mine = [record(f"mine {n}", **{field: digits("mine")}) for n in range(7)]
        yours = [record(f"yours {n}", **{field: digits("yours")}) for n in range(4)]
        _write(backend, *mine, *yours, record("nobody's"))

        pages = _pages(backend, 3, (field, digits("mine")))

        assert [len(page) for page in pages] == [3, 3, 1]
        assert [each for page in pages for each in page] == _by_id(mine)
        assert backend.scan(None, 4, mark=(field, digits("yours"))) == _by_id(yours)
        assert backend.scan(None, 10, mark=(field, digits("another"))) == []

    def test_scan_by_mark_as_it_is_now(self, backend: Backend) -> None:
        """Who has lost a mark is not listed by it any more, who has got it is."""
        records = _by_id([record(name, state=digits("ok")) for name in "abc"])
        _write(backend, *records)
        revoked = again(records[1], state=digits("revoked"))
        backend.write(revoked, replaces=records[1].version)
        backend.delete(records[2].id)

        assert backend.scan(None, 10, mark=("state", digits("ok"))) == records[:1]
        assert backend.scan(None, 10, mark=("state", digits("revoked"))) == [revoked]

    # What is due

    def test_due_in_order(self, backend: Backend) -> None:
        """What is due comes in the order of its time, up to and with the one asked for."""
        times = [5.0, 1.0, 1795000000.25, 3.0, 0.0, 1795000000.5]
        records = {at: record(str(at), due_at=at) for at in times}
        _write(backend, *records.values())

        assert backend.due(3.0, 10) == [records[at] for at in (0.0, 1.0, 3.0)]
        assert backend.due(2.999, 10) == [records[at] for at in (0.0, 1.0)]
        assert backend.due(1795000000.25, 10)[-1] == records[1795000000.25]
        assert backend.due(3.0, 2) == [records[0.0], records[1.0]]

    def test_never_due(self, backend: Backend) -> None:
        """What has no time is never due, however late it is."""
        _write(backend, record("never"), record("one day", due_at=1e9))

        assert backend.due(1e12, 10) == [record("one day", due_at=1e9)]

    def test_due_in_pages(self, backend: Backend) -> None:
        """Pages follow each other by time and id, also within one instant."""
        records = [record(str(n), due_at=[1.0, 2.5, 2.5, 2.5, 4.0][n % 5]) for n in range(20)]
        _write(backend, *records, record("never"), record("later", due_at=9.0))

        pages: list[list[Record]] = []
        after: Due | None = None
        while not pages or len(pages[-1]) == 3:
            pages.append(backend.due(4.0, 3, after=after))
            after = _due(pages[-1][-1])

        assert [each for page in pages for each in page] == sorted(records, key=_due)

    def test_due_goes_on_behind_what_was_done(self, backend: Backend) -> None:
        """A page starts behind a record that was deleted, or is due at another time now."""
        records = sorted((record(name, due_at=1.0) for name in "abcd"), key=_due)
        _write(backend, *records)
        backend.write(again(records[0], due_at=8.0), replaces=records[0].version)
        backend.delete(records[1].id)

        assert backend.due(5.0, 10, after=_due(records[0])) == records[2:]
        assert backend.due(5.0, 10, after=_due(records[1])) == records[2:]

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
