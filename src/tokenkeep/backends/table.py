"""Records in memory, with indexes: the rules of `Backend` where nobody else writes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace
from itertools import islice, takewhile
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.base import FOUND_BY, HEADER, Record
from tokenkeep.errors import StoreConflict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tokenkeep.backends.base import Due, Mark

_INDEXED = (*FOUND_BY, "due_at")


class Table:
    """
    Records by id, by each of `FOUND_BY`, and by when they are due. Not thread-safe.

    A signal handler may raise between any two steps of a change. So a record
    is written or deleted in one step; its new entries in the indexes are made
    before, the old ones go after, and none counts unless its record says so.

    Args:
        records: What it holds at first.

    Raises:
        StoreConflict: Two of *records* have the same id or owner.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.commits: int = 0
        """Grows with each change."""
        self._records: dict[str, Record] = {}
        # Of each field, the values that there are with the ids that have them, in order.
        self._indexes: dict[str, list[tuple[Any, str]]] = {field: [] for field in _INDEXED}
        for record in records:
            self.write(record, replaces=None)

    def __iter__(self) -> Iterator[Record]:
        """Yield the records in the order of their ids."""
        return self._valid("id", 0)

    def copy(self) -> Table:
        """Return a table with the same records that can be changed on its own."""
        other = Table()
        other.commits = self.commits
        other._records = self._records.copy()
        other._indexes = {field: index.copy() for field, index in self._indexes.items()}
        return other

    def read(self, record_id: str) -> Record | None:
        """As `Backend.read`."""
        return self._records.get(record_id)

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        """As `Backend.find`."""
        return list(dict.fromkeys(record for mark in marks for record in self._having(mark)))

    def write(self, record: Record, *, replaces: str | None) -> None:
        """As `Backend.write`."""
        old = self._records.get(record.id)
        if (old and old.version) != replaces:
            raise StoreConflict("Somebody else wrote this record first", token_id=record.id)
        if any(other.id != record.id for other in self._having(("owner", record.owner))):
            raise StoreConflict("Another record is for the same thing", token_id=record.id)
        if old:
            record = replace(record, last_used_at=old.last_used_at)
        for field, index in self._indexes.items():
            value = getattr(record, field)
            if value is not None:
                at = bisect_left(index, (value, record.id))
                if index[at : at + 1] != [(value, record.id)]:
                    index.insert(at, (value, record.id))
        self.commits += 1
        self._records[record.id] = record
        if old:
            self._forget(old, but=record)

    def delete(self, record_id: str, *, replaces: str | None) -> bool:
        """As `Backend.delete`."""
        old = self._records.get(record_id)
        if old is None:
            return False
        if replaces not in (None, old.version):
            raise StoreConflict("Somebody else wrote this record first", token_id=record_id)
        self.commits += 1
        del self._records[record_id]
        self._forget(old)
        return True

    def touch(self, record_id: str, last_used_at: float) -> bool:
        """As `Backend.touch`; return whether the record changed."""
        old = self._records.get(record_id)
        if old is None or (old.last_used_at is not None and old.last_used_at >= last_used_at):
            return False
        self.commits += 1
        self._records[record_id] = replace(old, last_used_at=last_used_at)
        return True

    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        """As `Backend.scan`."""
        if mark is not None:
            return list(islice(self._having(mark, after or ""), limit))
        start = 0 if after is None else bisect_right(self._indexes["id"], (after, after))
        return list(islice(self._valid("id", start), limit))

    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        """As `Backend.due`."""
        index = self._indexes["due_at"]
        start = 0 if after is None else bisect_right(index, after)
        end = bisect_right(index, before, key=itemgetter(0))
        return list(islice(self._valid("due_at", start, end), limit))

    def clear(self) -> tuple[Table, int]:
        """Return a table with the store's own record alone, and how many others there were."""
        header = self._records.get(HEADER)
        kept = Table([header] if header else [])
        kept.commits = self.commits + 1
        return kept, len(self._records) - len(kept._records)

    def _having(self, mark: Mark, after: str = "") -> Iterator[Record]:
        """Yield the records that have a mark, in the order of their ids, behind *after*."""
        field, value = mark
        start = bisect_right(self._indexes[field], (value, after))
        return takewhile(lambda record: getattr(record, field) == value, self._valid(field, start))

    def _valid(self, field: str, start: int, end: int | None = None) -> Iterator[Record]:
        """Yield the records of an index that have the value under which it has them."""
        index = self._indexes[field]
        for at in range(start, len(index) if end is None else end):
            value, record_id = index[at]
            record = self._records.get(record_id)
            if record is not None and getattr(record, field) == value:
                yield record

    def _forget(self, record: Record, *, but: Record | None = None) -> None:
        """Take a record out of the indexes, but for the values that it still has."""
        for field, index in self._indexes.items():
            value = getattr(record, field)
            if value is None or (but and getattr(but, field) == value):
                continue
            at = bisect_left(index, (value, record.id))
            if index[at : at + 1] == [(value, record.id)]:
                del index[at]
