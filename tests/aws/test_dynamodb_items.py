"""DynamoDB: what is asked of it, what lies in the table, and what becomes of failures."""

from __future__ import annotations

import functools
import json
from hashlib import sha256

import boto3
import pytest
from aws_proxy import COMING, GOING, refusal, with_options
from aws_records import FULL

from tokenkeep import (
    ConfigurationError,
    KeyRing,
    StoreConflict,
    StoreError,
    StoreForeign,
    StoreTampered,
    StoreTooNew,
    StoreUnavailable,
    Token,
    Vault,
)
from tokenkeep.backends import open_backend
from tokenkeep.backends.dynamodb import DynamoDBBackend
from tokenkeep.testing._contract_workers import in_processes, record
from tokenkeep.token import Claim

CLAIM = Claim(nonce="n", holder="h", taken_at=1.0, length=20.0)


@pytest.fixture
def url(aws):
    return aws.url("dynamodb")


@pytest.fixture
def table(url):
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def backend(url):
    backend = open_backend(url)
    yield backend
    backend.close()


@pytest.fixture
def watched(url, proxy):
    """The same table, by way of the proxy."""
    open_backend(url).close()
    watched = open_backend(with_options(proxy.of(url), timeout=3).replace("&create=true", ""))
    yield watched
    watched.close()


@pytest.fixture
def client(aws):
    client = boto3.client("dynamodb", endpoint_url=aws.endpoint_url)
    yield client
    client.close()


@pytest.fixture
def items(client, table):
    """All that lies in the table of records, however it got there."""

    def items():
        found = client.scan(TableName=table, ConsistentRead=True)["Items"]
        return [each for each in found if not each["pk"]["S"].endswith("#store")]

    return items


@pytest.fixture
def edit(client, table, items):
    """Change the one record that is stored."""

    def edit(changed):
        (item,) = (each for each in items() if "sealed" in each)
        client.put_item(TableName=table, Item={**item, **changed})

    return edit


def cancelled(*codes):
    status, answer = refusal("TransactionCanceledException", f"Transaction cancelled {codes}")
    return status, {**answer, "CancellationReasons": [{"Code": code} for code in codes]}


# What is asked


def test_every_read_is_consistent(watched, proxy):
    """No read may be answered with what was: neither of records nor of indexes."""
    watched.write(record(access="a", user="u"), replaces=None)
    watched.write(record(version="2", access="b", user="u"), replaces="1")
    watched.read("id")
    watched.find("user", ["u"])
    watched.find("identity", [record().identity])
    watched.scan(None, 10)
    watched.delete("id")

    asked = {"GetItem": [], "Query": [], "BatchGetItem": []}
    for name, parameters in proxy.requests:
        if name in asked:
            (part,) = parameters.get("RequestItems", {"": parameters}).values()
            asked[name].append(part.get("ConsistentRead"))
    assert all(each and all(each) for each in asked.values())


def test_a_record_and_its_indexes_are_one_transaction(watched, proxy):
    """Nobody sees a record without its index items, or the other way round."""
    watched.write(record(access="a", refresh="r", grant="g", user="u"), replaces=None)

    (sent,) = proxy.sent("TransactWriteItems")
    assert ["Put"] * 6 == [kind for each in sent["TransactItems"] for kind in each]
    assert {"TransactWriteItems"} == set(proxy.operations())


def test_only_what_changed_is_written(watched, proxy):
    """A claim on a token costs one item; a renewal the new access token's and the old one's."""
    watched.write(record(access="a", refresh="r", user="u"), replaces=None)
    watched.write(record(version="2", access="a", refresh="r", user="u"), replaces="1")
    watched.write(record(version="3", access="b", refresh="r", user="u"), replaces="2")

    kinds = [
        sorted(kind for each in sent["TransactItems"] for kind in each)
        for sent in proxy.sent("TransactWriteItems")
    ]
    assert [["Put"] * 5, ["Update"], ["Delete", "Put", "Update"]] == kinds


