"""Sealed tokens in a DynamoDB table: conditional transactions, consistent reads."""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Unpack

from botocore.exceptions import ClientError

from tokenkeep.backends import aws_table, aws_url
from tokenkeep.backends.aws_client import AWSClient, Connection
from tokenkeep.backends.aws_errors import code_of
from tokenkeep.backends.aws_items import LONGEST_ID, Layout, record_of
from tokenkeep.backends.aws_transactions import Writer, conflict, contended
from tokenkeep.backends.base import FIELDS, Backend, Record
from tokenkeep.backends.frames import without_frames
from tokenkeep.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from mypy_boto3_dynamodb import DynamoDBClient

    from tokenkeep.backends.aws_client import Exchange
    from tokenkeep.backends.aws_items import Item, Key

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
        self._store_id: str | None = None
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

    def find(self, field: str, values: Sequence[str]) -> list[Record]:
        if field not in FIELDS:
            raise ValueError(f"a record has no field {field!r} to search")
        distinct = dict.fromkeys(values)
        ids = self._owners(distinct) if field == "identity" else self._having(field, distinct)
        items = self._items([self._layout.record(each) for each in dict.fromkeys(ids)])
        # It may have been written since the index was read.
        return [each for each in map(record_of, items) if getattr(each, field) in distinct]

    def write(self, record: Record, *, replaces: str | None) -> None:
        if not record.id or len(record.id.encode()) > LONGEST_ID:
            raise StoreError(
                f"An id in DynamoDB has 1 to {LONGEST_ID} bytes", token_id=record.id[:100]
            )
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
        if not record_id:
            return
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

    def scan(self, after: str | None, limit: int) -> list[Record]:
        found: list[Record] = []
        for shard in self._layout.shards_from(after):
            names = {":pk": {"S": self._layout.shard(shard)}}
            condition = "pk = :pk"
            if after:
                names[":after"] = {"S": after}
                condition += " AND sk > :after"
            items = self._query(condition, names, limit - len(found))
            found += map(record_of, items)
            if len(found) >= limit:
                break
        return found

    def clear(self) -> int:
        count, after = 0, None
        while page := self.scan(after, _MANY):
            # One by one, and not in batches: a batch is no transaction, and
            # could take the identity of a record that is inserted meanwhile.
            count += sum(self.delete(each.id) for each in page)
            after = page[-1].id
        return count

    def describe(self) -> str:
        return self._aws.place.name

    def store_id(self) -> str:
        if self._store_id is None:
            self._store_id = self._stored_id() or self._made_id()
        return self._store_id

    def close(self) -> None:
        self._aws.close()

    def _stored_id(self) -> str | None:
        items = self._items([self._layout.store()])
        return str(items[0]["id"]["S"]) if items else None

    def _made_id(self) -> str:
        """Make the store's id; of all who do so at once, one makes it."""
        new = {**self._layout.store(), "id": {"S": secrets.token_hex(16)}}
        with suppress(ClientError):
            self._aws.begin().send(
                lambda dynamodb: dynamodb.put_item(
                    TableName=self._table,
                    Item=new,
                    ConditionExpression="attribute_not_exists(pk)",
                ),
                "ConditionalCheckFailedException",
            )
        found = self._stored_id()
        if found is None:
            raise contended(self.describe(), None)
        return found

    def _owners(self, identities: dict[str, None]) -> list[str]:
        """Return the ids of the records that have these identities."""
        items = self._items([self._layout.identity(each) for each in identities])
        return [item["id"]["S"] for item in items]

    def _having(self, field: str, values: dict[str, None]) -> list[str]:
        """Return the ids of the records whose field has one of these values."""
        ids = []
        for value in values:
            names = {":pk": {"S": self._layout.index(field, value)}}
            ids += [item["sk"]["S"] for item in self._query("pk = :pk", names, None)]
        return ids

    def _items(self, keys: list[Key]) -> list[Item]:
        found: list[Any] = []
        for start in range(0, len(keys), _MANY):
            asked = self._aws.begin()
            wanted: Any = {
                self._table: {"Keys": keys[start : start + _MANY], "ConsistentRead": True}
            }
            for _ in asked.tries():
                answer = _batch(asked, wanted)
                found += [item for items in answer["Responses"].values() for item in items]
                wanted = answer.get("UnprocessedKeys")
                if not wanted:
                    break
            else:
                raise contended(self.describe(), None)
        return found

    def _query(self, condition: str, values: Any, limit: int | None) -> list[Item]:
        """Return the items of one partition, in their order."""
        found: list[Any] = []
        request: Any = {
            "TableName": self._table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ConsistentRead": True,
        }
        while True:
            if limit is not None:
                request["Limit"] = limit - len(found)
            answer = self._aws.begin().ask(lambda dynamodb: dynamodb.query(**request))
            found += answer["Items"]
            start = answer.get("LastEvaluatedKey")
            if not start or len(found) == limit:
                return found
            request["ExclusiveStartKey"] = start


def _batch(asked: Exchange[DynamoDBClient], wanted: Any) -> Any:
    return asked.ask(lambda dynamodb: dynamodb.batch_get_item(RequestItems=wanted))
