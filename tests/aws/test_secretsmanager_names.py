"""Secrets Manager: names and tags, lists that are out of date, and one record for each thing."""

from __future__ import annotations

import functools
import json
import re

import pytest
from aws_proxy import refusal
from aws_records import FULL, own

from tokenkeep import (
    KeyRing,
    StoreConflict,
    StoreUnavailable,
    Token,
    Vault,
)
from tokenkeep.backends import aws_secret_rows, open_backend
from tokenkeep.testing._contract_workers import in_processes, record

# Names and tags


def test_one_secret_each(backend, client, names, prefix):
    """A user's token is one secret, named by its id, whatever is written."""
    vault = Vault(backend, KeyRing([bytes(32)]))

    saved = vault.save_token(Token(user="ana@x.com:6#\0", refresh_token="r", **FULL))
    vault.swap(saved.but(access_token="a"))

    assert [f"{prefix}/{saved.id}"] == names()
    told = json.dumps(client.describe_secret(SecretId=names()[0]), default=str)
    assert "ana@" not in told
    assert "sealed by tokenkeep" in told


def test_two_hosts_make_one(url, names):
    """Processes that log the same user in at once make one secret."""
    ids = in_processes(_log_in, functools.partial(open_backend, url), 4)

    assert 1 == len(set(ids)) == len(names())


def _log_in(backend, number):
    vault = Vault(backend, KeyRing([bytes(32)]))
    return vault.save_token(Token(user="ana", refresh_token=f"r{number}", **FULL)).id


def test_processes_learn_the_user(url, backend, names):
    """A row without a user becomes a pointer to its user's, whoever learns of it, and only one."""
    vault = Vault(backend, KeyRing([bytes(32)]), max_staleness=0.0)
    nameless = vault.save_token(Token(refresh_token="r", access_token="a", **FULL))

    ids = in_processes(_learn, functools.partial(open_backend, url), 4)

    (named,) = vault.get_tokens()
    assert {named.id} == set(ids)
    assert ("ana", "r", "a") == (named.user, named.refresh_token, named.access_token)
    assert named == vault.find_token_by_id(nameless.id)
    assert 2 == len(names())


def _learn(backend, _):
    vault = Vault(backend, KeyRing([bytes(32)]))
    (nameless,) = [each for each in vault.iter_rows() if not each.user]
    return vault.save_token(
        Token(user="ana", refresh_token="r", access_token="a", **FULL, id=nameless.id)
    ).id


@pytest.mark.parametrize("text", ["a b", "ana@example.com:6000123", "\U0001f511", "x" * 1000, ""])
def test_tags_take_any_user(backend, client, names, text):
    """A tag allows few characters and 128 of them; a user has any."""
    backend.write(own(user=text), replaces=None)

    assert [own(user=text)] == backend.find("user", [text])
    (tag,) = client.describe_secret(SecretId=names()[0])["Tags"]
    assert re.fullmatch(r"tokenkeep:user:[0-9a-f]{64}", tag["Key"])


def test_what_lists_do_not_know_yet(watched, proxy, backend):
    """AWS lists changes minutes later: their writer finds them, others find by what it is for."""
    proxy.faults["ListSecrets"] = ({"SecretList": []},)
    vault = Vault(watched, KeyRing([bytes(32)]), max_staleness=0.0)
    elsewhere = Vault(backend, KeyRing([bytes(32)]))
    saved = elsewhere.save_token(Token(user="ana", refresh_token="r", **FULL))

    assert [] == watched.find("user", ["ana"])
    assert saved == vault.find_token(Token(user="ana", **FULL))
    assert saved == vault.save_token(Token(user="ana", refresh_token="r", **FULL))
    watched.write(own(user="bea"), replaces=None)
    assert [own(user="bea")] == watched.find("user", ["bea"])