def test_nothing_is_left_over(backend, items):
    """Whatever is written and deleted, the table holds what belongs to its records."""
    backend.write(record(access="a", refresh="r", user="u", last_used_at=1.0), replaces=None)
    backend.write(record(version="2", access="b", identity="new"), replaces="1")
    backend.write(record("other", refresh="r"), replaces=None)
    with pytest.raises(StoreConflict):
        backend.write(record("third", identity="new", access="x"), replaces=None)
    backend.touch("gone", 5.0)

    assert 3 + 3 == len(items())
    backend.delete("id")
    assert 1 == backend.clear()
    assert [] == items()


def test_no_value_is_a_key(backend, items):
    """What people look for is in the keys as digests: of any length, with any character."""
    backend.write(record(user="ana#/\0", access=""), replaces=None)

    keys = json.dumps([[each["pk"], each["sk"]] for each in items()])
    assert "ana" not in keys
    assert sha256(b"ana#/\0").hexdigest() in keys


# Failures


def test_a_lost_answer_is_asked_for_again(watched, proxy, backend):
    """A write of unknown outcome is repeated under its token, by which AWS knows it again."""
    # moto's server does not know such tokens: it answers as to a second request.
    proxy.faults["TransactWriteItems"] = [GOING, {}]

    watched.write(record(), replaces=None)

    first, second = proxy.sent("TransactWriteItems")
    assert first["ClientRequestToken"] == second["ClientRequestToken"]
    assert first == second
    assert record() == backend.read("id")


def test_a_lost_request_is_sent_again(watched, proxy):
    """What never arrived is done at last."""
    proxy.faults.update(TransactWriteItems=[COMING, COMING], GetItem=[COMING])

    watched.write(record(), replaces=None)

    assert record() == watched.read("id")


def test_no_answer_is_not_a_conflict(watched, proxy):
    """When nobody knows whether a write was done, the error does not say that it was not."""
    proxy.faults["TransactWriteItems"] = (GOING,)

    with pytest.raises(StoreUnavailable, match="can't be reached"):
        watched.write(record(), replaces=None)

    assert record() == watched.read("id")


def test_a_save_of_unknown_outcome_is_looked_for(watched, proxy):
    """The vault finds out that a login was stored although its answer was lost."""
    vault = Vault(watched, KeyRing([bytes(32)]))
    proxy.faults["TransactWriteItems"] = (GOING,)

    saved = vault.save_token(Token(user="ana", refresh_token="r", **FULL))

    assert [saved] == vault.get_tokens()


def test_others_in_the_way_are_waited_for(watched, proxy):
    """A transaction that meets another one is sent again, as a new one."""
    proxy.faults["TransactWriteItems"] = [cancelled("TransactionConflict", None)]

    watched.write(record(), replaces=None)

    first, second = proxy.sent("TransactWriteItems")
    assert first["ClientRequestToken"] != second["ClientRequestToken"]


def test_others_in_the_way_for_ever(watched, proxy):
    """Waiting ends, in an error that is no conflict: nothing is known of the version."""
    proxy.faults["TransactWriteItems"] = (cancelled("None", "TransactionConflict"),)

    with pytest.raises(StoreUnavailable, match="others kept writing"):
        watched.write(record(), replaces=None)

    assert watched.read("id") is None


def test_a_condition_goes_before_others_in_the_way(watched, proxy):
    """What can't succeed any more is not tried again."""
    proxy.faults["TransactWriteItems"] = [
        cancelled("ConditionalCheckFailed", "TransactionConflict")
    ]

    with pytest.raises(StoreConflict):
        watched.write(record(), replaces=None)

    assert 1 == len(proxy.sent("TransactWriteItems"))


def test_a_transaction_refused_for_itself(watched, proxy):
    """Something else than a condition is named, and is no conflict."""
    proxy.faults["TransactWriteItems"] = [cancelled("ValidationError")]

    with pytest.raises(StoreUnavailable, match="TransactWriteItems was refused"):
        watched.write(record(), replaces=None)


def test_a_request_that_is_still_being_done(watched, proxy):
    """A repeated request that meets itself waits, under the same token."""
    proxy.faults["TransactWriteItems"] = [GOING, refusal("TransactionInProgressException"), {}]

    watched.write(record(), replaces=None)

    assert 1 == len({each["ClientRequestToken"] for each in proxy.sent("TransactWriteItems")})


