"""What both stores at AWS share: requests, refusals, what is kept, configuration."""

from __future__ import annotations

import json
import logging
import traceback
from dataclasses import replace
from urllib.parse import quote

import pytest
from aws_proxy import CUT, HALF, refusal
from aws_records import found, own
from reported import reported

from tokenkeep import (
    ConfigurationError,
    StoreConflict,
    StoreError,
    StoreTampered,
    StoreTooNew,
    StoreUnavailable,
    records,
)
from tokenkeep.backends import open_backend
from tokenkeep.backends.aws import record_of, text_of
from tokenkeep.backends.waiting import NoThread
from tokenkeep.sealing import DataKeys
from tokenkeep.testing.records import digits

pytestmark = pytest.mark.usefixtures("aws")  # its credentials

SCHEMES = {"secretsmanager": "aws-secretsmanager", "dynamodb": "dynamodb"}
READING = {"secretsmanager": "GetSecretValue", "dynamodb": "GetItem"}
LISTING = {"secretsmanager": "ListSecrets", "dynamodb": "Query"}
MAKING = {"secretsmanager": "CreateSecret", "dynamodb": "TransactWriteItems"}
# What makes a new version the stored one.
LATE = {"secretsmanager": "UpdateSecretVersionStage", "dynamodb": "TransactWriteItems"}


@pytest.fixture(params=SCHEMES)
def service(request):
    return request.param


# Requests


def test_throttled(watched, proxy, service):
    """Throttling is waited out, also that of a write; if it goes on, the error says so."""
    slow = refusal("ThrottlingException", "Rate exceeded")
    watched.write(own(), replaces=None)
    proxy.faults.update({LATE[service]: [slow], READING[service]: [slow]})
    watched.write(own(version="2"), replaces=digits("1"))

    proxy.faults = {LATE[service]: (slow,)}
    with pytest.raises(StoreUnavailable, match=f"{LATE[service]} .Throttl|did not answer"):
        watched.write(own(version="3"), replaces=digits("2"))
    proxy.faults.clear()
    assert own(version="2") == watched.read(own().id)


@pytest.mark.parametrize("where", [CUT, HALF])
def test_an_answer_that_is_cut_off(watched, proxy, service, where):
    """It is no answer: boto3 takes it for an empty one, as of a token that is not there."""
    watched.write(own(), replaces=None)
    proxy.faults[READING[service]] = (where,)

    with pytest.raises(StoreUnavailable, match="ConnectionClosedError"):
        watched.read(own().id)


@pytest.mark.parametrize("act", ["write", "delete"])
def test_what_is_late_is_a_conflict(watched, proxy, backend, service, act):
    """Nothing deleted is brought back by a write, nor is a version deleted instead of another."""
    watched.write(own(), replaces=None)
    new, one = own(version="2"), digits("1")

    def write(store):
        store.write(new, replaces=one)

    def delete(store):
        store.delete(own().id, replaces=one)

    late, faster, left = (write, delete, None) if act == "write" else (delete, write, new)
    proxy.faults[LATE[service]] = [lambda: faster(backend)]

    with pytest.raises(StoreConflict):
        late(watched)

    assert left == backend.read(own().id)


def test_what_is_not_due_is_not_read(watched, proxy, service):
    """One request finds what is due, however much is stored, and that alone is read."""
    for n in range(5):
        watched.write(own(str(n), due_at=1_790_000_000.0 + n), replaces=None)
    watched.write(own("never"), replaces=None)
    proxy.requests.clear()

    assert [0, 1] == [each.due_at - 1_790_000_000 for each in watched.due(1_790_000_001.5, 10)]

    assert [LISTING[service], *[READING[service]] * 2] == proxy.operations()


def test_many_in_their_order(watched, proxy, backend, service):
    """Pages go through AWS's own pages in the order of ids."""
    ids = sorted(own(str(n)).id for n in range(130))
    for n in range(130):
        backend.write(own(str(n)), replaces=None)
    proxy.requests.clear()

    page = watched.scan(None, 70)

    assert ids == [each.id for each in page + watched.scan(page[-1].id, 70)]
    assert len(proxy.sent(LISTING[service])) < 10


