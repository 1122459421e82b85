"""Keys of a store in Redis that are not as tokenkeep left them."""

from __future__ import annotations

import pytest
from redis_store import key, record

from tokenkeep.backends.redis import RedisBackend
from tokenkeep.errors import (
    StoreConflict,
    StoreError,
    StoreForeign,
    StoreTampered,
    StoreTooNew,
)


@pytest.mark.parametrize("name", ["record", "id", "identity", "user", "access", "format"])
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


@pytest.mark.parametrize("name", ["record", "id", "user", "access", "format"])
def test_spoiled_while_open(backend, client, name):
    """A key of another type under an open store stops a change of it before it begins."""
    old = record(user="u", access="a")
    backend.write(old, replaces=None)
    client.delete(key(name))
    client.set(key(name), "theirs")
    before = {each: client.dump(each) for each in client.scan_iter()}

    changes = [
        lambda: backend.write(record("new", user="u", access="a"), replaces=None),
        lambda: backend.delete("id"),
        backend.clear,
    ]
    if name != "id":  # which a replacement leaves alone
        new = record(version="2", user="v", access="b")
        changes.append(lambda: backend.write(new, replaces="1"))
    for change in changes:
        with pytest.raises(StoreForeign):
            change()

    assert before == {each: client.dump(each) for each in client.scan_iter()}


def test_mark_is_gone(backend, client):
    """Records without the mark are not taken for ours."""
    backend.write(record(), replaces=None)
    client.delete(key("format"))

    with pytest.raises(StoreForeign):
        backend.write(record(version="2"), replaces="1")
    assert client.exists(key("format")) == 0


def test_newer_format(backend, client, url):
    """A store of a newer tokenkeep is refused, also by who had it open before."""
    backend.write(record(), replaces=None)
    client.set(key("format"), "tokenkeep 2")

    for change in (
        lambda: RedisBackend(url),
        lambda: backend.write(record(version="2"), replaces="1"),
        lambda: backend.delete("id"),
        lambda: backend.touch("id", 5.0),
        backend.clear,
    ):
        with pytest.raises(StoreTooNew, match=r"format 2\)"):
            change()

    assert backend.read("id") == record()


def test_emptied_while_open(backend, client):
    """After a FLUSHALL the store is an empty one, which goes on working."""
    backend.write(record(), replaces=None)
    client.flushdb()

    with pytest.raises(StoreConflict):
        backend.write(record(version="2"), replaces="1")
    backend.write(record(), replaces=None)

    assert RedisBackend(backend._server.url.plain).read("id") == record()


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
        b'\n["1","of id",["u"],null,null,null,"key",null,null,null,null,null,null,null,null]\n',
        b'soon\n["1","of id",null,null,null,null,"key",null,null,null,null,null,null,null,null]\n',
    ],
)
def test_spoiled_record(backend, client, spoiled):
    """A record that somebody edited is tampering for whoever reads it; it can be deleted."""
    backend.write(record(user="u"), replaces=None)
    client.hset(key("record"), "id", spoiled)

    for ask in (
        lambda: backend.read("id"),
        lambda: backend.find("user", ["u"]),
        lambda: backend.scan(None, 10),
    ):
        with pytest.raises(StoreTampered, match="changed outside tokenkeep"):
            ask()
    backend.touch("id", 5.0)
    assert backend.delete("id") is True
    assert backend.scan(None, 10) == []
    backend.write(record(user="u"), replaces=None)
    assert backend.find("user", ["u"]) == [record(user="u")]


def test_spoiled_record_is_not_replaced(backend, client):
    """Nobody writes over a record of which the version can't be told."""
    backend.write(record(), replaces=None)
    client.hset(key("record"), "id", b"soon")

    for change in (
        lambda: backend.write(record(version="2"), replaces="1"),
        lambda: backend.delete("id", replaces="1"),
    ):
        with pytest.raises(StoreTampered):
            change()
    assert b"soon" == client.hget(key("record"), "id")


def test_lone_surrogate(backend):
    """A text that is no Unicode is an error of ours, whatever it was given for."""
    backend.write(record(), replaces=None)
    for ask in (
        lambda: backend.read("\ud800"),
        lambda: backend.find("user", ["ana", "\udc80"]),
        lambda: backend.scan("\ud800", 10),
        lambda: backend.write(record("\ud800"), replaces=None),
        lambda: backend.write(record(user="\ud800"), replaces="1"),
        lambda: backend.delete("\ud800"),
        lambda: backend.touch("\ud800", 5.0),
    ):
        with pytest.raises(StoreError, match="surrogate"):
            ask()
    assert backend.read("id") == record()