def test_touch_does_not_wait(watched, proxy):
    """A touch that meets a transaction, or is throttled, is given up at once."""
    watched.write(record(), replaces=None)
    proxy.faults["UpdateItem"] = (refusal("TransactionConflictException"),)

    with pytest.raises(StoreUnavailable):
        watched.touch("id", 5.0)

    assert 1 == len(proxy.sent("UpdateItem"))
    proxy.faults["UpdateItem"] = (refusal("ThrottlingException"),)
    with pytest.raises(StoreUnavailable, match="throttled"):
        watched.touch("id", 5.0)
    assert 2 == len(proxy.sent("UpdateItem"))


def test_what_a_batch_leaves_out_is_asked_for(watched, proxy, table):
    """DynamoDB may answer a part of what it was asked for."""
    watched.write(record(user="u"), replaces=None)
    key = {"pk": {"S": "tokenkeep#token#18"}, "sk": {"S": "id"}}
    left = {"Keys": [key], "ConsistentRead": True}
    proxy.faults["BatchGetItem"] = [{"UnprocessedKeys": {table: left}, "Responses": {}}]

    assert [record(user="u")] == watched.find("user", ["u"])


def test_throttled(watched, proxy):
    """Throttling is waited out; if it goes on, the error says so."""
    slow = refusal("ProvisionedThroughputExceededException")
    proxy.faults["GetItem"] = [slow, slow]
    assert watched.read("id") is None

    proxy.faults["GetItem"] = (slow,)
    with pytest.raises(StoreUnavailable, match="throttled dynamodb:GetItem"):
        watched.read("id")


# Tables


def test_a_missing_table(aws):
    """A table that is not there is named, with how to make it."""
    backend = open_backend(aws.url("dynamodb").replace("&create=true", ""))

    with pytest.raises(StoreUnavailable, match="create=true") as caught:
        backend.read("id")

    assert backend.describe() in str(caught.value)


@pytest.mark.usefixtures("backend")
def test_the_table_that_is_made(client, table):
    """It is paid by request, and clears up what nobody completes."""
    made = client.describe_table(TableName=table)["Table"]
    ttl = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]

    assert "PAY_PER_REQUEST" == made["BillingModeSummary"]["BillingMode"]
    assert ("ENABLED", "ttl") == (ttl["TimeToLiveStatus"], ttl["AttributeName"])


def test_a_table_that_is_there_stays_as_it_is(backend, url, proxy):
    """``create`` on an existing table only looks."""
    backend.write(record(), replaces=None)

    again = open_backend(proxy.of(url))

    assert ["DescribeTable"] == proxy.operations()
    assert record() == again.read("id")


def test_all_make_the_table_at_once(url):
    """Processes that start together on a missing table all get it."""
    assert [[]] * 4 == in_processes(_opened, functools.partial(open_backend, url), 4)


def _opened(backend, _):
    return backend.scan(None, 1)


@pytest.mark.parametrize("create", ["true", "false"])
def test_another_programs_table(client, url, table, create):
    """A table with other keys is refused, whether it was to be made or not."""
    client.create_table(
        TableName=table,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )

    with pytest.raises(StoreForeign, match="other keys"):
        open_backend(url.replace("create=true", f"create={create}")).read("id")


def test_another_programs_table_in_mid_use(watched, proxy):
    """AWS's own word for other keys is understood whenever it comes."""
    message = "The provided key element does not match the schema"
    proxy.faults["GetItem"] = [refusal("ValidationException", message)]

    with pytest.raises(StoreForeign, match="other keys"):
        watched.read("id")


def test_several_stores_in_one_table(url):
    """Each prefix is a store of its own, and other programs' items are nobody's."""
    one, two = (open_backend(with_options(url, prefix=each)) for each in ("a", "b"))
    one.write(record(user="u"), replaces=None)

    assert two.read("id") is None
    assert [] == two.find("user", ["u"]) == two.scan(None, 10)
    two.write(record(version="2"), replaces=None)
    assert 1 == two.clear()
    assert record(user="u") == one.read("id")
    assert one.describe() != two.describe()


# What ends by itself


def test_a_login_nobody_completes_ends(backend, items):
    """A pending row and its identity have an end; the login that completes it takes it away."""
    vault = Vault(backend, KeyRing([bytes(32)]))
    asked = Token(refresh_token="r", **FULL)

    pending = vault.reserve(asked, CLAIM)
    ends = [int(each["ttl"]["N"]) for each in items()]
    vault.save_token(asked)

    assert [int(pending.created_at) + 86_400] * 2 == ends
    assert not any("ttl" in each for each in items())


