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
        self._commits = 0

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

    def find(self, field: str, values: Sequence[str]) -> list[Record]:
        return self._alone(lambda: self._table.find(field, values))

    def write(self, record: Record, *, replaces: str | None) -> None:
        def write() -> None:
            self._table.write(record, replaces=replaces)
            self._commits += 1

        self._alone(write)

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        def delete() -> bool:
            deleted = self._table.delete(record_id, replaces=replaces)
            self._commits += deleted
            return deleted

        return self._alone(delete)

    def touch(self, record_id: str, last_used_at: float) -> None:
        def touch() -> None:
            self._commits += self._table.touch(record_id, last_used_at)

        self._alone(touch)

    def scan(self, after: str | None, limit: int) -> list[Record]:
        return self._alone(lambda: self._table.scan(after, limit))

    def clear(self) -> int:
        def clear() -> int:
            count = len(self._table)
            self._table = Table()
            self._commits += 1
            return count

        return self._alone(clear)

    def revision(self) -> int:
        return self._commits

    def describe(self) -> str:
        return "the memory of this process"
