"""Where this process has seen a value last: it need not wait until AWS's lists know of it."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from tokenkeep.backends.base import FIELDS
from tokenkeep.backends.forks import ForkSafe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tokenkeep.backends.base import Record

_MOST = 10_000


class Hints(ForkSafe):
    """The ids of records by the values they had when seen; the ones seen last."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: OrderedDict[tuple[str, str], dict[str, None]] = OrderedDict()

    def note(self, record: Record) -> None:
        """Remember what a record is found by now."""
        for field in FIELDS:
            value = getattr(record, field)
            # Long values are no tokens' digests, and would take much memory.
            if field == "identity" or value is None or len(value) > 1000:  # noqa: PLR2004
                continue
            with self._lock:
                self._seen.setdefault((field, value), {})[record.id] = None
                self._seen.move_to_end((field, value))
                if len(self._seen) > _MOST:
                    self._seen.popitem(last=False)

    def ids(self, field: str, values: Iterable[str]) -> Iterator[str]:
        """Yield the ids of records that had one of these values when seen."""
        with self._lock:
            found = [each for value in values for each in self._seen.get((field, value), ())]
        yield from found
