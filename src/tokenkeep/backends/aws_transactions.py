"""Writing a record, its owner and its index items to DynamoDB: all of it or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from botocore.exceptions import ClientError

from tokenkeep.backends.aws_errors import code_of
from tokenkeep.backends.aws_items import attributes, replacement
from tokenkeep.errors import StoreConflict, StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from tokenkeep.backends.aws_client import AWSClient, Exchange
    from tokenkeep.backends.aws_items import Item, Key, Layout
    from tokenkeep.backends.base import Record

    _Exchange = Exchange[DynamoDBClient]
    # One of TransactWriteItems' actions; boto3's own type for it has no room for a ``**``.
    _Change = dict[str, dict[str, Any]]

_BUSY = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
"""Why a transaction is cancelled for now, and may be sent again."""

_FREE = "attribute_not_exists(pk)"


class Writer:
    """
    Write the records of one table.

    Args:
        aws: The client.
        table: Its name.
        layout: The keys of its items.
    """

    def __init__(self, aws: AWSClient[DynamoDBClient], table: str, layout: Layout) -> None:
        self._aws = aws
        self._table = table
        self._layout = layout

    def item(self, asked: _Exchange, record_id: str) -> Item | None:
        """Return a record's item as it is now. None if there is none."""
        return self._get(asked, self._layout.record(record_id))

    def insert(self, asked: _Exchange, record: Record) -> None:
        """
        Write a record that is not there yet.

        Raises:
            StoreConflict: It is, or another one has its owner.
        """
        item: Item = {**self._layout.record(record.id), **attributes(record)}
        if record.last_used_at is not None:
            item["last_used_at"] = {"N": repr(record.last_used_at)}
        put = self._change("Put", Item=item, ConditionExpression=_FREE)
        indexes = [self._change("Put", Item=key) for key in self._layout.indexes(record).values()]
        self._take(asked, put, record, indexes)

    def replace(self, asked: _Exchange, old: Record, new: Record) -> None:
        """
        Write a record whole, if *old* is still its stored version.

        Raises:
            StoreConflict: It is not, or another one has its owner.
        """
        part = replacement(new)
        part["ExpressionAttributeValues"][":replaces"] = {"S": old.version}
        update = self._change(
            "Update",
            Key=self._layout.record(new.id),
            ConditionExpression="#version = :replaces",
            **part,
        )
        before, after = self._layout.indexes(old), self._layout.indexes(new)
        others = [self._change("Put", Item=after[each]) for each in after.keys() - before.keys()]
        others += [
            self._change("Delete", Key=before[each]) for each in before.keys() - after.keys()
        ]
        if old.owner != new.owner:
            self._take(asked, update, new, [*others, self._disown(old)])
        elif self._write(asked, [update, *others]):
            raise conflict(new.id)

    def delete(self, asked: _Exchange, old: Record) -> bool:
        """Delete a record; return False if *old* is no longer its stored version."""
        delete = self._change(
            "Delete",
            Key=self._layout.record(old.id),
            ConditionExpression="#version = :replaces",
            ExpressionAttributeNames={"#version": "version"},
            ExpressionAttributeValues={":replaces": {"S": old.version}},
        )
        indexes = [self._change("Delete", Key=key) for key in self._layout.indexes(old).values()]
        refused = self._write(asked, [delete, *indexes, self._disown(old)])
        if refused and 0 not in refused:
            refused = self._write(asked, [delete, *indexes])  # its owner is another's by now
        return not refused

    def _take(
        self, asked: _Exchange, change: _Change, record: Record, others: list[_Change]
    ) -> None:
        """
        Write a record together with its owner.

        Raises:
            StoreConflict: It is not as expected, or another one has the owner.
        """
        item: Item = {**self._layout.owner(record.owner), "id": {"S": record.id}}
        own = self._change("Put", Item=item, **_owned_by(record.id))
        refused = self._write(asked, [change, own, *others])
        if refused == {1} and (gone := self._gone(asked, record.owner)):
            # Its record was deleted by hand. Nobody makes it again meanwhile:
            # that is a condition of the transaction.
            own = self._change("Put", Item=item, **_owned_by(gone))
            check = self._change(
                "ConditionCheck", Key=self._layout.record(gone), ConditionExpression=_FREE
            )
            refused = self._write(asked, [change, own, check, *others])
        if refused:
            raise conflict(record.id)

    def _gone(self, asked: _Exchange, owner: str) -> str | None:
        """Return the id that has an owner although there is no such record. None if none."""
        found = self._get(asked, self._layout.owner(owner))
        record_id = found["id"]["S"] if found else None
        return record_id if record_id and self.item(asked, record_id) is None else None

    def _get(self, asked: _Exchange, key: Key) -> Item | None:
        found = asked.ask(
            lambda dynamodb: dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        )
        item: Any = found.get("Item")
        return dict(item) if item else None

    def _disown(self, record: Record) -> _Change:
        """Free a record's owner, if it is still its."""
        key = self._layout.owner(record.owner)
        return self._change("Delete", Key=key, **_owned_by(record.id))

    def _change(self, kind: str, **what: Any) -> _Change:
        return {kind: {"TableName": self._table, **what}}

    def _write(self, asked: _Exchange, changes: list[_Change]) -> set[int]:
        """
        Make all changes or none.

        Returns:
            Which of them are not as their condition says; empty if all are made.
        """
        token = str(uuid4())
        for _ in asked.tries():
            try:
                self._send(asked, changes, token)
            except ClientError as exc:
                if code_of(exc) == "TransactionInProgressException":
                    continue
                refused, busy = _reasons(exc)
                if refused:
                    return refused
                if not busy:
                    raise self._aws.explain(exc, asked.record_id) from None
                token = str(uuid4())
            else:
                return set()
        raise contended(self._aws.place.name, asked.record_id)

    def _send(self, asked: _Exchange, changes: Any, token: str) -> None:
        # By its token AWS knows a repeated request again, for ten minutes: so it may be repeated.
        asked.ask(
            lambda dynamodb: dynamodb.transact_write_items(
                TransactItems=changes, ClientRequestToken=token
            ),
            "TransactionCanceledException",
            "TransactionInProgressException",
        )


def conflict(record_id: str) -> StoreConflict:
    """Return the error for a condition that was not met."""
    return StoreConflict(
        "Somebody else wrote this record first, or another one is for the same thing",
        token_id=record_id,
    )


def contended(store: str, record_id: str | None) -> StoreUnavailable:
    """Return the error for a write that others kept in the way of."""
    return StoreUnavailable(
        f"{store}: others kept writing the same items", token_id=record_id, hint="Try again"
    )


def _owned_by(record_id: str) -> dict[str, Any]:
    return {
        "ConditionExpression": f"{_FREE} OR id = :id",
        "ExpressionAttributeValues": {":id": {"S": record_id}},
    }


def _reasons(exc: ClientError) -> tuple[set[int], bool]:
    """Return which conditions were not met, and whether only others were in the way."""
    response: Any = exc.response
    codes = [reason.get("Code") for reason in response.get("CancellationReasons", [])]
    refused = {number for number, code in enumerate(codes) if code == "ConditionalCheckFailed"}
    failed = {code for code in codes if code not in (None, "None")}
    return refused, bool(failed) and failed <= _BUSY
