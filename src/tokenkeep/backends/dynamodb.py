"""Sealed tokens in a DynamoDB table: conditional transactions, consistent reads."""

from __future__ import annotations

import re
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Unpack

from botocore.exceptions import ClientError

from tokenkeep.backends import aws_table, aws_url
from tokenkeep.backends.aws_client import AWSClient, Connection, at_once
from tokenkeep.backends.aws_errors import code_of
from tokenkeep.backends.aws_items import FIRST, LAST, Layout, in_order, record_of
from tokenkeep.backends.aws_transactions import Writer, conflict, contended
from tokenkeep.backends.base import FOUND_BY, HEADER, WIDTH, Backend, Record
from tokenkeep.backends.frames import without_frames
from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Self

    from mypy_boto3_dynamodb import DynamoDBClient

    from tokenkeep.backends.aws_client import Exchange
    from tokenkeep.backends.aws_items import Item, Key
    from tokenkeep.backends.base import Due, Mark, Risk

_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}|arn:[A-Za-z0-9:/_.-]{1,1019}")
_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_MANY = 100
"""How many items one BatchGetItem reads at most."""


class DynamoDBBackend(Backend):
    """
    Serve all who may use one table.

    What was written is durable in several data centres when the call
    returns, and seen by every read that begins then. A write is one
    transaction of the record and its index items.

    Args:
        table: Its name, or its ARN. It has the string keys ``pk`` and ``sk``.
        prefix: What the keys of this store begin with; several stores, and
            items of other programs, may share a table.
        create: Whether a missing table is made, paid by request.
        connection: How AWS is reached.

    Raises:
        ConfigurationError: An option is wrong, or there is no region.
        StoreUnavailable: *create*, and the table can't be made.
    """

    @without_frames
    def __init__(
        self,
        table: str,
        *,
        prefix: str = "tokenkeep",
        create: bool = False,
        **connection: Unpack[Connection],
    ) -> None:
        if not _TABLE.fullmatch(table):
            raise ConfigurationError(
                "This is no name of a DynamoDB table",
                hint="It has 3 to 255 letters, digits, dots, hyphens and underscores",
            )
        if not _PREFIX.fullmatch(prefix):
            raise ConfigurationError(
                "The prefix has 1 to 64 letters, digits, dots, hyphens and underscores"
            )
        self._table = table
        self._layout = Layout(prefix)
        profile = connection.get("profile")
        of_profile = f" of the profile {profile}" if profile else ""
        self._aws: AWSClient[DynamoDBClient] = AWSClient(
            "dynamodb",
            lambda endpoint: f"the DynamoDB table {table}{of_profile} at {endpoint}, {prefix}#",
            connection,
        )
        self._writer = Writer(self._aws, table, self._layout)
        if create:
            aws_table.create(self._aws, table)

    @classmethod
    @without_frames
    def from_url(cls, url: str) -> Self:
        """
        Open the table a URL names.

        Args:
            url: ``dynamodb://region/table``; options ``create=true``,
                ``prefix``, and those of `Connection`.

        Raises:
            ConfigurationError: The table or an option is missing or wrong.
            StoreError: As for the class.
        """
        name, options = aws_url.parse(url, {"prefix": str, "create": bool})
        return cls(name, **options)

    def read(self, record_id: str) -> Record | None:
        item = self._writer.item(self._aws.begin(record_id), record_id)
        return record_of(item) if item else None

    def find(self, marks: Sequence[Mark]) -> list[Record]:
        wanted = dict.fromkeys(marks)
        owners = []
        ids: dict[str, None] = {}
        # All at once: it is one trip, and the records are the other.
        asked: list[Callable[[], list[str]]] = []
        for field, value in wanted:
            if field not in FOUND_BY:
                raise ValueError(f"a record has no field {field!r} to search")
            if field == "id":
                ids[value] = None
            elif field == "owner":
                owners.append(self._layout.owner(value))
            else:
                asked.append(partial(self._having, field, value))
        asked += [partial(self._owned, some) for some in _portions(owners)]
        ids.update(dict.fromkeys(chain.from_iterable(at_once(asked))))
        # They may have been written since the indexes were read.
        return [
            each
            for each in self._records(ids).values()
            if any((field, getattr(each, field)) in wanted for field in FOUND_BY)
        ]

    def write(self, record: Record, *, replaces: str | None) -> None:
        asked = self._aws.begin(record.id)
        if replaces is None:
            self._writer.insert(asked, record)
            return
        item = self._writer.item(asked, record.id)
        old = record_of(item) if item else None
        if old is None or old.version != replaces:
            raise conflict(record.id)
        self._writer.replace(asked, old, record)

    def delete(self, record_id: str, *, replaces: str | None = None) -> bool:
        asked = self._aws.begin(record_id)
        for _ in asked.tries():
            item = self._writer.item(asked, record_id)
            if item is None:
                return False
            old = record_of(item)
            if replaces not in (None, old.version):
                raise conflict(record_id)
            if self._writer.delete(asked, old):
                return True
        raise contended(self.describe(), record_id)

    def touch(self, record_id: str, last_used_at: float) -> None:
        try:
            self._aws.begin(record_id, once=True).send(
                lambda dynamodb: dynamodb.update_item(
                    TableName=self._table,
                    Key=self._layout.record(record_id),
                    UpdateExpression="SET last_used_at = :at",
                    ConditionExpression="attribute_exists(pk) AND "
                    "(attribute_not_exists(last_used_at) OR last_used_at < :at)",
                    ExpressionAttributeValues={":at": {"N": repr(last_used_at)}},
                ),
                "ConditionalCheckFailedException",
                "TransactionConflictException",
            )
        except ClientError as exc:
            if code_of(exc) == "TransactionConflictException":
                raise contended(self.describe(), record_id) from None

    def scan(self, after: str | None, limit: int, *, mark: Mark | None = None) -> list[Record]:
        low = FIRST if after is None else after + FIRST
        if mark is not None:
            if mark[0] in ("id", "owner"):
                return [each for each in self.find([mark]) if each.id > low]
            return self._indexed(self._layout.marked(*mark), low, LAST, limit)
        found: list[Record] = []
        for pk in self._layout.records_from(after):
            for page in self._pages(pk, low, LAST, limit - len(found)):
                found += map(record_of, page)
                if len(found) >= limit:
                    return found[:limit]
        return found

    def due(self, before: float, limit: int, *, after: Due | None = None) -> list[Record]:
        low = FIRST if after is None else in_order(after[0]) + after[1] + FIRST
        return self._indexed(self._layout.due, low, in_order(before) + LAST, limit)

    def clear(self) -> int:
        # The header comes first in the order of ids.
        count, after = 0, HEADER
        while page := self.scan(after, _MANY):
            # One by one, and not in batches: a batch is no transaction, and
            # could take the owner of a record that is inserted meanwhile.
            count += sum(self.delete(each.id) for each in page)
            after = page[-1].id
        return count

    def describe(self) -> str:
        return self._aws.place.name

    def risks(self) -> list[Risk] | None:
        return self._aws.exposure or None

    def close(self) -> None:
        self._aws.close()

    def _having(self, field: str, value: str) -> list[str]:
        """Return the ids of the records that have a mark."""
        pages = self._pages(self._layout.marked(field, value), FIRST, LAST)
        return [item["sk"]["S"] for page in pages for item in page]

    def _owned(self, owners: list[Key]) -> list[str]:
        """Return the ids of the records that have one of these owners."""
        return [item["id"]["S"] for item in self._items(owners)]

    def _records(self, ids: Iterable[str]) -> dict[str, Record]:
        """Return the records that are there, by their ids."""
        keys = [self._layout.record(each) for each in ids]
        items = at_once([partial(self._items, some) for some in _portions(keys)])
        return {each.id: each for each in map(record_of, chain.from_iterable(items))}

    def _indexed(self, pk: str, low: str, high: str, limit: int) -> list[Record]:
        """Return the records of a partition of index items, in its order."""
        found: list[Record] = []
        for page in self._pages(pk, low, high, limit):
            places = [item["sk"]["S"] for item in page]
            records = self._records(dict.fromkeys(sk[-WIDTH:] for sk in places))
            for sk in places:
                record = records.get(sk[-WIDTH:])
                # It may have been written since the index was read.
                if record is not None and (pk, sk) in self._layout.indexes(record):
                    found.append(record)
            if len(found) >= limit:
                return found[:limit]
        return found

    def _items(self, keys: list[Key]) -> list[Item]:
        """Return the items that are there, of up to a hundred."""
        found: list[Any] = []
        asked = self._aws.begin()
        wanted: Any = {self._table: {"Keys": keys, "ConsistentRead": True}}
        for _ in asked.tries():
            answer = _batch(asked, wanted)
            found += [item for items in answer["Responses"].values() for item in items]
            wanted = answer.get("UnprocessedKeys")
            if not wanted:
                return found
        raise contended(self.describe(), None)

    def _pages(
        self, pk: str, low: str, high: str, limit: int | None = None
    ) -> Iterator[list[Any]]:
        """
        Yield the items of one partition, in their order, page by page.

        Args:
            pk: Which partition.
            low: The first sort key.
            high: The last one.
            limit: The most in a page. None means as many as AWS likes.
        """
        if low > high:  # which AWS refuses
            return
        request: Any = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :low AND :high",
            "ExpressionAttributeValues": {
                ":pk": {"S": pk}, ":low": {"S": low}, ":high": {"S": high},
            },
            "ConsistentRead": True,
        }  # fmt: skip
        if limit is not None:
            request["Limit"] = limit
        while True:
            answer: Any = self._aws.begin().ask(lambda dynamodb: dynamodb.query(**request))
            yield answer["Items"]
            start = answer.get("LastEvaluatedKey")
            if not start:
                return
            request["ExclusiveStartKey"] = start


def _portions(keys: list[Key]) -> list[list[Key]]:
    """Return keys in portions that one BatchGetItem takes."""
    return [keys[start : start + _MANY] for start in range(0, len(keys), _MANY)]


def _batch(asked: Exchange[DynamoDBClient], wanted: Any) -> Any:
    return asked.ask(lambda dynamodb: dynamodb.batch_get_item(RequestItems=wanted))
