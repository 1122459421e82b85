"""The keys of a store in Redis; and what is said when they are not as tokenkeep left them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cases import FIRST, ID, digits, mark, record
from redis_keys import assert_consistent, key

from tokenkeep.backends.base import MARKS
from tokenkeep.backends.redis import RedisBackend
from tokenkeep.errors import StoreConflict, StoreForeign, StoreTampered, StoreTooNew


def test_keys(backend, client):
    """All keys carry one hash tag, and none of them an end."""
    backend.write(record(due_at=1.5, **dict.fromkeys(MARKS, "mark")), replaces=None)

    keys = {each.decode() for each in client.scan_iter()}
    names = ("format", "record", "id", "owner", "due", *MARKS)
    assert keys == {key(name) for name in names}
    assert {client.ttl(each) for each in keys} == {-1}


def test_nothing_is_left(backend, client, url):
    """After the last record is gone there is nothing but the mark."""
    backend.write(record(access="a", user="u", due_at=1.5), replaces=None)
    backend.write(record(version="2", owner="new", refresh="r", due_at=2.5), replaces=FIRST)
    assert_consistent(url)

    backend.delete(ID)

    assert [key("format").encode()] == list(client.scan_iter())


def test_prefixes_are_stores(url):
    """Stores with other prefixes in the same database know nothing of each other."""
    one, other = RedisBackend(url), RedisBackend(f"{url}", prefix="other")
    one.write(record(), replaces=None)
    other.write(record(version="other"), replaces=None)

    assert 1 == one.clear()

    assert other.scan(None, 10) == [record(version="other")]
    assert one.describe() != other.describe()
    one.close()
    other.close()


@pytest.mark.parametrize("name", ["record", "id", "owner", "user", "access", "due", "format"])
@pytest.mark.parametrize("kind", ["text", "list"])
def test_foreign_keys(url, client, name, kind):
    """Keys that another program made are named, and not a bit of them changes."""
    if kind == "text":
        client.set(key(name), "theirs")
    else:
        client.rpush(key(name), "theirs")
    before = client.dump(key(name))

    with pytest.raises(StoreForeign, match=r"\{tokenkeep\}"):
        RedisBackend(url)

    assert before == client.dump(key(name))


@pytest.mark.parametrize("name", ["record", "id", "owner", "user", "access", "due", "format"])
def test_spoiled_while_open(backend, client, name):
    """A key of another type under an open store stops a change of it before it begins."""
    old = record(user="u", access="a", due_at=1.5)
    backend.write(old, replaces=None)
    client.delete(key(name))
    client.set(key(name), "theirs")
    before = {each: client.dump(each) for each in client.scan_iter()}

    changes = [
        lambda: backend.write(replace(old, id=digits("new"), owner=digits("new")), replaces=None),
        lambda: backend.write(
            record(version="2", owner="new", user="v", access="b", due_at=2.5), replaces=FIRST
        ),
        lambda: backend.delete(ID),
        backend.clear,
    ]
    for change in changes:
        with pytest.raises(StoreForeign):
            change()

    assert before == {each: client.dump(each) for each in client.scan_iter()}


@pytest.mark.parametrize("format", [None, "tokenkeep 1"], ids=["gone", "older"])
def test_no_mark_of_ours(backend, client, url, format):  # noqa: A002 - its name in Redis
    """Records without the mark, or with one from before the first release, are not ours."""
    backend.write(record(), replaces=None)
    client.delete(key("format"))
    if format:
        client.set(key("format"), format)

    for ask in (
        lambda: RedisBackend(url),
        lambda: backend.write(record(version="2"), replaces=FIRST),
    ):
        with pytest.raises(StoreForeign):
            ask()
    assert client.exists(key("format")) == bool(format)


def test_newer_format(backend, client, url):
    """A store of a newer tokenkeep is refused, also by who had it open before."""
    backend.write(record(), replaces=None)
    client.set(key("format"), "tokenkeep 3")

    for change in (
        lambda: RedisBackend(url),
        lambda: backend.write(record(version="2"), replaces=FIRST),
        lambda: backend.delete(ID),
        lambda: backend.touch(ID, 5.0),
        backend.clear,
    ):
        with pytest.raises(StoreTooNew, match=r"format 3\)"):
            change()

    assert backend.read(ID) == record()


def test_emptied_while_open(backend, client):
    """After a FLUSHALL the store is an empty one, which goes on working."""
    backend.write(record(), replaces=None)
    client.flushdb()

    with pytest.raises(StoreConflict):
        backend.write(record(version="2"), replaces=FIRST)
    backend.write(record(), replaces=None)

    assert RedisBackend(backend._server.url.plain).read(ID) == record()


@pytest.mark.parametrize(
    "spoiled",
    [
        b"",
        b"soon",
        b"\n\n",
        b"\n[]\n",
        b"\n{}\n",
        b"\nnull\n",
        b"soon\n[]\n",
        b'\n["1","of id",["u"],null,null,null,null,null,null,null,"row",1]\n',
        b'soon\n["1","of id",null,null,null,null,null,null,null,null,"row",1]\n',
    ],
)
def test_spoiled_record(backend, client, spoiled):
    """A record that somebody edited is tampering for whoever reads it; it can be deleted."""
    backend.write(record(user="u"), replaces=None)
    client.hset(key("record"), ID, spoiled)

    for ask in (
        lambda: backend.read(ID),
        lambda: backend.find([mark("user", "u")]),
        lambda: backend.scan(None, 10),
    ):
        with pytest.raises(StoreTampered, match="changed outside tokenkeep"):
            ask()
    backend.touch(ID, 5.0)
    assert backend.delete(ID) is True
    assert backend.scan(None, 10) == []
    backend.write(record(user="u"), replaces=None)
    assert backend.find([mark("user", "u")]) == [record(user="u")]


def test_spoiled_record_is_not_replaced(backend, client):
    """Nobody writes over a record of which the version can't be told."""
    backend.write(record(), replaces=None)
    client.hset(key("record"), ID, b"soon")

    for change in (
        lambda: backend.write(record(version="2"), replaces=FIRST),
        lambda: backend.delete(ID, replaces=FIRST),
    ):
        with pytest.raises(StoreTampered):
            change()
    assert b"soon" == client.hget(key("record"), ID)
