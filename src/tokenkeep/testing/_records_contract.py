"""The part of `BackendContract` about single records: write, read, replace, delete."""

# ruff: noqa: S101, PLR2004 -- these are tests: they assert, and their numbers are the example

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tokenkeep.errors import StoreConflict
from tokenkeep.testing._backend_fixtures import HARD_TEXTS, BackendFixtures
from tokenkeep.testing._contract_workers import record

if TYPE_CHECKING:
    from tokenkeep.backends.base import Backend
    from tokenkeep.testing._backend_fixtures import Factory


class RecordsContract(BackendFixtures):
    """What is written comes back; who was slower learns it; what is deleted is gone."""

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
