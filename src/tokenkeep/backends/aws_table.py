"""Making a DynamoDB table, paid by request."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from tokenkeep.errors import StoreForeign

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TableDescriptionTypeDef

    from tokenkeep.backends.aws_client import AWSClient, Exchange

_KEYS = {"pk": "HASH", "sk": "RANGE"}


def create(aws: AWSClient[DynamoDBClient], table: str) -> None:
    """
    Make a table if it is missing, and wait until it can be used.

    Safe when many processes do it at once.

    Args:
        aws: The client.
        table: Its name.

    Raises:
        StoreForeign: There is one of that name with other keys.
        StoreUnavailable: It can't be made, or is not ready in time.
    """
    asked = aws.begin()
    for _ in asked.tries():
        found = _described(asked, table)
        if found is None:
            _make(asked, table)
            continue
        keys = {each["AttributeName"]: each["KeyType"] for each in found["KeySchema"]}
        if keys != _KEYS:
            raise StoreForeign(
                f"The DynamoDB table {table} has other keys than pk and sk",
                hint="Name another table",
            )
        if found.get("TableStatus") in ("ACTIVE", "UPDATING"):
            return
    raise asked.too_slow()


def _described(asked: Exchange[DynamoDBClient], table: str) -> TableDescriptionTypeDef | None:
    with suppress(ClientError):
        answer = asked.ask(
            lambda dynamodb: dynamodb.describe_table(TableName=table), "ResourceNotFoundException"
        )
        return answer["Table"]
    return None


def _make(asked: Exchange[DynamoDBClient], table: str) -> None:
    # Refused if another process was faster.
    with suppress(ClientError):
        asked.send(
            lambda dynamodb: dynamodb.create_table(
                TableName=table,
                AttributeDefinitions=[
                    {"AttributeName": name, "AttributeType": "S"} for name in _KEYS
                ],
                KeySchema=[
                    {"AttributeName": "pk", "KeyType": "HASH"},
                    {"AttributeName": "sk", "KeyType": "RANGE"},
                ],
                BillingMode="PAY_PER_REQUEST",
            ),
            "ResourceInUseException",
        )
