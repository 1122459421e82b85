"""What this process has seen of records last: it need not wait until AWS's lists know of it."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from tokenkeep.backends.aws_names import due_in, tags
from tokenkeep.backends.forks import ForkSafe

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tokenkeep.backends.base import Due, Record

_MOST = 2_000


class Hints(ForkSafe):
    """The tags of the records seen last, by their ids."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: OrderedDict[str, frozenset[str]] = OrderedDict()

    def note(self, record: Record) -> None:
        """Remember what a record is found by now."""
        with self._lock:
            self._seen[record.id] = frozenset(tags(record))
            self._seen.move_to_end(record.id)
            if len(self._seen) > _MOST:
                self._seen.popitem(last=False)

    def forget(self, record_id: str) -> None:
        """Remember that there is no such record."""
        with self._lock:
            self._seen.pop(record_id, None)

    def tagged(self, wanted: Collection[str]) -> list[str]:
        """Return the ids of records that had one of these tags when seen."""
        return [each for each, had in self._all() if not had.isdisjoint(wanted)]

    def due(self) -> Iterator[Due]:
        """Yield when records were due when seen, and their ids."""
        return due_in(self._all())

    def _all(self) -> list[tuple[str, frozenset[str]]]:
        with self._lock:
            return list(self._seen.items())