def test_too_large(backend, service):
    """More than AWS holds is refused by name, and what was stored stays."""
    size, said = {
        "secretsmanager": (60_000, "a secret holds 65536"),
        "dynamodb": (309_600, "an item of DynamoDB holds 408576"),
    }[service]
    backend.write(own(), replaces=None)

    for large, replaces in ((own(version="2"), digits("1")), (own("large"), None)):
        with pytest.raises(StoreError, match=said):
            backend.write(replace(large, sealed=bytes(size)), replaces=replaces)

    assert [own()] == backend.scan(None, 10)


def test_no_thread(backend, monkeypatch):
    """Where no thread can be started nothing is asked, and the error says so."""

    def begin(_):
        raise NoThread("No thread can be started")

    monkeypatch.setattr("tokenkeep.backends.aws.begin", begin)

    with pytest.raises(StoreUnavailable, match="was not asked: No thread can be started"):
        backend.read(own().id)


# Refusals


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (["AWS_SECRET_ACCESS_KEY"], "PartialCredentialsError"),
        (["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"], "NoCredentialsError"),
    ],
)
def test_no_credentials(url, monkeypatch, missing, said):
    """Half of a pair, or nothing: the error says so, and where they may come from."""
    for name in missing:
        monkeypatch.delenv(name)

    with pytest.raises(StoreUnavailable, match=said) as caught:
        open_backend(url).read(own().id)

    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in str(caught.value)


TAGGING = (
    "User: arn:aws:sts::123456789012:assumed-role/app/i is not authorized to perform: "
    "x:TagResource on resource: x because no identity-based policy allows the action"
)


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        ("ExpiredTokenException", "", "Get new credentials"),
        ("UnrecognizedClientException", "", "this account and region"),
        ("InvalidSignatureException", "", "this machine's clock"),
        ("ResourceNotFoundException", "", "the right region and account"),
        ("KMSAccessDeniedException", "", "kms:Decrypt"),
        ("AccessDeniedException", "Access to KMS is not allowed", "kms:Decrypt"),
        ("AccessDeniedException", "", "Allow {action} for these credentials"),
        ("AccessDeniedException", TAGGING, "Allow x:TagResource for these credentials"),
        ("LimitExceededException", "", "about 100 versions a day"),
        ("InternalServerError", "", "Try again"),
        ("404", "", "API reference"),
        ("ValidationException", "Value 'c2VhbGVk' at 'x' is wrong", "name of a table"),
    ],
)
def test_refused(watched, proxy, service, code, message, said):  # noqa: PLR0917
    """What to do is said, and for which action; AWS, which may repeat what it was sent, is not."""
    action = f"{service}:{MAKING[service]}"
    proxy.faults[MAKING[service]] = (refusal(code, message),)

    with pytest.raises(StoreUnavailable, match=said.format(action=action)) as caught:
        watched.write(own(), replaces=None)

    text = str(caught.value)
    assert f"({code}) (token {own().id}). " in text
    assert action in text or "x:TagResource" in text
    shown = "".join(traceback.format_exception(caught.value))
    assert "c2VhbGVk" not in shown
    assert "123456789012" not in shown


def test_nothing_is_logged(watched, caplog, aws):
    """At the levels people log at, neither a value nor a credential is there to be read."""
    caplog.set_level(logging.INFO)
    watched.write(own(user="ana", sealed=b"sealed so that nobody"), replaces=None)
    watched.write(own(version="2", sealed=b"sealed so that nobody"), replaces=digits("1"))
    found(watched, "user", "ana")
    watched.delete(own().id)

    assert "c2VhbGVk" not in caplog.text
    assert aws.password not in caplog.text


# What is kept


def changed(**fields):
    """A record's text, with something else in it than tokenkeep writes."""
    return json.dumps({**json.loads(text_of(own(), "it", 10_000)), **fields})


