"""Secrets Manager: names and tags, lists that are out of date, and one record for each thing."""

from __future__ import annotations

import functools
import json

import pytest
from aws_proxy import refusal
from aws_records import FULL, found, own, row

from tokenkeep import (
    KeyRing,
    StoreConflict,
    StoreUnavailable,
    Token,
    Vault,
)
from tokenkeep.backends import aws_secret_rows, open_backend
from tokenkeep.backends.base import HEADER
from tokenkeep.testing._contract_workers import digits, in_processes

# Names and tags


def test_one_secret_each(backend, client, names, prefix):
    """A user's token is one secret, named by its id, whatever is written; the header another."""
    vault = Vault(backend, KeyRing([bytes(32)]))

    saved = vault.save_token(Token(user="ana@x.com:6#\0", refresh_token="r", **FULL))
    vault.swap(saved.but(access_token="a"))

    name = f"{prefix}/{saved.id.removeprefix('tk_')}"
    assert {f"{prefix}/{HEADER}", name} == set(names())
    told = json.dumps(client.describe_secret(SecretId=name), default=str)
    assert "ana@" not in told
    assert "sealed by tokenkeep" in told


def test_two_hosts_make_one(url, names):
    """Processes that log the same user in at once make one secret, and one header."""
    ids = in_processes(_log_in, functools.partial(open_backend, url), 4)

    assert (1, 2) == (len(set(ids)), len(names()))


def _log_in(backend, number):
    vault = Vault(backend, KeyRing([bytes(32)]))
    return vault.save_token(Token(user="ana", refresh_token=f"r{number}", **FULL)).id


def test_processes_learn_the_user(url, backend, names):
    """A row without a user becomes an alias of its user's, whoever learns of it, and only one."""
    vault = Vault(backend, KeyRing([bytes(32)]), max_staleness=0.0)
    nameless = vault.save_token(Token(refresh_token="r", access_token="a", **FULL))

    learn = functools.partial(_learn, nameless.id)

    ids = in_processes(learn, functools.partial(open_backend, url), 4)

    (named,) = vault.get_tokens()
    assert {named.id} == set(ids)
    assert ("ana", "r", "a") == (named.user, named.refresh_token, named.access_token)
    assert named == vault.find_token_by_id(nameless.id)
    assert 3 == len(names())  # the header, too


def _learn(token_id, backend, _):
    vault = Vault(backend, KeyRing([bytes(32)]))
    return vault.save_token(
        Token(user="ana", refresh_token="r", access_token="a", **FULL, id=token_id)
    ).id


def test_tags_are_marks_and_times(backend, client, names):
    """There is a tag for each mark, and one that only a record with a due time has."""
    backend.write(own(user="u", due_at=1_790_000_000.25), replaces=None)

    tags = client.describe_secret(SecretId=names()[0])["Tags"]

    told = {f"tokenkeep:user:{digits('u')}": "", "tokenkeep:due:1790000000.25": ""}
    assert told == {each["Key"]: each["Value"] for each in tags}


def test_what_lists_do_not_know_yet(watched, proxy, backend):
    """AWS lists changes minutes later: their writer finds them, others find by what it is for."""
    proxy.faults["ListSecrets"] = ({"SecretList": []},)
    vault = Vault(watched, KeyRing([bytes(32)]), max_staleness=0.0)
    elsewhere = Vault(backend, KeyRing([bytes(32)]))
    saved = elsewhere.save_token(Token(user="ana", refresh_token="r", **FULL))

    user = backend.read(saved.id.removeprefix("tk_")).user
    assert [] == watched.find([("user", user)])
    assert saved == vault.find_token(Token(user="ana", **FULL))
    assert saved == vault.save_token(Token(user="ana", refresh_token="r", **FULL))
    bea = own(user="bea", due_at=5.0)
    watched.write(bea, replaces=None)
    assert [bea] == found(watched, "user", "bea") == watched.due(5.0, 10)
    assert [bea] == watched.scan(None, 10, mark=("user", digits("bea")))


