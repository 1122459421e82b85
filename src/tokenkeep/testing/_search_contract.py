"""The part of `BackendContract` about many records: find, touch, list."""

# ruff: noqa: S101 -- these are tests: they assert, and their numbers are the example

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokenkeep.backends.base import FIELDS, Record
from tokenkeep.testing._backend_fixtures import BackendFixtures
from tokenkeep.testing._contract_workers import record

if TYPE_CHECKING:
    from tokenkeep.backends.base import Backend
    from tokenkeep.testing._backend_fixtures import Factory


class SearchContract(BackendFixtures):
    """Records are found by what is theirs alone, and listed whole."""

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

        found = backend.find("access", [str(n) for n in range(self.very_many)])

        assert found == [record(access="5")]

    def test_none_is_not_found_by_text(self, backend: Backend) -> None:
        """A record without a value is not found by an empty or telling text."""
        backend.write(record(), replaces=None)

        assert backend.find("user", ["", "None", "null", "NULL"]) == []

    def test_look_alikes_are_different(self, backend: Backend) -> None:
        """Case, spaces and Unicode normalisation count; users never mix."""
        records = [
            record(f"{n:02}", user=text, identity=text) for n, text in enumerate(self.hard_texts)
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


def _id(each: Record) -> str:
    return each.id