@pytest.mark.parametrize(
    "text",
    [
        "ana",
        '{"user": "ana"}',
        '{"tokenkeep": 2}',
        '{"tokenkeep": 2, "id": "x"}',
        changed(id=5),
        changed(id="x"),
        changed(version=5),
        changed(version=digits("2"), sealed=""),
        changed(sealed="?"),
        "[]",
    ],
)
def test_what_others_wrote(backend, service, place, client, text):
    """What somebody has changed opens with no key, hides no other record, and can be deleted."""
    backend.write(own(), replaces=None)
    backend.write(own("other"), replaces=None)
    if service == "secretsmanager":
        client.put_secret_value(SecretId=f"{place}/{own().id}", SecretString=text)
    else:
        client.update_item(
            TableName=place,
            Key={"pk": {"S": "tokenkeep#record"}, "sk": {"S": own().id}},
            UpdateExpression="SET #text = :text",
            ExpressionAttributeNames={"#text": "text"},
            ExpressionAttributeValues={":text": {"S": text}},
        )

    assert {each.id: each.sealed for each in backend.scan(None, 9)} == {
        own().id: b"", own("other").id: own("other").sealed
    }  # fmt: skip
    with pytest.raises(StoreTampered, match=own().id):
        records.unseal(backend.read(own().id), DataKeys("s", {1: bytes(32)}, bytes(32)))
    assert backend.delete(own().id)
    assert [own("other")] == backend.scan(None, 9)


def test_what_a_newer_one_wrote():
    """It is told from what somebody has changed."""
    with pytest.raises(StoreTooNew, match=own().id):
        record_of('{"tokenkeep": 3}', own().id)


# Configuration


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("///tokens", "NoRegionError.*Name a region"),
        ("//no region/tokens", "InvalidRegionError"),
        ("//eu-central-1/tokens?profile=nobody", "ProfileNotFound.*Check the region, the profile"),
        ("//eu-central-1/tokens?timeout=0", "timeout is a number of seconds"),
        ("//eu-central-1/tokens?timeout=nan", "timeout is a number of seconds"),
        ("//eu-central-1/tokens?retries=5", "no option 'retries'"),
        *((f"//eu-central-1/tokens?endpoint_url={quote(each)}", "Look at endpoint_url")
          for each in ("nowhere", "http://a:hunter2@[", "a:hunter2@nowhere")),
        ("//ana:hunter2@eu-central-1/tokens", "InvalidRegionError"),
        ("//eu-central-1:443/tokens", "InvalidRegionError"),
        ("tokens", "two slashes"),
        ("//eu-central-1/tokens?profile=", "is blank"),
    ],
)  # fmt: skip
def test_wrong_configuration(service, monkeypatch, place, said):
    """What can't be meant is refused before anything is asked, and the next opening is as new."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(ConfigurationError, match=said) as caught:
        open_backend(f"{SCHEMES[service]}:{place}")

    assert "hunter2" not in reported(caught.value)
    open_backend(f"{SCHEMES[service]}://eu-central-1/tokens").close()


@pytest.mark.parametrize("of", ["the URL", "the environment"])
def test_a_password_in_an_endpoint(service, monkeypatch, caplog, of):
    """It is not told, whoever named the endpoint; but for it the store's name says all."""
    place, endpoint = f"{SCHEMES[service]}://eu-central-1/tokens", "http://ana:hunter2@127.1:1"
    if of == "the environment":
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    else:
        place += f"?endpoint_url={quote(endpoint)}"
    backend = open_backend(place)

    with pytest.raises(StoreUnavailable, match=r"at http://127\.1:1: ") as caught:
        backend.read(own().id)

    assert "hunter2" not in f"{reported(caught.value)} {caplog.text} {backend.risks()}"


@pytest.mark.parametrize("endpoint", ["nowhere", "http://127.0.0.1:port"])
def test_an_endpoint_that_is_none(service, monkeypatch, endpoint):
    """One of the environment that can't be meant is told as that, with where to look."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)

    with pytest.raises(ConfigurationError, match="AWS_ variables"):
        open_backend(f"{SCHEMES[service]}://eu-central-1/tokens").read(own().id)


def test_no_two_stores_have_the_same_name(monkeypatch):
    """The journal of a host is named after it: by region, address and name."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")
    at = "eu-west-1/tokens?endpoint_url=http%3A%2F%2F127.0.0.1%3A"
    places = [f"{at}1", f"{at}2", "/tokens", "eu-west-2/tokens", "eu-west-1/tokens2"]
    urls = [f"dynamodb://{place}" for place in places]
    urls += [f"aws-secretsmanager://eu-west-1{name}" for name in ("/tokens", "")]

    names = [open_backend(url).describe() for url in urls]

    assert len(names) == len(set(names))
    assert "https://dynamodb.ap-south-1.amazonaws.com" in names[2]
