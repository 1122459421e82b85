"""Keys of a store in Redis that are not as tokenkeep left them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis_store import FIRST, ID, digits, key, mark, record

from tokenkeep.backends.redis import RedisBackend
from tokenkeep.errors import (
    StoreConflict,
    StoreForeign,
    StoreTampered,
    StoreTooNew,
)


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


def test_mark_is_gone(backend, client):
    """Records without the mark are not taken for ours."""
    backend.write(record(), replaces=None)
    client.delete(key("format"))

    with pytest.raises(StoreForeign):
        backend.write(record(version="2"), replaces=FIRST)
    assert client.exists(key("format")) == 0


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


def test_older_format(client, url):
    """Nor is one in a form that was left before anything was released."""
    client.set(key("format"), "tokenkeep 1")

    with pytest.raises(StoreForeign):
        RedisBackend(url)


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
