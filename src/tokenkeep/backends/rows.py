"""A record as a row: the order of its columns, and fast ways there and back."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.base import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Record))
"""The names of a record's fields, in the order of a row."""

to_row: Callable[[Record], tuple[Any, ...]] = attrgetter(*COLUMNS)
"""Return a record's fields, in the order of `COLUMNS`."""

_SETTERS = tuple(Record.__dict__[name].__set__ for name in COLUMNS)


def from_row(row: Iterable[Any]) -> Record:
    """
    Make a record of its fields. What they are is looked at by who opens it, not here.

    Args:
        row: The fields, in the order of `COLUMNS`.
    """
    # A frozen dataclass fills its slots one by one through object.__setattr__;
    # filling them directly takes half the time, which is most of a read.
    record = object.__new__(Record)
    for fill, value in zip(_SETTERS, row, strict=True):
        fill(record, value)
    if type(record.id) is not str:  # a BLOB of SQLite's; told behind all others, as it is read
        _SETTERS[0](record, f"~{record.id!r}")
    return record
