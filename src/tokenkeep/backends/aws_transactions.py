"""Writing a record, its identity and its index items to DynamoDB: all of it or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from botocore.exceptions import ClientError

from tokenkeep.backends.aws_errors import code_of
from tokenkeep.backends.aws_items import LONGEST_ID, attributes, identity_item, replacement
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
        if not record_id or len(record_id.encode()) > LONGEST_ID:
            return None
        return self._get(asked, self._layout.record(record_id))

    def insert(self, asked: _Exchange, record: Record) -> None:
        """
        Write a record that is not there yet.

        Raises:
            StoreConflict: It is, or another one has its identity.
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
            StoreConflict: It is not, or another one has its identity.
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
        others = [self._change("Put", Item=after[pk]) for pk in after.keys() - before.keys()]
        others += [self._change("Delete", Key=before[pk]) for pk in before.keys() - after.keys()]
        if old.identity != new.identity:
            others.append(self._disown(old))
        if identity_item(self._layout, old) != identity_item(self._layout, new):
            self._take(asked, update, new, others)
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
            refused = self._write(asked, [delete, *indexes])  # its identity is another's by now
        return not refused

    def _take(
        self, asked: _Exchange, change: _Change, record: Record, others: list[_Change]
    ) -> None:
        """
        Write a record together with its identity.

        Raises:
            StoreConflict: It is not as expected, or another one has the identity.
        """
        item = identity_item(self._layout, record)
        own = self._change("Put", Item=item, **_owned_by(record.id))
        refused = self._write(asked, [change, own, *others])
        if refused == {1} and (gone := self._gone_owner(asked, record.identity)):
            # Its record was deleted by its time to live, or by hand. Nobody
            # makes it again meanwhile: that is a condition of the transaction.
            own = self._change("Put", Item=item, **_owned_by(gone))
            check = self._change(
                "ConditionCheck", Key=self._layout.record(gone), ConditionExpression=_FREE
            )
            refused = self._write(asked, [change, own, check, *others])
        if refused:
            raise conflict(record.id)

    def _gone_owner(self, asked: _Exchange, identity: str) -> str | None:
        """Return the id that has an identity although there is no such record. None if none."""
        found = self._get(asked, self._layout.identity(identity))
        owner = found["id"]["S"] if found else None
        return owner if owner and self.item(asked, owner) is None else None

    def _get(self, asked: _Exchange, key: Key) -> Item | None:
        found = asked.ask(
            lambda dynamodb: dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        )
        item: Any = found.get("Item")
        return dict(item) if item else None

    def _disown(self, record: Record) -> _Change:
        """Free a record's identity, if it is still its."""
        key = self._layout.identity(record.identity)
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
