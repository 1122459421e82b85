"""Records in memory, with indexes: the rules of `Backend` where nobody else writes."""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from tokenkeep.backends.base import FIELDS, Record
from tokenkeep.errors import StoreConflict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Table:
    """
    Records by id and by each of `FIELDS`. Not thread-safe.

    Args:
        records: What it holds at first.

    Raises:
        StoreConflict: Two of *records* have the same id or identity.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._records: dict[str, Record] = {}
        self._order: list[str] = []
        self._index: dict[str, dict[str, tuple[str, ...]]] = {field: {} for field in FIELDS}
        for record in records:
            self.write(record, replaces=None)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        """Yield the records in the order of their ids."""
        return (self._records[record_id] for record_id in self._order)

    def copy(self) -> Table:
        """Return a table with the same records that can be changed on its own."""
        other = Table()
        other._records = self._records.copy()
        other._order = self._order.copy()
        other._index = {field: index.copy() for field, index in self._index.items()}
        return other

    def read(self, record_id: str) -> Record | None:
        """As `Backend.read`."""
        return self._records.get(record_id)

    def find(self, field: str, values: Sequence[str]) -> list[Record]:
        """As `Backend.find`."""
        index = self._index[field]
        ids = chain.from_iterable(index.get(value, ()) for value in dict.fromkeys(values))
        return [self._records[record_id] for record_id in ids]

    def write(self, record: Record, *, replaces: str | None) -> None:
        """As `Backend.write`."""
        old = self._records.get(record.id)
        if (old and old.version) != replaces:
            raise StoreConflict("Somebody else wrote this record first", token_id=record.id)
        if any(owner != record.id for owner in self._index["identity"].get(record.identity, ())):
            raise StoreConflict("Another record is for the same thing", token_id=record.id)
        if old:
            record = replace(record, last_used_at=old.last_used_at)
            self._forget(old)
        else:
            insort(self._order, record.id)
        self._records[record.id] = record
        for field, index in self._index.items():
            value = getattr(record, field)
            if value is not None:
                index[value] = (*index.get(value, ()), record.id)

    def delete(self, record_id: str, *, replaces: str | None) -> bool:
        """As `Backend.delete`."""
        old = self._records.get(record_id)
        if old is None:
            return False
        if replaces not in (None, old.version):
            raise StoreConflict("Somebody else wrote this record first", token_id=record_id)
        self._forget(old)
        del self._records[record_id]
        del self._order[bisect_right(self._order, record_id) - 1]
        return True

    def touch(self, record_id: str, last_used_at: float) -> bool:
        """As `Backend.touch`; return whether the record changed."""
        old = self._records.get(record_id)
        if old is None or (old.last_used_at is not None and old.last_used_at >= last_used_at):
            return False
        self._records[record_id] = replace(old, last_used_at=last_used_at)
        return True

    def scan(self, after: str | None, limit: int) -> list[Record]:
        """As `Backend.scan`."""
        start = 0 if after is None else bisect_right(self._order, after)
        return [self._records[record_id] for record_id in self._order[start : start + limit]]

    def _forget(self, record: Record) -> None:
        """Take a record out of the indexes."""
        for field, index in self._index.items():
            value = getattr(record, field)
            if value is not None:
                ids = tuple(other for other in index[value] if other != record.id)
                if ids:
                    index[value] = ids
                else:
                    del index[value]
