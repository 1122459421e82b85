"""What AWS does and moto alone does not, in moto's server as the tests run it."""

from __future__ import annotations

import secrets
import threading

import boto3
from places import InAWS


def test_new_names_are_the_same_after_a_kill(aws):
    """What moto makes up for a secret, its ARN, is the same after a kill."""
    client = InAWS(aws.url()).client()
    name = f"named-{secrets.token_hex(4)}"
    arn = client.create_secret(Name=name, SecretString="x")["ARN"]
    client.get_secret_value(SecretId=name)

    aws.kill()
    aws.start()

    assert arn == client.get_secret_value(SecretId=arn)["ARN"]
    client.close()


def test_conditional_writes_are_whole(aws):
    """Of writers with the same condition, one wins; moto's threads would mix them."""
    client = boto3.client("dynamodb", aws.region, endpoint_url=aws.endpoint_url)
    table = f"table-{secrets.token_hex(4)}"
    client.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    won = []

    def write(number):
        for item in range(20):
            try:
                client.put_item(
                    TableName=table,
                    Item={"id": {"S": str(item)}, "by": {"S": str(number)}},
                    ConditionExpression="attribute_not_exists(id)",
                )
            except client.exceptions.ConditionalCheckFailedException:
                continue
            won.append(item)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert list(range(20)) == sorted(won)
    client.close()
