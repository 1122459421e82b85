"""Sealed tokens in this process's memory: for tests, and for tools that keep nothing."""

from __future__ import annotations

from dataclasses import replace
from heapq import nsmallest
from operator import attrgetter
from typing import TYPE_CHECKING

from tokenkeep.backends.base import HEADER, Backend, Record
from tokenkeep.backends.forks import ForkSafe
from tokenkeep.backends.urls import StoreURL
from tokenkeep.errors import StoreConflict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Self

    from tokenkeep.backends.base import Due, Mark

_by_id = attrgetter("id")
_by_time = attrgetter("due_at", "id")


class Table:
    """
    Records, by the rules of `Backend` where nobody else writes. Not thread-safe.

    A signal handler may raise between any two steps of a change, so each is made in one. All
    but `read` look at every record: it is for few.

    Args:
        records: What it holds at first.

    Raises:
        StoreConflict: Two of *records* have the same id or owner.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.commits: int = 0
        """Grows with each change."""
        given = list(records)
        self._records = {record.id: record for record in given}
        if not len(given) == len(self._records) == len({record.owner for record in given}):
            raise StoreConflict("Two records are for the same thing")

    def __iter__(self) -> Iterator[Record]:
        """Yield the records in the order of their ids."""
        return iter(sorted(self._records.values(), key=_by_id))

    def copy(self) -> Table:
        """Return a table with the same records that can be changed on its own."""
        other = Table()
        other.commits, other._records = self.commits, self._records.copy()
        return other

    def read(self, record_id: str) -> Record | None:
        """As `Backend.read`."""
        return self._records.get(record_id)

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        """As `Backend.find`."""
        wanted: dict[str, set[str]] = {}
        for field, value in marks:
            wanted.setdefault(field, set()).add(value)
        asked = wanted.items()
        records = self._records.values()
        return [each for each in records if any(getattr(each, f) in those for f, those in asked)]

    def write(self, record: Record, *, replaces: str | None) -> None:
        """As `Backend.write`."""
        old = self._records.get(record.id)
        if (old and old.version) != replaces:
            raise StoreConflict("Somebody else wrote this record first", token_id=record.id)
        if any(other.id != record.id for other in self.find([("owner", record.owner)])):
            raise StoreConflict("Another record is for the same thing", token_id=record.id)
        if old:
            record = replace(record, last_used_at=old.last_used_at)
        self.commits += 1
        self._records[record.id] = record

    def delete(self, record_id: str, *, replaces: str | None) -> bool:
        """As `Backend.delete`."""
        old = self._records.get(record_id)
        if old is None:
            return False
        if replaces not in (None, old.version):
            raise StoreConflict("Somebody else wrote this record first", token_id=record_id)
        self.commits += 1
        del self._records[record_id]
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
        there = self._records.values() if mark is None else self.find([mark])
        return nsmallest(limit, (each for each in there if each.id > (after or "")), key=_by_id)

    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        """As `Backend.due`."""
        there = [
            each
            for each in self._records.values()
            if each.due_at is not None and each.due_at <= before
        ]
        behind = (each for each in there if after is None or _by_time(each) > after)
        return nsmallest(limit, behind, key=_by_time)

    def clear(self) -> int:
        """As `Backend.clear`."""
        kept = {HEADER: self._records[HEADER]} if HEADER in self._records else {}
        count = len(self._records) - len(kept)
        self.commits += bool(count)
        self._records = kept
        return count


class MemoryBackend(ForkSafe, Backend):
    """
    Serve the threads of one process, until it ends.

    After a fork the child has a copy of its own: what either side writes from
    then on, the other does not see. `close` keeps the records.
    """

    embedded = True

    def __init__(self) -> None:
        super().__init__()
        self._table = Table()

    @classmethod
    def from_url(cls, url: str) -> Self:
        """
        Return a new, empty store.

        Args:
            url: ``memory:``

        Raises:
            ConfigurationError: There is more behind the colon.
        """
        StoreURL.parse(url).expect_nothing()
        return cls()

    def read(self, record_id: str) -> Record | None:
        return self._alone(lambda: self._table.read(record_id))

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        return self._alone(lambda: self._table.find(marks))

    def write(self, record: Record, *, replaces: str | None) -> None:
        self._alone(lambda: self._table.write(record, replaces=replaces))

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        return self._alone(lambda: self._table.delete(record_id, replaces=replaces))

    def touch(self, record_id: str, last_used_at: float) -> None:
        self._alone(lambda: self._table.touch(record_id, last_used_at))

    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        return self._alone(lambda: self._table.scan(after, limit, mark=mark))

    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        return self._alone(lambda: self._table.due(before, limit, after=after))

    def clear(self) -> int:
        return self._alone(self._table.clear)

    def revision(self) -> int:
        return self._table.commits

    def describe(self) -> str:
        return "the memory of this process"
