"""Secrets Manager: what it is sent, deletions, names and tags, and lists that are out of date."""

from __future__ import annotations

import json

import pytest
from aws_proxy import COMING, GOING, refusal, with_options
from aws_records import FULL, found, own, row

from tokenkeep import KeyRing, StoreConflict, StoreError, StoreUnavailable, Token, Vault
from tokenkeep.backends import open_backend
from tokenkeep.backends.base import HEADER
from tokenkeep.testing.records import digits


@pytest.fixture
def told(client, place):
    """What AWS tells of a secret, the one thing's if none is named."""
    return lambda name=None: client.describe_secret(SecretId=f"{place}/{name or own().id}")


@pytest.fixture
def names(client, place):
    """The names of all secrets there are, scheduled for deletion or not."""

    def names():
        found = client.list_secrets(
            Filters=[{"Key": "name", "Values": [f"{place}/"]}], IncludePlannedDeletion=True
        )
        return [each["Name"].removeprefix(f"{place}/") for each in found["SecretList"]]

    return names


# What is asked


@pytest.mark.parametrize(
    ("access", "before", "after"),
    [("a", [], []), ("b", ["TagResource"], ["UntagResource"])],
    ids=["a claim", "a renewal"],
)
def test_what_is_sent(watched, proxy, access, before, after):
    """Only what changed: tags before the value, so that it is found, and after it the old ones."""
    watched.write(own(access="a", refresh="r"), replaces=None)
    proxy.requests.clear()

    watched.write(own(version="2", access=access, refresh="r"), replaces=digits("1"))

    put, moved = "PutSecretValue", "UpdateSecretVersionStage"
    assert ["GetSecretValue", put, *before, moved, *after] == proxy.operations()
    tags = [[each["Key"] for each in sent["Tags"]] for sent in proxy.sent("TagResource")]
    assert [[f"tokenkeep:access:{digits('b')}"] for _ in before] == tags


# Failures


@pytest.mark.parametrize("fault", [GOING, COMING])
def test_lost_answers(watched, proxy, backend, fault):
    """Requests are known again by their token, or do no harm when boto3 repeats them."""
    operations = ("CreateSecret", "GetSecretValue", "PutSecretValue", "TagResource", "ListSecrets",
                  "UpdateSecretVersionStage", "UntagResource")  # fmt: skip
    proxy.faults.update({each: [fault] for each in operations})

    watched.write(own(access="a"), replaces=None)
    watched.write(own(version="2", access="b"), replaces=digits("1"))
    proxy.faults["DeleteSecret"] = [fault]
    watched.delete(own().id)
    watched.write(own(version="3", access="c"), replaces=None)

    watched.write(own("another"), replaces=None)

    assert [own(version="3", access="c")] == found(backend, "access", "c")
    assert {own(version="3", access="c"), own("another")} == set(watched.scan(None, 10))
    tokens = [each["ClientRequestToken"] for each in proxy.sent("PutSecretValue")[:2]]
    assert 1 == len(set(tokens))


def test_the_loser_takes_its_tags_back(watched, proxy, backend, told):
    """A write that came too late leaves nothing to be found by; the winner's stays."""
    watched.write(own(), replaces=None)

    def win():
        backend.write(own(version="2", access="won"), replaces=digits("1"))

    proxy.faults["UpdateSecretVersionStage"] = [win]
    with pytest.raises(StoreConflict):
        watched.write(own(version="lost", access="lost", refresh="r"), replaces=digits("1"))

    tags = told()["Tags"]
    assert [f"tokenkeep:access:{digits('won')}"] == [each["Key"] for each in tags]


# Deletion, while others write and after somebody deleted by hand


@pytest.mark.usefixtures("no_waiting")
def test_deleted_by_somebody_else(client, place, told, backend):
    """What was scheduled for deletion by hand is gone, and tokenkeep does not undo that."""
    backend.write(own(), replaces=None)
    client.delete_secret(SecretId=f"{place}/{own().id}")

    assert backend.read(own().id) is None
    assert [] == backend.scan(None, 10) == found(backend, "owner", "one thing")
    assert backend.delete(own().id) is False
    with pytest.raises(StoreConflict):
        backend.write(own(version="2"), replaces=digits("1"))
    with pytest.raises(StoreUnavailable, match="aws secretsmanager restore-secret") as caught:
        backend.write(own(version="2"), replaces=None)

    assert f"{place}/{own().id}" in str(caught.value)
    assert "DeletedDate" in told()


@pytest.mark.parametrize("then", ["log in", "delete"])
def test_a_deleter_that_went_away(watched, proxy, backend, names, then):
    """A token is gone before its secret is erased; whoever comes next does that."""
    watched.write(own(), replaces=None)
    proxy.faults["DeleteSecret"] = (COMING,)
    with pytest.raises(StoreUnavailable):
        watched.delete(own().id)

    assert ([own().id], None, []) == (names(), backend.read(own().id), backend.scan(None, 10))
    if then == "delete":
        assert backend.delete(own().id) is False
        assert [] == names()
    backend.write(own(version="again"), replaces=None)
    assert own(version="again") == backend.read(own().id)


