"""A record as a row: the order of its columns, and fast ways there and back."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.base import Record
from tokenkeep.errors import StoreTampered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Record))
"""The names of a record's fields, in the order of a row."""

to_row: Callable[[Record], tuple[Any, ...]] = attrgetter(*COLUMNS)
"""Return a record's fields, in the order of `COLUMNS`."""

_TIMES = {float, int, type(None)}

_SETTERS = tuple(Record.__dict__[name].__set__ for name in COLUMNS)


def from_row(row: Iterable[Any]) -> Record:
    """
    Make a record of its fields.

    Args:
        row: The fields, in the order of `COLUMNS`.

    Raises:
        StoreTampered: When it was last used is no time.
    """
    # A frozen dataclass fills its slots one by one through object.__setattr__;
    # filling them directly takes half the time, which is most of a read.
    record = object.__new__(Record)
    for fill, value in zip(_SETTERS, row, strict=True):
        fill(record, value)
    # The only column outside the seal that counts; the others are not looked at again.
    if type(record.last_used_at) not in _TIMES:
        raise StoreTampered(
            "When a stored record was last used is no time",
            token_id=record.id,
            hint="The row was changed outside tokenkeep; "
            "restore it from a backup, or delete it and log in again",
        )
    return record