def test_what_lists_have_not_forgotten_yet(watched, proxy, backend, prefix):
    """What AWS lists is read before it is believed."""
    backend.write(own(user="ana"), replaces=None)
    backend.write(own("two", user="ana"), replaces=None)
    names = [{"Name": f"{prefix}/{own(each).id}"} for each in ("one thing", "two", "three")]
    backend.write(own(version="2", user="bea"), replaces="1")
    backend.delete(own("two").id)
    proxy.faults["ListSecrets"] = ({"SecretList": names},)

    assert [] == watched.find("user", ["ana"])
    assert [own(version="2", user="bea")] == watched.scan(None, 10)


def test_more_names_than_a_page(backend, names):
    """Pages go through hundreds of secrets in the order of their ids, few names in memory."""
    ids = sorted(own(str(n)).id for n in range(130))
    for n in range(130):
        backend.write(own(str(n)), replaces=None)
    backend.write(record("not of our kind"), replaces=None)

    pages = [backend.scan(None, 50)]
    while pages[-1]:
        pages.append(backend.scan(pages[-1][-1].id, 50))

    assert [*ids, "not of our kind"] == [each.id for page in pages for each in page]
    assert len(names()) >= 100


def test_other_peoples_secrets(backend, client, prefix, url):
    """What lies under the prefix and is not named as tokenkeep does is nobody's business."""
    for name in ("database", f"{'a' * 31}", "x0", f"sub/{'a' * 32}"):
        client.create_secret(Name=f"{prefix}/{name}", SecretString="theirs")
    inner = open_backend(url.replace(prefix, f"{prefix}/sub2"))
    inner.write(own("inner"), replaces=None)
    backend.write(own(), replaces=None)

    assert [own()] == backend.scan(None, 10)
    assert 1 == backend.clear()
    assert [own("inner")] == inner.scan(None, 10)
    assert "theirs" == client.get_secret_value(SecretId=f"{prefix}/database")["SecretString"]
    assert backend.describe() != inner.describe()


# An identity has one record, whatever its id


def test_an_identity_taken_by_a_copied_record(backend):
    """A record with another id has its identity as any: in both orders nobody else gets it."""
    backend.write(record("copied", identity="one thing"), replaces=None)

    with pytest.raises(StoreConflict):
        backend.write(own(), replaces=None)
    with pytest.raises(StoreConflict):
        backend.write(record("another", identity="one thing"), replaces=None)
    assert [record("copied", identity="one thing")] == backend.find("identity", ["one thing"])
    backend.delete("copied")
    backend.write(own(), replaces=None)
    with pytest.raises(StoreConflict):
        backend.write(record("copied", identity="one thing"), replaces=None)

    assert [own()] == backend.scan(None, 10) == backend.find("identity", ["one thing"])


def test_copied_and_made_at_once(url, backend):
    """Processes that insert the same thing under ids of both kinds: one of them does."""
    won = in_processes(_insert, functools.partial(open_backend, url), 4)

    assert [False, False, False, True] == sorted(won)
    assert 1 == len(backend.scan(None, 10)) == len(backend.find("identity", ["one thing"]))


def _insert(backend, number):
    mine = own() if number % 2 else record(f"copied {number}", identity="one thing")
    try:
        backend.write(mine, replaces=None)
    except StoreConflict:
        return False
    return True


def test_a_copy_that_was_given_up(watched, proxy, backend, monkeypatch):
    """An identity taken for a record that never came is free after a minute, not before."""
    proxy.faults["CreateSecret"] = [None, *[refusal("InternalServiceError", status=500)] * 9]
    with pytest.raises(StoreUnavailable):
        watched.write(record("copied", identity="one thing"), replaces=None)

    with pytest.raises(StoreConflict):
        backend.write(own(), replaces=None)
    assert [] == backend.find("identity", ["one thing"]) == backend.scan(None, 10)
    monkeypatch.setattr(aws_secret_rows, "ABANDONED", -60.0)
    backend.write(own(), replaces=None)

    assert [own()] == backend.find("identity", ["one thing"])