def test_what_lists_have_not_forgotten_yet(watched, proxy, backend, prefix):
    """What AWS lists is read before it is believed."""
    backend.write(own(user="ana", due_at=4.0), replaces=None)
    backend.write(own("two", user="ana"), replaces=None)
    tags = [{"Key": "tokenkeep:due:4.0", "Value": ""}]
    ids = [own(each).id for each in ("one thing", "two", "three")]
    listed = [{"Name": f"{prefix}/{each}", "Tags": tags} for each in ids]
    changed = own(version="2", user="bea", due_at=5.0)
    backend.write(changed, replaces=digits("1"))
    backend.delete(own("two").id)
    proxy.faults["ListSecrets"] = ({"SecretList": listed},)

    assert [] == found(watched, "user", "ana") == watched.due(4.5, 10)
    assert [] == watched.scan(None, 10, mark=("user", digits("ana")))
    assert [changed] == watched.scan(None, 10)


def test_what_is_not_due_is_not_read(watched, proxy):
    """AWS's list says when each is due; only those whose time has come are read."""
    for n in range(5):
        watched.write(own(str(n), due_at=float(n)), replaces=None)
    watched.write(own("never"), replaces=None)
    proxy.requests.clear()

    assert [0.0, 1.0] == [each.due_at for each in watched.due(1.5, 10)]

    assert ["ListSecrets", "BatchGetSecretValue"] == proxy.operations()
    assert 2 == len(proxy.sent("BatchGetSecretValue")[0]["SecretIdList"])


def test_more_names_than_a_page(backend, names):
    """Pages go through hundreds of secrets in the order of their ids, few names in memory."""
    ids = sorted(own(str(n)).id for n in range(130))
    for n in range(130):
        backend.write(own(str(n)), replaces=None)

    pages = [backend.scan(None, 50)]
    while pages[-1]:
        pages.append(backend.scan(pages[-1][-1].id, 50))

    assert ids == [each.id for page in pages for each in page]
    assert len(names()) >= 100


def test_other_peoples_secrets(backend, client, prefix, url):
    """What lies under the prefix and is not named as tokenkeep does is nobody's business."""
    for name in ("database", "a" * 31, "A" * 32, f"sub/{'a' * 32}"):
        client.create_secret(Name=f"{prefix}/{name}", SecretString="theirs")
    inner = open_backend(url.replace(prefix, f"{prefix}/sub2"))
    inner.write(own("inner"), replaces=None)
    backend.write(own(), replaces=None)

    assert [own()] == backend.scan(None, 10)
    assert 1 == backend.clear()
    assert [own("inner")] == inner.scan(None, 10)
    assert "theirs" == client.get_secret_value(SecretId=f"{prefix}/database")["SecretString"]
    assert backend.describe() != inner.describe()


# An owner has one record, whatever its id


def test_an_owner_taken_by_a_copied_record(backend):
    """A record with another id has its owner as any: in both orders nobody else gets it."""
    backend.write(row("copied", owner="one thing"), replaces=None)

    with pytest.raises(StoreConflict):
        backend.write(own(), replaces=None)
    with pytest.raises(StoreConflict):
        backend.write(row("another", owner="one thing"), replaces=None)
    assert [row("copied", owner="one thing")] == found(backend, "owner", "one thing")
    backend.delete(row("copied").id)
    backend.write(own(), replaces=None)
    with pytest.raises(StoreConflict):
        backend.write(row("copied", owner="one thing"), replaces=None)

    assert [own()] == backend.scan(None, 10) == found(backend, "owner", "one thing")


def test_copied_and_made_at_once(url, backend):
    """Processes that insert the same thing under ids of both kinds: one of them does."""
    won = in_processes(_insert, functools.partial(open_backend, url), 4)

    assert [False, False, False, True] == sorted(won)
    assert 1 == len(backend.scan(None, 10)) == len(found(backend, "owner", "one thing"))


def _insert(backend, number):
    mine = own() if number % 2 else row(f"copied {number}", owner="one thing")
    try:
        backend.write(mine, replaces=None)
    except StoreConflict:
        return False
    return True


def test_a_copy_that_was_given_up(watched, proxy, backend, monkeypatch):
    """An owner taken for a record that never came is free after a minute, not before."""
    proxy.faults["CreateSecret"] = [None, *[refusal("InternalServiceError", status=500)] * 9]
    with pytest.raises(StoreUnavailable):
        watched.write(row("copied", owner="one thing"), replaces=None)

    with pytest.raises(StoreConflict):
        backend.write(own(), replaces=None)
    assert [] == found(backend, "owner", "one thing") == backend.scan(None, 10)
    monkeypatch.setattr(aws_secret_rows, "ABANDONED", -60.0)
    backend.write(own(), replaces=None)

    assert [own()] == found(backend, "owner", "one thing")
