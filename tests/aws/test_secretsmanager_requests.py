"""Secrets Manager: what it is sent, and what becomes of answers that don't come."""

from __future__ import annotations

import json

import pytest
from aws_proxy import COMING, GOING, refusal
from aws_records import FULL, found, own

from tokenkeep import (
    KeyRing,
    StoreConflict,
    StoreUnavailable,
    Token,
    Vault,
)
from tokenkeep.testing._contract_workers import digits

# What is asked


def test_the_current_version_moves_from_a_named_one(watched, proxy, client, prefix):
    """Nothing makes a value the current one but this request, which AWS refuses if it is late."""
    one = own()
    watched.write(one, replaces=None)
    (first,) = proxy.sent("CreateSecret")

    watched.write(own(version="2"), replaces=digits("1"))

    (put,) = proxy.sent("PutSecretValue")
    assert ["tokenkeep-pending"] == put["VersionStages"]
    assert [{
        "SecretId": f"{prefix}/{one.id}",
        "VersionStage": "AWSCURRENT",
        "RemoveFromVersionId": first["ClientRequestToken"],
        "MoveToVersionId": put["ClientRequestToken"],
    }] == proxy.sent("UpdateSecretVersionStage")  # fmt: skip
    stages = client.describe_secret(SecretId=f"{prefix}/{one.id}")["VersionIdsToStages"]
    assert "AWSCURRENT" in stages[put["ClientRequestToken"]]
    assert ["AWSPREVIOUS"] == stages[first["ClientRequestToken"]]


def test_motos_server_goes_on_with_the_old_value(backend, client, prefix):
    """
    Where it is not as AWS, which answers without a stage as with AWSCURRENT.

    So every request for a value names the stage, and values that come in a
    batch, where none can be named, are looked at for theirs. When this test
    fails, moto has been mended, and the one below still holds.
    """
    backend.write(own(), replaces=None)
    backend.write(own(version="2"), replaces=digits("1"))

    answer = client.get_secret_value(SecretId=f"{prefix}/{own().id}")

    assert (digits("1"), ["AWSPREVIOUS"]) == (
        json.loads(answer["SecretString"])["version"], answer["VersionStages"],
    )  # fmt: skip


def test_every_value_is_the_current_one(watched, proxy):
    """The stage is named in each request, and what a batch brings is read again if it is old."""
    watched.write(own(user="u"), replaces=None)
    changed = own(version="2", user="u")
    watched.write(changed, replaces=digits("1"))
    watched.write(own("another"), replaces=None)

    assert changed == watched.read(own().id)
    assert [changed] == found(watched, "user", "u")
    assert {changed, own("another")} == set(watched.scan(None, 10))
    assert {"AWSCURRENT"} == {each["VersionStage"] for each in proxy.sent("GetSecretValue")}


def test_a_batch_is_believed_where_it_is_current(watched, proxy):
    """A listing takes one request for twenty secrets."""
    for n in range(25):
        watched.write(own(str(n)), replaces=None)
    proxy.requests.clear()

    assert 25 == len(watched.scan(None, 100))
    assert [20, 5] == [len(each["SecretIdList"]) for each in proxy.sent("BatchGetSecretValue")]
    assert [] == proxy.sent("GetSecretValue")


def test_a_claim_writes_one_version_and_no_tag(watched, proxy):
    """What people look for did not change, so only the value does."""
    watched.write(own(access="a", refresh="r"), replaces=None)
    proxy.requests.clear()

    watched.write(own(version="2", access="a", refresh="r"), replaces=digits("1"))

    assert ["GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"] == proxy.operations()


def test_tags_come_before_the_value_and_go_after_it(watched, proxy):
    """Whoever can read the new value can find it; the old one is found until then."""
    watched.write(own(access="a"), replaces=None)
    proxy.requests.clear()

    watched.write(own(version="2", access="b"), replaces=digits("1"))

    assert ["TagResource", "UpdateSecretVersionStage", "UntagResource"] == [
        each for each in proxy.operations() if "tag" in each.lower()
    ]
    (tag,) = proxy.sent("TagResource")[0]["Tags"]
    assert f"tokenkeep:access:{digits('b')}" == tag["Key"]


# Failures


