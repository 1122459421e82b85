"""
A record as items of a DynamoDB table, all written in one transaction.

    pk                        sk          holds
    <prefix>#record#<digit>   <id>        the record; the digit is its id's first
    <prefix>#owner#<digest>   owner       which record has this owner: its uniqueness
    <prefix>#user#<digest>    <id>        that the record has this user
    <prefix>#access#<digest>  <id>        and so on for each mark
    <prefix>#due              <time><id>  when there is something to do about the record

Index items and no secondary index: those of DynamoDB are eventually
consistent. Records are spread over partitions in the order of their ids, so
that a scan reads one after the other.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.base import MARKS, Record
from tokenkeep.backends.rows import COLUMNS, from_row
from tokenkeep.errors import StoreError, StoreTampered, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Mapping

    Item = dict[str, dict[str, Any]]
    Key = dict[str, dict[str, Any]]

FORMAT = 2
MOST_BYTES = 400 * 1024
"""DynamoDB's limit of an item."""
_REST = 1024
"""More than all of an item takes beside the sealed bytes."""

_DIGITS = "0123456789abcdef"
FIRST = "0"
"""Sorts before all ids and times, and behind an id that it is put after."""
LAST = "g"
"""Sorts behind all ids and times."""

_TIMES = ("due_at", "last_used_at")
_NUMBERS = ("key", *_TIMES)
_CHANGING = tuple(name for name in COLUMNS if name not in ("id", "last_used_at"))


class Layout:
    """
    The keys of one store's items.

    Args:
        prefix: What all of its partition keys begin with.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.due: str = f"{prefix}#due"
        """The partition key of what is due."""

    def record(self, record_id: str) -> Key:
        """Return the key of a record."""
        return _key(self._records(record_id[:1]), record_id)

    def records_from(self, record_id: str | None) -> list[str]:
        """Return the partition keys of the ids behind one. None means all."""
        first = (record_id or "")[:1]
        return [self._records(digit) for digit in _DIGITS if digit >= first]

    def owner(self, owner: str) -> Key:
        """Return the key of what makes an owner unique."""
        return _key(self.marked("owner", owner), "owner")

    def marked(self, field: str, value: str) -> str:
        """Return the partition key under which a value is looked up."""
        return f"{self._prefix}#{field}#{value}"

    def indexes(self, record: Record) -> dict[tuple[str, str], Key]:
        """Return the keys of a record's index items, by their partition and sort key."""
        places = [
            (self.marked(field, value), record.id)
            for field in MARKS
            if (value := getattr(record, field)) is not None
        ]
        if record.due_at is not None:
            places.append((self.due, in_order(record.due_at) + record.id))
        return {place: _key(*place) for place in places}

    def _records(self, digit: str) -> str:
        return f"{self._prefix}#record#{digit}"


def in_order(time: float) -> str:
    """Return 16 digits that sort as times do, to the last bit of them."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", time))
    sign = 1 << 63
    return f"{bits ^ (2 * sign - 1 if bits & sign else sign):016x}"


def attributes(record: Record) -> Item:
    """
    Return what is stored of a record beside its key, without when it was last used.

    Raises:
        StoreError: It is too large for DynamoDB.
    """
    if len(record.sealed) > MOST_BYTES - _REST:
        raise StoreError(
            f"This token takes {len(record.sealed)} bytes, and DynamoDB's items hold {MOST_BYTES}",
            token_id=record.id,
            hint="Is something else than a token in one of its fields?",
        )
    item: Item = {"format": {"N": str(FORMAT)}}
    for name in _CHANGING:
        value = getattr(record, name)
        if value is None:
            continue
        if name == "sealed":
            item[name] = {"B": value}
        else:
            item[name] = {"N": repr(value)} if name in _NUMBERS else {"S": value}
    return item


def replacement(record: Record) -> dict[str, Any]:
    """
    Return the part of an Update that replaces a record, but for its key.

    When it was last used stays as it is stored.

    Raises:
        StoreError: It is too large for DynamoDB.
    """
    item = attributes(record)
    absent = [name for name in _CHANGING if name not in item]
    # Most of the names are words that DynamoDB reserves.
    sets = ", ".join(f"#{name} = :{name}" for name in item)
    removes = f" REMOVE {', '.join(f'#{name}' for name in absent)}" if absent else ""
    return {
        "UpdateExpression": f"SET {sets}{removes}",
        "ExpressionAttributeNames": {f"#{name}": name for name in (*item, *absent)},
        "ExpressionAttributeValues": {f":{name}": value for name, value in item.items()},
    }


def record_of(item: Mapping[str, Mapping[str, Any]]) -> Record:
    """
    Return the record in an item.

    Raises:
        StoreTooNew: A newer tokenkeep wrote it.
        StoreTampered: It is none.
    """
    record_id = item["sk"]["S"]
    try:
        if int(item["format"]["N"]) > FORMAT:
            raise StoreTooNew(
                "A stored token was written by a newer tokenkeep",
                token_id=record_id,
                hint="Upgrade tokenkeep",
            )
        row = [_value(name, item, record_id) for name in COLUMNS]
    except (KeyError, ValueError, TypeError) as exc:
        raise StoreTampered(
            "A stored item holds no token",
            token_id=record_id,
            hint="It was changed outside tokenkeep; restore it from a backup, or delete it",
        ) from exc
    return from_row(row)


def _value(name: str, item: Mapping[str, Mapping[str, Any]], record_id: str) -> object:
    if name == "id":
        return record_id
    if name in ("version", "owner", "kind"):
        return str(item[name]["S"])
    if name == "key":
        return int(item[name]["N"])
    if name == "sealed":
        return bytes(item[name]["B"])
    if name not in item:
        return None
    return float(item[name]["N"]) if name in _TIMES else str(item[name]["S"])


def _key(pk: str, sk: str) -> Key:
    return {"pk": {"S": pk}, "sk": {"S": sk}}
