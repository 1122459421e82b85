"""
Sealed tokens in a DynamoDB table: conditional transactions, consistent reads.

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

import re
import struct
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from tokenkeep.backends.aws import AWSBackend, Call, Connection, in_time, record_of, text_of
from tokenkeep.backends.base import FOUND_BY, MARKS, WIDTH, Mark, Record
from tokenkeep.backends.frames import without_frames
from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tokenkeep.backends.base import Due

    _Item = dict[str, dict[str, Any]]
    _Place = tuple[str, str]

_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}|arn:[A-Za-z0-9:/_.-]{1,1019}")
_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_TABLE: dict[str, Any] = {
    "AttributeDefinitions": [
        {"AttributeName": each, "AttributeType": "S"} for each in ("pk", "sk")
    ],
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
_MANY = 100
"""How many items one BatchGetItem reads at most."""

_MOST_BYTES = 399 * 1024
"""An item holds 400 KB, with its keys and all."""

_FIRST, _LAST = "0", "g"
"""What sorts before all ids and times, also behind one it is put after; and behind all."""

_FREE = "attribute_not_exists(pk)"
_BUSY = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
"""Why a transaction is cancelled for now, and may be sent again."""


class DynamoDBBackend(AWSBackend):
    """
    Serve all who may use one table.

    What was written is durable in several data centres when the call
    returns, and seen by every read that begins then. A write is one
    transaction of the record and its index items.

    Args:
        table: Its name, or its ARN; in a URL the part behind the region. It has
            the string keys ``pk`` and ``sk``.
        prefix: What the keys of this store begin with; several stores, and
            items of other programs, may share a table.
        create: Whether a missing table is made, paid by request.
        connection: How AWS is reached.

    Raises:
        ConfigurationError: An option is wrong, or there is no region.
        StoreUnavailable: *create*, and the table can't be made.
    """

    options: ClassVar[Mapping[str, type]] = {"prefix": str, "create": bool}

    @without_frames
    def __init__(
        self,
        table: str,
        *,
        prefix: str = "tokenkeep",
        create: bool = False,
        **connection: Unpack[Connection],
    ) -> None:
        if not _NAME.fullmatch(table) or not _PREFIX.fullmatch(prefix):
            raise ConfigurationError(
                "This is no name of a DynamoDB table, or no prefix",
                hint="They have letters, digits, dots, hyphens and underscores: a table's name "
                "3 to 255, a prefix 1 to 64",
            )
        self._table, self._prefix = table, prefix
        super().__init__("dynamodb", f"the DynamoDB table {table}{{}}, {prefix}#", connection)
        if create:
            self._create()

    @in_time
    def read(self, call: Call, record_id: str) -> Record | None:
        return self._read(call, record_id)

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        wanted = set(marks)
        call = Call(self)
        owners = [_key(*self._owner(value)) for field, value in wanted if field == "owner"]
        # All at once: it is one trip, and the records are the other.
        asked: list[Callable[[], list[str]]] = [
            partial(self._having, call, *mark) for mark in wanted if mark[0] in MARKS
        ]
        found = call.all([lambda: [each["id"]["S"] for each in self._items(call, owners)], *asked])
        ids = {*chain(*found), *(value for field, value in wanted if field == "id")}
        records = call.run(lambda: self._records(call, ids))
        # They may have been written since the indexes were read.
        return [each for each in records.values() if not wanted.isdisjoint(_marks(each, FOUND_BY))]

    @in_time
    def write(self, call: Call, record: Record, *, replaces: str | None) -> None:
        call.record_id = record.id
        old = None if replaces is None else self._read(call, record.id)
        if (old and old.version) != replaces or not self._change(call, old, record):
            raise call.conflict()

    @in_time
    def delete(self, call: Call, record_id: str, *, replaces: str | None = None) -> bool:
        for _ in call.tries():
            old = self._read(call, record_id)
            if old is None:
                return False
            if replaces not in (None, old.version):
                raise call.conflict()
            if self._change(call, old, None):
                return True
        raise call.error("others kept writing the same items")

    @in_time
    def touch(self, call: Call, record_id: str, last_used_at: float) -> None:
        call.record_id = record_id
        call.ask(
            "update_item",
            "ConditionalCheckFailedException",
            once=True,
            TableName=self._table,
            Key=_key(*self._record(record_id)),
            UpdateExpression="SET last_used_at = :at",
            ConditionExpression="attribute_exists(pk) AND "
            "(attribute_not_exists(last_used_at) OR last_used_at < :at)",
            ExpressionAttributeValues={":at": {"N": repr(last_used_at)}},
        )

    @in_time
    def scan(
        self, call: Call, after: str | None, limit: int, *, mark: Mark | None = None
    ) -> list[Record]:
        low = (after or "") + _FIRST
        if mark is not None:
            return self._indexed(call, self._marked(*mark), low, _LAST, limit)
        found: list[Record] = []
        for digit in "0123456789abcdef":
            rest = limit - len(found)
            if rest and digit >= low[0]:
                items = self._query(call, self._record(digit)[0], low, _LAST, rest)
                found += map(_record_of, islice(items, rest))
        return found

    @in_time
    def due(
        self, call: Call, before: float, limit: int, *, after: Due | None = None
    ) -> list[Record]:
        low = _FIRST if after is None else in_order(after[0]) + after[1] + _FIRST
        return self._indexed(call, f"{self._prefix}#due", low, in_order(before) + _LAST, limit)

    # Where the items of a record are

    def _record(self, record_id: str) -> _Place:
        return f"{self._prefix}#record#{record_id[:1]}", record_id

    def _owner(self, owner: str) -> _Place:
        return self._marked("owner", owner), "owner"

    def _marked(self, field: str, value: str) -> str:
        return f"{self._prefix}#{field}#{value}"

    def _indexes(self, record: Record | None) -> set[_Place]:
        if record is None:
            return set()
        places = {(self._marked(*mark), record.id) for mark in _marks(record, MARKS)}
        if record.due_at is not None:
            places.add((f"{self._prefix}#due", in_order(record.due_at) + record.id))
        return places

    # Reading

    def _read(self, call: Call, record_id: str) -> Record | None:
        call.record_id = record_id
        key = _key(*self._record(record_id))
        found = call.ask("get_item", TableName=self._table, Key=key, ConsistentRead=True)
        return _record_of(found["Item"]) if found.get("Item") else None

    def _having(self, call: Call, field: str, value: str) -> list[str]:
        """Return the ids of the records that have a mark."""
        pk = self._marked(field, value)
        return [item["sk"]["S"] for item in self._query(call, pk, _FIRST, _LAST)]

    def _records(self, call: Call, ids: Iterable[str]) -> dict[str, Record]:
        """Return the records that are there, by their ids."""
        items = self._items(call, [_key(*self._record(each)) for each in ids])
        return {each.id: each for each in map(_record_of, items)}

    def _indexed(self, call: Call, pk: str, low: str, high: str, limit: int) -> list[Record]:
        """Return the records of a partition of index items, in its order."""
        found: list[Record] = []
        items = self._query(call, pk, low, high, limit)
        while page := [each["sk"]["S"] for each in islice(items, limit - len(found))]:
            records = self._records(call, {sk[-WIDTH:] for sk in page})
            for sk in page:
                record = records.get(sk[-WIDTH:])
                # It may have been written since the index was read.
                if record is not None and (pk, sk) in self._indexes(record):
                    found.append(record)
        return found

    def _items(self, call: Call, keys: list[_Item]) -> list[_Item]:
        """Return the items that are there."""
        found: list[_Item] = []
        for start in range(0, len(keys), _MANY):
            left: Any = {"Keys": keys[start : start + _MANY], "ConsistentRead": True}
            wanted = {self._table: left}
            for _ in call.tries():
                answer = call.ask("batch_get_item", RequestItems=wanted)
                found += chain(*answer["Responses"].values())
                wanted = answer.get("UnprocessedKeys")
                if not wanted:
                    break
            else:
                raise call.error("AWS kept leaving items out of its answers")
        return found

    def _query(
        self, call: Call, pk: str, low: str, high: str, limit: int | None = None
    ) -> Iterator[_Item]:
        """Yield the items of one partition in their order, up to *limit* of them a request."""
        values = {":pk": {"S": pk}, ":low": {"S": low}, ":high": {"S": high}}
        page: dict[str, Any] = {"Limit": limit} if limit else {}
        more = low <= high  # AWS refuses others
        while more:
            answer = call.ask(
                "query",
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :low AND :high",
                ExpressionAttributeValues=values,
                ConsistentRead=True,
                **page,
            )
            yield from answer["Items"]
            more = page["ExclusiveStartKey"] = answer.get("LastEvaluatedKey")

    # Writing

    def _change(self, call: Call, old: Record | None, new: Record | None) -> bool:
        """
        Write *new* in the place of *old*, with owner and index items, in one transaction.

        None is what is not there, before or after. False: something else is
        stored, or another record has the owner.
        """
        expected: dict[str, Any] = {"ConditionExpression": _FREE}
        if old is not None:
            expected = {
                "ConditionExpression": "#version = :version",
                "ExpressionAttributeNames": {"#version": "version"},
                "ExpressionAttributeValues": {":version": {"S": old.version}},
            }
        changes = []
        if new is not None:
            kept = replace(new, last_used_at=old.last_used_at) if old else new
            item = {**_key(*self._record(new.id)), **_item(kept)}
            changes.append(("Put", {"Item": item, **expected}))
            if old is None or old.owner != new.owner:
                item = {**_key(*self._owner(new.owner)), "id": {"S": new.id}}
                changes.append(("Put", {"Item": item, **_owned_by(new)}))
        elif old is not None:
            changes.append(("Delete", {"Key": _key(*self._record(old.id)), **expected}))
        if old is not None and (new is None or old.owner != new.owner):
            changes.append(("Delete", {"Key": _key(*self._owner(old.owner)), **_owned_by(old)}))
        before, after = self._indexes(old), self._indexes(new)
        changes += [("Put", {"Item": _key(*place)}) for place in after - before]
        changes += [("Delete", {"Key": _key(*place)}) for place in before - after]
        sent = [{kind: {"TableName": self._table, **what}} for kind, what in changes]
        cancelled = "TransactionCanceledException"
        for _ in call.tries():
            # boto3 gives it a token, by which AWS knows it again if its answer was lost.
            answer = call.ask("transact_write_items", cancelled, TransactItems=sent)
            if "refused" not in answer:
                return True
            reasons = {*answer["reasons"]} - {None, "None"}
            if "ConditionalCheckFailed" in reasons:
                return False
            if not reasons or not reasons <= _BUSY:
                raise answer["error"]
        raise call.error("others kept writing the same items")

    @in_time
    def _create(self, call: Call) -> None:
        """Make the table if it is missing, and wait until it can be used."""
        for _ in call.tries():
            told = call.ask("describe_table", "ResourceNotFoundException", TableName=self._table)
            if "refused" in told:
                # Or another process is faster.
                call.ask("create_table", "ResourceInUseException", TableName=self._table, **_TABLE)
            elif told["Table"].get("TableStatus") in {"ACTIVE", "UPDATING"}:
                return
        raise call.too_slow()


def in_order(time: float) -> str:
    """Return 16 digits that sort as times do, to the last bit of them."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", time))
    sign = 1 << 63
    return f"{bits ^ (2 * sign - 1 if bits & sign else sign):016x}"


def _key(pk: str, sk: str) -> _Item:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _marks(record: Record, fields: Iterable[str]) -> list[Mark]:
    return [(each, value) for each in fields if (value := getattr(record, each)) is not None]


def _owned_by(record: Record) -> dict[str, Any]:
    return {
        "ConditionExpression": f"{_FREE} OR id = :id",
        "ExpressionAttributeValues": {":id": {"S": record.id}},
    }


def _item(record: Record) -> _Item:
    """Return what is stored of a record beside its key."""
    text = text_of(record, "an item of DynamoDB", _MOST_BYTES)
    item = {"version": {"S": record.version}, "text": {"S": text}}
    if record.last_used_at is not None:
        item["last_used_at"] = {"N": repr(record.last_used_at)}
    return item


def _record_of(item: _Item) -> Record:
    """Return the record in an item."""
    record_id = item["sk"]["S"]
    record = record_of(item.get("text", {}).get("S", ""), record_id, f"The item {record_id}")
    touched = item.get("last_used_at")
    return replace(record, last_used_at=float(touched["N"])) if touched else record
