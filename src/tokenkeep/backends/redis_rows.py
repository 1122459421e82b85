"""
A record as one value of a Redis hash, readable on both sides.

Three parts with a line end after each of the first two: when it was last used,
which `touch` changes; the head, a JSON list that scripts look into; the seal.
"""

from __future__ import annotations

import json
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.base import MARKS
from tokenkeep.backends.rows import COLUMNS, from_row
from tokenkeep.errors import StoreTampered

if TYPE_CHECKING:
    from tokenkeep.backends.base import Record

HEAD = ("version", "owner", *MARKS, "due_at", "kind", "key")
"""What the head holds, in this order: the scripts rely on where it begins."""

_ROW = (*HEAD, "id", "sealed", "last_used_at")
_head_of = attrgetter(*HEAD)
_in_columns = itemgetter(*map(_ROW.index, COLUMNS))
_TYPES = {str, float, int, type(None)}


def pack(record: Record) -> tuple[str, str, bytes]:
    """Return when a record was last used, its head and its seal."""
    used = "" if record.last_used_at is None else repr(record.last_used_at)
    head = json.dumps(_head_of(record), separators=(",", ":"))
    return used, head, bytes(record.sealed)


def unpack(record_id: str, value: bytes) -> Record:
    """
    Return the record of a value.

    Args:
        record_id: Under which id it was stored.
        value: What was stored.

    Raises:
        StoreTampered: It is not what `pack` made.
    """
    try:
        used, packed, sealed = value.split(b"\n", 2)
        head: list[Any] = json.loads(packed)
        row = (*head, record_id, sealed, float(used) if used else None)
    except (ValueError, TypeError):
        raise spoiled(record_id) from None
    if len(head) != len(HEAD) or not _TYPES.issuperset(map(type, head)):
        raise spoiled(record_id)
    return from_row(_in_columns(row))


def spoiled(record_id: str | None) -> StoreTampered:
    """Return the error for a record that nobody can read."""
    return StoreTampered(
        "A stored record is not what tokenkeep writes",
        token_id=record_id,
        hint="It was changed outside tokenkeep; "
        "restore it from a backup, or delete it and log in again",
    )
