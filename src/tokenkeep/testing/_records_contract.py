"""The part of `BackendContract` about single records: write, read, replace, delete."""

# ruff: noqa: S101, PLR2004 -- these are tests: they assert, and their numbers are the example

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tokenkeep.backends.base import HEADER, MARKS
from tokenkeep.errors import StoreConflict
from tokenkeep.testing._backend_fixtures import BackendFixtures
from tokenkeep.testing._contract_workers import again, digits, record

if TYPE_CHECKING:
    from tokenkeep.backends.base import Backend, Record
    from tokenkeep.testing._backend_fixtures import Factory

ONE = record()
NEW = again(ONE)
"""Another version of `ONE`."""


class RecordsContract(BackendFixtures):
    """What is written comes back; who was slower learns it; what is deleted is gone."""

    # Reading and writing

    def test_empty_at_first(self, backend: Backend) -> None:
        """A new store holds nothing, and asking for something is no error."""
        assert backend.read(ONE.id) is None
        assert backend.find([("owner", ONE.owner)]) == []
        assert backend.scan(None, 10) == []
        assert backend.due(1e10, 10) == []

    def test_comes_back_as_written(self, connect: Factory) -> None:
        """Every field comes back as it was written, to whoever asks."""
        marks = {mark: digits(mark) for mark in MARKS}
        full = record(due_at=1795000000.123456, last_used_at=4.25, **marks)

        connect().write(full, replaces=None)

        assert connect().read(full.id) == full

    def test_none_stays_none(self, backend: Backend) -> None:
        """What is None comes back as None, not as an empty text or zero."""
        backend.write(ONE, replaces=None)

        assert backend.read(ONE.id) == ONE

    def test_zero_stays_zero(self, backend: Backend) -> None:
        """The first second of the epoch is a time like any other."""
        zero = record(due_at=0.0, last_used_at=0.0)

        backend.write(zero, replaces=None)

        assert backend.read(zero.id) == zero

    @pytest.mark.parametrize(
        ("kind", "key"), [("row", 1), ("alias", 2), ("lease", 999), ("ended", 2_000_000_000)]
    )
    def test_kinds_and_keys(self, backend: Backend, kind: str, key: int) -> None:
        """What a record is and which key sealed it come back, also when they change."""
        made = record(kind=kind, key=key)
        backend.write(made, replaces=None)
        assert backend.read(made.id) == made

        changed = again(made, kind="row", key=key + 1)
        backend.write(changed, replaces=made.version)

        assert backend.read(made.id) == changed

    def test_the_header(self, connect: Factory) -> None:
        """The store's own record is one like the others; who comes second finds it."""
        header = record("header", id=HEADER, owner=HEADER, kind="header", key=0)
        connect().write(header, replaces=None)
        with pytest.raises(StoreConflict):
            connect().write(again(header, "mine"), replaces=None)
        assert connect().read(HEADER) == header

        connect().write(again(header), replaces=header.version)

        assert connect().read(HEADER) == again(header)

    @pytest.mark.parametrize(
        "sealed",
        [b"", b"\0", bytes(range(256)), b"\xff\xfe'\"; --", None],
        ids=["empty", "nul", "all", "quotes", "large"],
    )
    def test_any_bytes(self, backend: Backend, sealed: bytes | None) -> None:
        """The sealed bytes come back bit by bit."""
        sealed = os.urandom(self.largest) if sealed is None else sealed
        backend.write(record(sealed=sealed), replaces=None)

        found = backend.read(ONE.id)
        assert found is not None
        assert bytes(found.sealed) == sealed

    def test_insert_needs_a_free_id(self, backend: Backend) -> None:
        """Inserting an id that exists is a conflict and changes nothing."""
        backend.write(ONE, replaces=None)

        with pytest.raises(StoreConflict):
            backend.write(again(ONE, owner=digits("other")), replaces=None)

        assert backend.read(ONE.id) == ONE

    def test_insert_several(self, backend: Backend) -> None:
        """All are there at once, but those whose id or owner is taken: their ids are told."""
        several = [record(f"n{n}", user=digits(f"u{n}")) for n in range(70)]
        assert backend.insert([]) == []
        assert backend.insert(several) == []
        backend.write(ONE, replaces=None)
        two, three = record("two"), record("three")
        taken = [again(ONE), record("a", owner=ONE.owner), record("b", owner=two.owner)]

        left = backend.insert([two, *taken, three])

        assert left == [each.id for each in taken]
        there = sorted([*several, ONE, two, three], key=lambda each: each.id)
        assert backend.scan(None, 100) == there

    def test_insert_needs_a_free_owner(self, backend: Backend) -> None:
        """A second record for the same thing is a conflict and is not stored."""
        backend.write(ONE, replaces=None)
        two = record("two", owner=ONE.owner)

        with pytest.raises(StoreConflict):
            backend.write(two, replaces=None)

        assert backend.read(two.id) is None
        assert backend.find([("owner", ONE.owner)]) == [ONE]

    def test_replace_needs_a_free_owner(self, backend: Backend) -> None:
        """No record takes over the owner of another one."""
        two = record("two")
        backend.write(ONE, replaces=None)
        backend.write(two, replaces=None)

        with pytest.raises(StoreConflict):
            backend.write(again(two, owner=ONE.owner), replaces=two.version)

        assert backend.read(ONE.id) == ONE
        assert backend.read(two.id) == two

    def test_replace(self, connect: Factory) -> None:
        """The right version is replaced whole; fields that became None are None."""
        old = record(access=digits("a"), user=digits("u"), due_at=5.0)
        connect().write(old, replaces=None)
        new = again(ONE, refresh=digits("r"), kind="ended", key=2, sealed=b"new")

        connect().write(new, replaces=old.version)

        assert connect().scan(None, 10) == [new]

    def test_a_new_owner_frees_the_old_one(self, backend: Backend) -> None:
        """A record may become another thing's; then its old owner is not found, and free."""
        backend.write(ONE, replaces=None)
        moved = again(ONE, owner=digits("new"))

        backend.write(moved, replaces=ONE.version)

        assert backend.find([("owner", ONE.owner)]) == []
        assert backend.find([("owner", moved.owner)]) == [moved]
        two = record("two", owner=ONE.owner)
        backend.write(two, replaces=None)
        assert backend.find([("owner", ONE.owner)]) == [two]

    def test_replaced_marks_are_not_found(self, backend: Backend) -> None:
        """A token that was replaced is no longer found by, the new one is."""
        old = record(access=digits("old"), user=digits("ana"))
        backend.write(old, replaces=None)
        new = again(old, access=digits("new"), user=None)

        backend.write(new, replaces=old.version)

        assert backend.find([("access", digits("old")), ("user", digits("ana"))]) == []
        assert backend.find([("access", digits("new"))]) == [new]

    def test_lost_race(self, connect: Factory) -> None:
        """Who read before somebody else wrote gets a conflict; the first write stays."""
        mine, yours = connect(), connect()
        mine.write(ONE, replaces=None)
        yours.write(again(ONE, "yours"), replaces=ONE.version)

        with pytest.raises(StoreConflict):
            mine.write(again(ONE, "mine"), replaces=ONE.version)

        assert mine.read(ONE.id) == again(ONE, "yours")

    def test_replace_never_inserts(self, backend: Backend) -> None:
        """A record that was deleted does not come back by a late write."""
        backend.write(ONE, replaces=None)
        backend.delete(ONE.id)

        with pytest.raises(StoreConflict):
            backend.write(NEW, replaces=ONE.version)

        assert backend.read(ONE.id) is None

    def test_recreated_is_another_version(self, connect: Factory) -> None:
        """A record deleted and made again is not mistaken for the old one."""
        mine, yours = connect(), connect()
        mine.write(ONE, replaces=None)
        yours.delete(ONE.id)
        yours.write(NEW, replaces=None)

        with pytest.raises(StoreConflict):
            mine.write(again(ONE, "2"), replaces=ONE.version)
        with pytest.raises(StoreConflict):
            mine.delete(ONE.id, replaces=ONE.version)

        assert mine.read(ONE.id) == NEW

    @pytest.mark.parametrize("at", [0, 31], ids=["first", "last"])
    def test_versions_compare_exactly(self, backend: Backend, at: int) -> None:
        """A version that differs in one digit is another version."""
        asked = list(ONE.version)
        asked[at] = f"{int(asked[at], 16) ^ 1:x}"
        backend.write(ONE, replaces=None)

        with pytest.raises(StoreConflict):
            backend.write(NEW, replaces="".join(asked))

    def test_conflict_holds_nobody_up(self, connect: Factory) -> None:
        """After a refused write others write at once: no transaction is left open."""
        mine, yours = connect(), connect()
        mine.write(ONE, replaces=None)
        with pytest.raises(StoreConflict):
            mine.write(NEW, replaces=digits("another"))
        with pytest.raises(StoreConflict):
            mine.write(again(ONE, "two"), replaces=None)

        yours.write(NEW, replaces=ONE.version)

        assert mine.read(ONE.id) == NEW

    # Deleting

    def test_delete(self, connect: Factory) -> None:
        """A deleted record is gone for everybody, and from every search."""
        marked = record(access=digits("a"), due_at=1.0)
        connect().write(marked, replaces=None)

        assert connect().delete(marked.id) is True

        assert _everywhere(connect(), marked.id, digits("a")) == []

    def test_delete_what_is_not_there(self, backend: Backend) -> None:
        """Deleting nothing says so and is no error, with a version or without."""
        assert backend.delete(ONE.id) is False
        assert backend.delete(ONE.id, replaces=ONE.version) is False

    def test_delete_one_version(self, backend: Backend) -> None:
        """A delete that names a version takes only that one."""
        backend.write(ONE, replaces=None)

        with pytest.raises(StoreConflict):
            backend.delete(ONE.id, replaces=NEW.version)
        assert backend.read(ONE.id) == ONE
        assert backend.delete(ONE.id, replaces=ONE.version) is True
        assert backend.read(ONE.id) is None

    def test_deleted_owner_is_free(self, backend: Backend) -> None:
        """After a delete the same thing can be stored under another id."""
        two = record("two", owner=ONE.owner)
        backend.write(ONE, replaces=None)
        backend.delete(ONE.id)

        backend.write(two, replaces=None)

        assert backend.find([("owner", ONE.owner)]) == [two]

    def test_reopened_after_a_deletion(self, connect: Factory) -> None:
        """What was deleted or replaced is so for who opens the store again, too."""
        backend = connect()
        gone = record("gone", access=digits("a"), due_at=1.0)
        kept = record("kept", access=digits("b"), due_at=1.0)
        backend.write(gone, replaces=None)
        backend.write(kept, replaces=None)
        new = again(kept, access=digits("c"))
        backend.write(new, replaces=kept.version)
        backend.delete(gone.id)

        backend.close()

        for each in (backend, connect()):
            assert _everywhere(each, gone.id, digits("a"), digits("b")) == [new]
            assert each.find([("access", digits("c"))]) == [new]
            with pytest.raises(StoreConflict):
                each.write(again(gone), replaces=gone.version)

    def test_clear(self, connect: Factory) -> None:
        """Clear deletes everything, says how much it was, and leaves the store usable."""
        backend = connect()
        for name in "abc":
            backend.write(record(name, user=digits("u"), due_at=1.0), replaces=None)

        assert connect().clear() == 3

        assert backend.scan(None, 10) == []
        assert backend.due(5.0, 10) == []
        assert backend.find([("user", digits("u"))]) == []
        assert backend.clear() == 0
        backend.write(record("a"), replaces=None)
        assert backend.read(record("a").id) == record("a")

    def test_clear_leaves_the_header(self, connect: Factory) -> None:
        """The store's own record is left as it is, and is not counted."""
        header = record("header", id=HEADER, owner=HEADER, kind="header", key=0)
        connect().write(header, replaces=None)
        assert connect().clear() == 0
        connect().write(ONE, replaces=None)

        assert connect().clear() == 1

        assert connect().scan(None, 10) == [header]
        assert connect().find([("owner", HEADER), ("id", HEADER), ("owner", ONE.owner)]) == [
            header
        ]


def _everywhere(backend: Backend, record_id: str, *accesses: str) -> list[Record]:
    """Return what there is of a record, and of all that is found otherwise, each once."""
    found = backend.find([("id", record_id), *(("access", access) for access in accesses)])
    found += [each for each in (backend.read(record_id),) if each]
    found += [*backend.scan(None, 10), *backend.due(5.0, 10)]
    return list(dict.fromkeys(found))
