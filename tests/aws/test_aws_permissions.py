"""The policies of docs/aws.md: all that is needed, nothing more. moto's server enforces them."""

from __future__ import annotations

import json
import os
import urllib.request
from contextlib import closing

import boto3
import pytest
from aws_records import found, own
from pages import labelled
from private_servers import AWS

from tokenkeep import StoreUnavailable
from tokenkeep.backends import open_backend
from tokenkeep.testing.records import digits

POLICIES = {
    service: json.loads(*labelled("docs/aws.md", service))
    for service in ("dynamodb", "secretsmanager")
}
ACTIONS = {
    service: [action for each in policy["Statement"] for action in each["Action"]]
    for service, policy in POLICIES.items()
}

# Where moto is not as AWS: it answers in XML, of which boto3 gets the status alone
# (AWS's own words are in test_aws.py). And for a transaction it asks for a
# permission of that name, where AWS asks for those of its parts.
TRANSACTION = "dynamodb:TransactWriteItems"
IN_TRANSACTIONS = ["dynamodb:PutItem", "dynamodb:DeleteItem"]


@pytest.fixture(scope="module")
def guarded(aws):
    """A server of its own, since from here on it lets nobody do anything unasked."""
    with AWS() as server:
        iam = boto3.client("iam", endpoint_url=server.endpoint_url)
        iam.create_user(UserName="app")
        key = iam.create_access_key(UserName="app")["AccessKey"]
        yield server, iam, key
        iam.close()
    assert aws.running


@pytest.fixture
def allowed(guarded, monkeypatch):
    """Allow some actions, and work as somebody who may do them."""
    server, iam, key = guarded

    def allow(actions):
        enforce(server, enforced=False)
        # moto knows no resources in policies, but those of S3.
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        iam.put_user_policy(UserName="app", PolicyName="p", PolicyDocument=json.dumps(policy))
        enforce(server, enforced=True)

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    yield allow
    enforce(server, enforced=False)


def enforce(server, *, enforced):
    request = urllib.request.Request(
        f"{server.endpoint_url}/moto-api/reset-auth",
        data=b"0" if enforced else b"inf",
        headers={"Content-Type": "text/plain"},
    )
    urllib.request.urlopen(request).close()


def work(backend):
    """Do all that a store does."""
    backend.write(own(access="a", user="u"), replaces=None)
    backend.write(own(version="2", access="b", user="u", due_at=4.0), replaces=digits("1"))
    assert backend.read(own().id).version == digits("2")
    assert 1 == len(found(backend, "user", "u")) == len(found(backend, "owner", "one thing"))
    assert 1 == len(backend.scan(None, 10)) == len(backend.due(4.0, 10))
    assert 1 == len(backend.scan(None, 10, mark=("user", digits("u"))))
    assert backend.delete(own().id)
    backend.write(own(version="3"), replaces=None)
    backend.write(own("another"), replaces=None)
    assert 2 == len(backend.scan(None, 10)) == backend.clear()


@pytest.mark.parametrize("service", ACTIONS)
def test_the_policy_is_enough(guarded, allowed, service):
    """With the policy of the page everything works."""
    server, _, _ = guarded
    url = server.url(service)
    allowed([*ACTIONS[service], TRANSACTION])

    with closing(open_backend(url)) as backend:
        work(backend)


@pytest.mark.parametrize("missing", [
    *ACTIONS["secretsmanager"],
    *(action for action in ACTIONS["dynamodb"] if action not in IN_TRANSACTIONS),
    TRANSACTION,
])  # fmt: skip
def test_each_permission_is_needed(guarded, allowed, missing):
    """Without one of them the error names it, and nothing else."""
    server, _, _ = guarded
    service = missing.partition(":")[0]
    url = server.url(service)
    allowed([each for each in (*ACTIONS[service], TRANSACTION) if each != missing])

    with (
        pytest.raises(StoreUnavailable, match=f"AWS refused {missing}\\b") as caught,
        closing(open_backend(url)) as backend,
    ):
        work(backend)

    assert f"Allow {missing} for these credentials" in str(caught.value)
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
