"""A record as a row, in the order of its columns; as values for JSON; and times as texts."""

from __future__ import annotations

import struct
from base64 import b64decode, b64encode
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

_TYPES: dict[str, type | tuple[type, ...]] = {
    "key": int,
    "due_at": (int, float),
    "last_used_at": (int, float),
}
"""Of the fields that are not texts in JSON."""

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


def to_values(record: Record) -> dict[str, Any]:
    """Return a record's fields for JSON, without what is None."""
    values = {name: value for name in COLUMNS if (value := getattr(record, name)) is not None}
    return {**values, "sealed": b64encode(record.sealed).decode()}


def from_values(values: dict[str, Any]) -> Record:
    """Make a record of what JSON says, or fail with an error of Python's if it is none."""
    for name, value in values.items():
        if not isinstance(value, _TYPES.get(name, str)):
            raise TypeError(name)
    return Record(**{**values, "sealed": b64decode(values["sealed"], validate=True)})


def in_order(time: float) -> str:
    """Return 16 digits that sort as times do, to the last bit of them."""
    # A float's bits are in that order, but for its sign.
    (bits,) = struct.unpack(">Q", struct.pack(">d", time))
    return f"{bits ^ (2**64 - 1 if bits >> 63 else 2**63):016x}"
