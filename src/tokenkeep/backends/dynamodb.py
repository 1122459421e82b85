"""
Sealed tokens in a DynamoDB table: conditional transactions, consistent reads.

    pk                         sk          holds
    tokenkeep#record           <id>        the record
    tokenkeep#owner#<digest>   owner       its id: which record has this owner
    tokenkeep#user#<digest>    <id>        its id: that it has this user
    tokenkeep#access#<digest>  <id>        and so on for each mark
    tokenkeep#due              <time><id>  its id: when there is something to do about it

Index items and no secondary index: those of DynamoDB are eventually consistent.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import islice, tee
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.aws import AWSBackend, parsed, record_of, text_of
from tokenkeep.backends.base import MARKS, Mark, Record, written_first
from tokenkeep.backends.frames import without_frames
from tokenkeep.backends.rows import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokenkeep.backends.base import Due

    _Item = dict[str, dict[str, Any]]
    _Place = tuple[str, str]

_MOST_BYTES = 399 * 1024
"""An item holds 400 KB, with its keys and all."""

_FIRST, _LAST = "0", "~"
"""What sorts before all sort keys, also behind one it is put after; and behind all."""

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
        url: ``dynamodb://region/table``, the table by its name or percent-encoded ARN.
            docs/aws.md has the options.

    Raises:
        ConfigurationError: A part of it is wrong, or there is no region.
    """

    @without_frames
    def __init__(self, url: str) -> None:
        self._table, given = parsed(url, {})
        super().__init__("dynamodb", f"the DynamoDB table {self._table}", given)

    def read(self, record_id: str) -> Record | None:
        key = _key("tokenkeep#record", record_id)
        asked = {"TableName": self._table, "Key": key, "ConsistentRead": True}
        item = self.ask(record_id, "get_item", **asked).get("Item")
        return _opened(item) if item else None

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        wanted = set(marks)
        ids = {value for field, value in wanted if field == "id"}
        # All at once: it is one trip, and the records are the other.
        asked = [partial(self._having, *mark) for mark in wanted if mark[0] != "id"]
        return self.having(wanted, ids.union(*self.all(asked)))

    def write(self, record: Record, *, replaces: str | None) -> None:
        old = None if replaces is None else self.read(record.id)
        if (old and old.version) != replaces or not self._change(record.id, old, record):
            raise written_first(record.id)

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        for _ in self.tries():
            old = self.read(record_id)
            if old is None:
                return False
            if replaces not in (None, old.version):
                raise written_first(record_id)
            if self._change(record_id, old, None):
                return True
        raise self.error(record_id, "others kept writing the same items")

    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        low = (after or "") + _FIRST
        if mark is not None:
            return self._indexed(_marked(*mark), low, _LAST, limit)
        items = self._query("tokenkeep#record", low, _LAST, limit)
        return [_opened(each) for each in islice(items, limit)]

    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        low = _FIRST if after is None else in_order(after[0]) + after[1] + _FIRST
        high = in_order(before) + _LAST
        return self._indexed("tokenkeep#due", low, high, limit)

    def _having(self, field: str, value: str) -> list[str]:
        """Return the ids of the records that have a mark, or an owner."""
        items = self._query(_marked(field, value), _FIRST, _LAST)
        return [item["id"]["S"] for item in items]

    def _indexed(self, pk: str, low: str, high: str, limit: int) -> list[Record]:
        """Return the records of a partition of index items, in its order."""
        items, same = tee(self._query(pk, low, high, limit))
        records = zip(items, self.read_all(each["id"]["S"] for each in same), strict=False)
        # They may have been written since the index was read.
        now = (
            record
            for item, record in records
            if record and (pk, item["sk"]["S"]) in _indexes(record)
        )
        return list(islice(now, limit))

    def _query(self, pk: str, low: str, high: str, limit: int | None = None) -> Iterator[_Item]:
        """Yield the items of one partition in their order, up to *limit* of them a request."""
        values = {":pk": {"S": pk}, ":low": {"S": low}, ":high": {"S": high}}
        page: dict[str, Any] = {"Limit": limit} if limit else {}
        more = low <= high  # AWS refuses others
        while more:
            answer = self.ask(
                None,
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

    def _change(self, record_id: str, old: Record | None, new: Record | None) -> bool:
        """
        Write *new* in the place of *old*, with its index items, in one transaction.

        None is what is not there, before or after. False: something else is
        stored, or another record has the owner.
        """
        stored = _has("its_version", old.version) if old else {"ConditionExpression": _FREE}
        key, its_id = _key("tokenkeep#record", record_id), {"id": {"S": record_id}}
        changes: list[tuple[str, dict[str, Any]]] = [("Delete", {"Key": key, **stored})]
        if new is not None:
            kept = replace(new, last_used_at=old.last_used_at) if old else new
            text = text_of(kept, "an item of DynamoDB", _MOST_BYTES)
            item = {**key, "its_version": {"S": new.version}, "text": {"S": text}}
            changes = [("Put", {"Item": item, **stored})]
        # Only an owner's item can be another record's.
        its = _has("id", record_id, f"{_FREE} OR ")
        before, after = _indexes(old), _indexes(new)
        for place in after - before:
            changes.append(("Put", {"Item": {**_key(*place), **its_id}, **its}))
        changes += [("Delete", {"Key": _key(*place), **its}) for place in before - after]
        sent = [{kind: {"TableName": self._table, **what}} for kind, what in changes]
        for _ in self.tries():
            # botocore gives it a token, by which AWS knows it again if its answer was lost.
            cancelled = "TransactionCanceledException"
            answer = self.ask(record_id, "transact_write_items", cancelled, TransactItems=sent)
            if "refused" not in answer:
                return True
            reasons = {each.get("Code") for each in answer.get("CancellationReasons", ())}
            reasons -= {None, "None"}
            if "ConditionalCheckFailed" in reasons:
                return False
            if not reasons or not reasons <= _BUSY:
                what = f"AWS refused the transaction ({', '.join(sorted(reasons))})"
                raise self.error(record_id, what)
        raise self.error(record_id, "others kept writing the same items")


# Where the items of a record are


def _marked(field: str, value: str) -> str:
    return f"tokenkeep#{field}#{value}"


def _indexes(record: Record | None) -> set[_Place]:
    if record is None:
        return set()
    marks = ((field, getattr(record, field)) for field in MARKS)
    places = {(_marked(field, value), record.id) for field, value in marks if value is not None}
    if record.due_at is not None:
        places.add(("tokenkeep#due", in_order(record.due_at) + record.id))
    return places | {(_marked("owner", record.owner), "owner")}


def _key(pk: str, sk: str) -> _Item:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _has(attribute: str, value: str, otherwise: str = "") -> dict[str, Any]:
    """Return the condition that an item has a value."""
    return {
        "ConditionExpression": f"{otherwise}{attribute} = :value",
        "ExpressionAttributeValues": {":value": {"S": value}},
    }


def _opened(item: _Item) -> Record:
    text, version = (item.get(name, {}).get("S", "") for name in ("text", "its_version"))
    return replace(record_of(text, item["sk"]["S"]), version=version)
