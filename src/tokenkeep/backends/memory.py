"""Sealed tokens in this process's memory: for tests, and for tools that keep nothing."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from heapq import nsmallest
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

from tokenkeep.backends.base import HEADER, Backend, Record, written_first
from tokenkeep.backends.forks import ForkSafe
from tokenkeep.backends.urls import StoreURL
from tokenkeep.errors import StoreConflict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Self

    from tokenkeep.backends.base import Due, Mark

_Result = TypeVar("_Result")

_by_id = attrgetter("id")
_by_time = attrgetter("due_at", "id")
_LAST = "g"
"""Behind all ids."""


class Table:
    """
    Records, with the methods of a `Backend` where nobody else writes. Not thread-safe.

    A signal handler may raise between any two steps of a change, so each is made in one. All
    but `read` look at every record: it is for few.

    Args:
        records: What it holds at first.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.commits: int = 0
        """Grows with each change."""
        self._records = {record.id: record for record in records}

    def __iter__(self) -> Iterator[Record]:
        """Yield the records in the order of their ids."""
        return iter(sorted(self._records.values(), key=_by_id))

    def copy(self) -> Table:
        """Return a table with the same records that can be changed on its own."""
        other = Table()
        other.commits, other._records = self.commits, self._records.copy()
        return other

    def read(self, record_id: str) -> Record | None:
        return self._records.get(record_id)

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        wanted = set(marks)
        fields = {field for field, _ in wanted}
        records = self._records.values()
        return [each for each in records if any((f, getattr(each, f)) in wanted for f in fields)]

    def write(self, record: Record, *, replaces: str | None) -> None:
        old = self._records.get(record.id)
        if (old and old.version) != replaces:
            raise written_first(record.id)
        if any(other.id != record.id for other in self.find([("owner", record.owner)])):
            raise StoreConflict("Another record is for the same thing", token_id=record.id)
        if old:
            record = replace(record, last_used_at=old.last_used_at)
        self.commits += 1
        self._records[record.id] = record

    def delete(self, record_id: str, *, replaces: str | None) -> bool:
        old = self._records.get(record_id)
        if old is None:
            return False
        if replaces not in (None, old.version):
            raise written_first(record_id)
        self.commits += 1
        del self._records[record_id]
        return True

    def touch(self, record_id: str, last_used_at: float) -> None:
        old = self._records.get(record_id)
        if old and (old.last_used_at is None or old.last_used_at < last_used_at):
            self.commits += 1
            self._records[record_id] = replace(old, last_used_at=last_used_at)

    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        there = self._records.values() if mark is None else self.find([mark])
        return nsmallest(limit, (each for each in there if each.id > (after or "")), key=_by_id)

    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        there = [each for each in self._records.values() if each.due_at is not None]
        behind = (each for each in there if after is None or _by_time(each) > after)
        due = (each for each in behind if _by_time(each) <= (before, _LAST))
        return nsmallest(limit, due, key=_by_time)

    def clear(self) -> int:
        kept = {HEADER: self._records[HEADER]} if HEADER in self._records else {}
        count = len(self._records) - len(kept)
        self.commits += bool(count)
        self._records = kept
        return count


class TableBackend(Backend):
    """A backend whose records are all in a `Table`, each time it is asked."""

    @abstractmethod
    def _look(self, work: Callable[[Table], _Result]) -> _Result:
        """Let *work* look at the table."""

    def _change(self, work: Callable[[Table], _Result], *, waits: bool = True) -> _Result:
        """Let *work* change it; *waits* if that is worth a wait for another process."""
        del waits
        return self._look(work)

    def read(self, record_id: str) -> Record | None:
        return self._look(lambda table: table.read(record_id))

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        return self._look(lambda table: table.find(marks))

    def write(self, record: Record, *, replaces: str | None) -> None:
        self._change(lambda table: table.write(record, replaces=replaces))

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        return self._change(lambda table: table.delete(record_id, replaces=replaces))

    def touch(self, record_id: str, last_used_at: float) -> None:
        self._change(lambda table: table.touch(record_id, last_used_at), waits=False)

    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        return self._look(lambda table: table.scan(after, limit, mark=mark))

    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        return self._look(lambda table: table.due(before, limit, after=after))

    def clear(self) -> int:
        return self._change(Table.clear)


class MemoryBackend(ForkSafe, TableBackend):
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

    def _look(self, work: Callable[[Table], _Result]) -> _Result:
        return self._alone(lambda: work(self._table))

    def revision(self) -> int:
        return self._table.commits

    def describe(self) -> str:
        return "the memory of this process"
