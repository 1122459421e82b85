"""Sealed tokens in this process's memory: for tests, and for tools that keep nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenkeep.backends.base import Backend, Record
from tokenkeep.backends.forks import ForkSafe
from tokenkeep.backends.table import Table
from tokenkeep.backends.urls import StoreURL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from tokenkeep.backends.base import Due, Mark


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
        def clear() -> int:
            self._table, count = self._table.clear()
            return count

        return self._alone(clear)

    def revision(self) -> int:
        return self._table.commits

    def describe(self) -> str:
        return "the memory of this process"