def test_a_lost_answer_of_the_move(watched, proxy, backend):
    """The one request that must not be repeated is not; whether it was done is not known."""
    watched.write(own(), replaces=None)
    proxy.faults["UpdateSecretVersionStage"] = (GOING,)

    with pytest.raises(StoreUnavailable):
        watched.write(own(version="2"), replaces=digits("1"))

    assert 1 == len(proxy.sent("UpdateSecretVersionStage"))
    assert own(version="2") == backend.read(own().id)


def test_a_save_of_unknown_outcome_is_looked_for(watched, proxy):
    """The vault finds out that a login was stored although its answer was lost."""
    vault = Vault(watched, KeyRing([bytes(32)]))
    vault.save_token(Token(user="ana", refresh_token="r1", **FULL))
    proxy.faults["UpdateSecretVersionStage"] = [GOING]

    saved = vault.save_token(Token(user="ana", refresh_token="r2", **FULL))

    assert ("r2", [saved]) == (saved.refresh_token, vault.get_tokens())


@pytest.mark.parametrize("fault", [GOING, COMING])
def test_lost_answers_of_the_rest(watched, proxy, backend, fault):
    """All other requests are known again by their token, or do no harm when repeated."""
    operations = ("CreateSecret", "GetSecretValue", "PutSecretValue", "TagResource", "ListSecrets",
                  "UntagResource", "DescribeSecret", "BatchGetSecretValue")  # fmt: skip
    proxy.faults.update({each: [fault] for each in operations})

    watched.write(own(access="a"), replaces=None)
    watched.write(own(version="2", access="b"), replaces=digits("1"))
    watched.delete(own().id)
    proxy.faults["RestoreSecret"] = [fault]
    watched.write(own(version="3", access="c"), replaces=None)

    watched.write(own("another"), replaces=None)

    assert [own(version="3", access="c")] == found(backend, "access", "c")
    assert {own(version="3", access="c"), own("another")} == set(watched.scan(None, 10))
    tokens = [each["ClientRequestToken"] for each in proxy.sent("PutSecretValue")[:2]]
    assert 1 == len(set(tokens))


def test_throttled(watched, proxy):
    """Throttling is waited out, the move's too; if it goes on, the error says so."""
    slow = refusal("ThrottlingException", "Rate exceeded")
    watched.write(own(), replaces=None)
    proxy.faults["UpdateSecretVersionStage"] = [slow, slow]
    watched.write(own(version="2"), replaces=digits("1"))

    proxy.faults["PutSecretValue"] = (slow,)
    with pytest.raises(StoreUnavailable, match="throttled secretsmanager:PutSecretValue"):
        watched.write(own(version="3"), replaces=digits("2"))
    assert own(version="2") == watched.read(own().id)


def test_too_many_versions(watched, proxy):
    """A token that is written more often than AWS allows is told so."""
    watched.write(own(), replaces=None)
    proxy.faults["PutSecretValue"] = [refusal("LimitExceededException")]

    with pytest.raises(StoreUnavailable, match="written too often for Secrets Manager"):
        watched.write(own(version="2"), replaces=digits("1"))


def test_a_refused_move_that_is_no_conflict(watched, proxy):
    """AWS refuses for another reason, and the version is still the one: no conflict is told."""
    watched.write(own(), replaces=None)
    proxy.faults["UpdateSecretVersionStage"] = [refusal("InvalidParameterException")]

    with pytest.raises(StoreUnavailable, match="UpdateSecretVersionStage was refused"):
        watched.write(own(version="2"), replaces=digits("1"))


def test_a_value_aws_can_not_give(watched, proxy):
    """A secret that is there and can't be read now is not taken for one that is gone."""
    watched.write(own(), replaces=None)
    proxy.faults["GetSecretValue"] = (refusal("InvalidRequestException", "in another state"),)

    with pytest.raises(StoreUnavailable, match="GetSecretValue was refused"):
        watched.read(own().id)


def test_the_loser_takes_its_tags_back(watched, proxy, backend, client, prefix):
    """A write that came too late leaves nothing to be found by; the winner's stays."""
    watched.write(own(), replaces=None)

    def win():
        backend.write(own(version="2", access="won"), replaces=digits("1"))

    proxy.faults["UpdateSecretVersionStage"] = [win]
    with pytest.raises(StoreConflict):
        watched.write(own(version="lost", access="lost", refresh="r"), replaces=digits("1"))

    tags = client.describe_secret(SecretId=f"{prefix}/{own().id}")["Tags"]
    assert [f"tokenkeep:access:{digits('won')}"] == [each["Key"] for each in tags]