def test_a_deleter_that_is_late(watched, proxy, backend):
    """Who logs in while the secret is being erased does that, and nobody erases the new one."""
    watched.write(own(), replaces=None)
    again = own(version="again")
    proxy.faults["DeleteSecret"] = [lambda: backend.write(again, replaces=None), GOING]

    assert watched.delete(own().id) is True

    assert again == backend.read(own().id)


def test_a_secret_that_is_being_erased(watched, proxy):
    """AWS takes its time: whoever logs in meanwhile waits for it."""
    proxy.faults["CreateSecret"] = [refusal("InvalidRequestException")] * 2

    watched.write(own(), replaces=None)

    assert own() == watched.read(own().id)


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("GetSecretValue", "InvalidRequestException"),
        ("PutSecretValue", "InvalidRequestException"),
        ("PutSecretValue", "InvalidParameterException"),
        ("TagResource", "InvalidParameterException"),
    ],
)
def test_a_refusal_is_no_deletion(watched, proxy, operation, code):
    """What AWS refuses for reasons of its own is an error: no token is gone, nobody was faster."""
    watched.write(own(), replaces=None)
    proxy.faults[operation] = (refusal(code, "It is managed by another service"),)

    with pytest.raises(StoreUnavailable, match=code):
        watched.write(own(version="2", user="ana"), replaces=digits("1"))

    proxy.faults.clear()
    assert own() == watched.read(own().id)


# Names and tags


def test_one_secret_each(backend, told, names):
    """A user's token is one secret, named by its id, whatever is written; the header another."""
    vault = Vault(backend, KeyRing([bytes(32)]))

    saved = vault.save_token(Token(user="ana@x.com:6#\0", refresh_token="r", **FULL))
    vault.swap(saved.but(access_token="a"))

    name = saved.id.removeprefix("tk_")
    assert {HEADER, name} == set(names())
    all_of_it = json.dumps(told(name), default=str)
    assert "ana@" not in all_of_it
    assert "sealed by tokenkeep" in all_of_it


def test_what_lists_do_not_know_yet(watched, proxy, backend):
    """AWS lists changes minutes later: what is asked for by all that it is for is found."""
    proxy.faults["ListSecrets"] = ({"SecretList": []},)
    vault = Vault(watched, KeyRing([bytes(32)]))
    elsewhere = Vault(backend, KeyRing([bytes(32)]))
    saved = elsewhere.save_token(Token(user="ana", refresh_token="r", **FULL))

    user = backend.read(saved.id.removeprefix("tk_")).user
    assert [] == watched.find([("user", user)])
    assert saved == vault.find_token(Token(user="ana", **FULL))
    assert saved == vault.save_token(Token(user="ana", refresh_token="r", **FULL))


def test_what_lists_have_not_forgotten_yet(watched, proxy, backend, place):
    """What AWS lists is read before it is believed."""
    backend.write(own(user="ana", due_at=4.0), replaces=None)
    backend.write(own("two", user="ana"), replaces=None)
    tags = [{"Key": "tokenkeep:due:4.0", "Value": ""}]
    ids = [own(each).id for each in ("one thing", "two", "three")]
    listed = [{"Name": f"{place}/{each}", "Tags": tags} for each in ids]
    changed = own(version="2", user="bea", due_at=5.0)
    backend.write(changed, replaces=digits("1"))
    backend.delete(own("two").id)
    proxy.faults["ListSecrets"] = ({"SecretList": listed},)

    assert [] == found(watched, "user", "ana") == watched.due(4.5, 10)
    assert [] == watched.scan(None, 10, mark=("user", digits("ana")))
    assert [changed] == watched.scan(None, 10)


def test_other_peoples_secrets(backend, client, place, url):
    """What lies under the place and is not named as tokenkeep does is nobody's business."""
    for name in ("database", "a" * 31, "A" * 32, f"sub/{'a' * 32}"):
        client.create_secret(Name=f"{place}/{name}", SecretString="theirs")
    inner = open_backend(url.replace(place, f"{place}/sub2"))
    inner.write(own("inner"), replaces=None)
    backend.write(own(), replaces=None)

    assert [own()] == open_backend(url.replace(place, f"{place}/")).scan(None, 10)
    assert [own()] == backend.scan(None, 10)
    assert 1 == backend.clear()
    assert [own("inner")] == inner.scan(None, 10)
    assert "theirs" == client.get_secret_value(SecretId=f"{place}/database")["SecretString"]
    assert backend.describe() != inner.describe()


def test_the_kms_key(url, told):
    """New secrets get the key that is named."""
    backend = open_backend(with_options(url, kms_key_id="alias/tokens"))

    backend.write(own(), replaces=None)

    assert "alias/tokens" == told()["KmsKeyId"]


def test_an_id_is_an_owner(backend, names):
    """A record with another id is refused: nothing else would keep its owner its own."""
    with pytest.raises(StoreError, match="id is its owner"):
        backend.write(row("copied", owner="another"), replaces=None)

    assert [] == names()
