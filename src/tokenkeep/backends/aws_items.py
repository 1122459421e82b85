"""
A record as items of a DynamoDB table, all written in one transaction.

    pk                           sk        holds
    <prefix>#token#<shard>       <id>      the record
    <prefix>#identity#<digest>   identity  whose identity this is: its uniqueness
    <prefix>#store               store     the store's id
    <prefix>#user#<digest>       <id>      that the record has this user
    <prefix>#access#<digest>     <id>      and so on for each digest

Index items and no secondary index: those of DynamoDB are eventually
consistent. Ids are spread over shards in their own order, so that a scan
reads one shard after the other.
"""

from __future__ import annotations

from bisect import bisect_right
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.base import FIELDS, Record
from tokenkeep.backends.rows import COLUMNS, from_row
from tokenkeep.errors import StoreError, StoreTampered, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Mapping

    Item = dict[str, dict[str, Any]]
    Key = dict[str, dict[str, Any]]

FORMAT = 1
MOST_BYTES = 400 * 1024
"""DynamoDB's limit of an item."""
LONGEST_ID = 1024
"""DynamoDB's limit of a sort key, in bytes."""

INDEXED = tuple(field for field in FIELDS if field != "identity")

_BOUNDS = "0123456789:abcdefg"
"""Where a shard begins: ids are hexadecimal, whatever else there is has the ends."""
SHARDS = range(len(_BOUNDS) + 1)

_TIMES = ("expires_at", "created_at", "updated_at", "last_used_at")
_CHANGING = tuple(name for name in COLUMNS if name not in ("id", "last_used_at"))
_PASSING = {"pending": 86_400.0, "moved": 60 * 86_400.0}
"""
How long rows are kept that nobody completes or sweeps, by their status, in
seconds: longer than `Keeper.sweep` leaves them.
"""


class Layout:
    """
    The keys of one store's items.

    Args:
        prefix: What all of its partition keys begin with.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def record(self, record_id: str) -> Key:
        """Return the key of a record."""
        shard = bisect_right(_BOUNDS, record_id[:1])
        return {"pk": {"S": self.shard(shard)}, "sk": {"S": record_id}}

    def shard(self, number: int) -> str:
        """Return the partition key of a shard."""
        return f"{self._prefix}#token#{number:02}"

    def shards_from(self, record_id: str | None) -> range:
        """Return the shards that hold the ids behind one. None means all."""
        return SHARDS if record_id is None else SHARDS[bisect_right(_BOUNDS, record_id[:1]) :]

    def identity(self, identity: str) -> Key:
        """Return the key of what makes an identity unique."""
        return {"pk": {"S": self.index("identity", identity)}, "sk": {"S": "identity"}}

    def store(self) -> Key:
        """Return the key of the store's id."""
        return {"pk": {"S": f"{self._prefix}#store"}, "sk": {"S": "store"}}

    def index(self, field: str, value: str) -> str:
        """Return the partition key under which a value is looked up."""
        # A digest: a value may be longer than a key, or empty.
        return f"{self._prefix}#{field}#{sha256(value.encode()).hexdigest()}"

    def indexes(self, record: Record) -> dict[str, Key]:
        """Return the keys of a record's index items, by their partition key."""
        found = {}
        for field in INDEXED:
            value = getattr(record, field)
            if value is not None:
                pk = self.index(field, value)
                found[pk] = {"pk": {"S": pk}, "sk": {"S": record.id}}
        return found


def attributes(record: Record) -> Item:
    """
    Return what is stored of a record beside its key, without when it was last used.

    Raises:
        StoreError: It is too large for DynamoDB.
    """
    item: Item = {"format": {"N": str(FORMAT)}}
    for name in _CHANGING:
        value = getattr(record, name)
        if value is None:
            continue
        if name == "sealed":
            item[name] = {"B": value}
        else:
            item[name] = {"N": repr(value)} if name in _TIMES else {"S": value}
    ends = _ends(record)
    if ends is not None:
        item["ttl"] = {"N": str(ends)}
    size = sum(len(name) + _size(value) for name, value in item.items()) + 2 * len(record.id)
    if size > MOST_BYTES - 1024:
        raise StoreError(
            f"This token takes {size} bytes, and DynamoDB's items hold {MOST_BYTES}",
            token_id=record.id,
            hint="Is something else than a token in one of its fields?",
        )
    return item


def identity_item(layout: Layout, record: Record) -> Item:
    """Return the item that makes a record's identity its own."""
    item: Item = {**layout.identity(record.identity), "id": {"S": record.id}}
    ends = _ends(record)
    if ends is not None:
        item["ttl"] = {"N": str(ends)}
    return item


def replacement(record: Record) -> dict[str, Any]:
    """
    Return the part of an Update that replaces a record, but for its key.

    When it was last used stays as it is stored.

    Raises:
        StoreError: It is too large for DynamoDB.
    """
    item = attributes(record)
    absent = [name for name in (*_CHANGING, "ttl") if name not in item]
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
    if name in ("version", "identity", "key_id"):
        return str(item[name]["S"])
    if name == "sealed":
        return bytes(item[name]["B"])
    if name not in item:
        return None
    return float(item[name]["N"]) if name in _TIMES else str(item[name]["S"])


def _size(value: Mapping[str, Any]) -> int:
    (content,) = value.values()
    return len(content) if isinstance(content, bytes) else len(content.encode())


def _ends(record: Record) -> int | None:
    """Return when DynamoDB may delete what nobody completed, in epoch seconds."""
    kept = _PASSING.get(record.status or "")
    since = record.updated_at or record.created_at
    return None if kept is None or since is None else int(since + kept)