def test_an_identity_whose_record_is_gone(backend, client, table, items):
    """Time to live, or somebody, deleted the record alone: what it was for can be stored again."""
    backend.write(record("old", identity="same", user="u"), replaces=None)
    key = next(
        {"pk": each["pk"], "sk": each["sk"]} for each in items() if each["sk"] == {"S": "old"}
        and "token" in each["pk"]["S"]
    )  # fmt: skip
    client.delete_item(TableName=table, Key=key)
    assert [] == backend.find("identity", ["same"]) == backend.find("user", ["u"])

    backend.write(record("new", identity="same"), replaces=None)

    assert [record("new", identity="same")] == backend.find("identity", ["same"])
    with pytest.raises(StoreConflict):
        backend.write(record("third", identity="same"), replaces=None)


def test_a_record_whose_identity_is_anothers(backend, client, table, items):
    """It can be deleted, and the other one keeps the identity."""
    backend.write(record("old", identity="same"), replaces=None)
    (identity,) = (each for each in items() if each["sk"] == {"S": "identity"})
    client.put_item(TableName=table, Item={**identity, "id": {"S": "new"}})

    assert backend.delete("old") is True
    assert [{**identity, "id": {"S": "new"}}] == items()


# Limits and spoiled items


def test_too_large(backend):
    """More than an item holds is refused by name; what was stored stays."""
    backend.write(record(), replaces=None)

    with pytest.raises(StoreError, match="items hold 409600"):
        backend.write(record(version="2", sealed=bytes(409_600)), replaces="1")

    assert record() == backend.read("id")
    backend.write(record(version="2", sealed=bytes(400_000)), replaces="1")


@pytest.mark.parametrize("name", ["", "x" * 1025])
def test_an_id_that_is_no_key(backend, name):
    """It is not there, and can't be."""
    assert backend.read(name) is None
    assert backend.delete(name) is False
    assert backend.find("identity", [""]) == []
    backend.touch("", 5.0)
    with pytest.raises(StoreError, match="1 to 1024 bytes"):
        backend.write(record(name), replaces=None)


def test_many_ids_in_their_order(backend):
    """Ids of tokenkeep's kind lie in sixteen shards; pages go through them in order."""
    ids = [sha256(str(n).encode()).hexdigest()[:32] for n in range(60)]
    for each in ids:
        backend.write(record(each), replaces=None)

    pages = [backend.scan(None, 7)]
    while pages[-1]:
        pages.append(backend.scan(pages[-1][-1].id, 7))

    assert sorted(ids) == [each.id for page in pages for each in page]


def test_a_page_begins_where_the_last_one_ended(watched, proxy):
    """Shards that lie behind are not asked again."""
    watched.scan("f" * 32, 10)

    shards = [each["ExpressionAttributeValues"][":pk"]["S"][-2:] for each in proxy.sent("Query")]
    assert ["17", "18"] == shards


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"format": {"N": "2"}}, StoreTooNew),
        ({"format": {"S": "x"}}, StoreTampered),
        ({"sealed": {"S": "text"}}, StoreTampered),
        ({"version": {"N": "1"}}, StoreTampered),
    ],
    ids=["newer", "no format", "no bytes", "no version"],
)
def test_a_spoiled_item(backend, edit, changed, error):
    """What tokenkeep did not write is told from what a newer one wrote."""
    backend.write(record(), replaces=None)
    edit(changed)

    with pytest.raises(error) as caught:
        backend.read("id")

    assert "id" == caught.value.token_id


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"table": "a"}, "no name of a DynamoDB table"),
        ({"table": "a b c"}, "no name of a DynamoDB table"),
        ({"table": "tokens", "prefix": ""}, "1 to 64 letters"),
        ({"table": "tokens", "prefix": "a#b"}, "1 to 64 letters"),
    ],
)
def test_wrong_names(arguments, said):
    """Names that AWS would refuse are refused before anything is asked."""
    with pytest.raises(ConfigurationError, match=said):
        DynamoDBBackend(**arguments, region="eu-central-1")
