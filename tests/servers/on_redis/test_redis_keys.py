"""The keys of a store in Redis; and what is said when they are not as tokenkeep left them."""

from __future__ import annotations

import pytest
from cases import FIRST, ID, digits, mark, record
from redis_keys import assert_consistent, key

from tokenkeep.backends import open_backend
from tokenkeep.backends.base import HEADER, MARKS
from tokenkeep.errors import StoreConflict, StoreForeign, StoreTampered, StoreTooNew

KEYS = ("format", "record", "index")


def changes(backend):
    """Return what changes a store, one call each."""
    return {
        "insert": lambda: backend.write(record("new"), replaces=None),
        "replace": lambda: backend.write(record(version="2", user="v"), replaces=FIRST),
        "delete": lambda: backend.delete(ID),
        "touch": lambda: backend.touch(ID, 5.0),
        "clear": backend.clear,
    }


def dumped(client):
    return {each: client.dump(each) for each in client.scan_iter()}


def test_keys(backend, client, url):
    """All keys carry one hash tag, and none of them an end; after the last record one is left."""
    backend.write(record(due_at=1.5, **dict.fromkeys(MARKS, "mark")), replaces=None)
    backend.write(record(version="2", owner="new", refresh="r", due_at=2.5), replaces=FIRST)

    assert {each.decode() for each in client.scan_iter()} == set(map(key, KEYS))
    assert {client.ttl(key(each)) for each in KEYS} == {-1}
    assert_consistent(url)

    backend.delete(ID)

    assert [key("format").encode()] == list(client.scan_iter())


def test_prefixes_are_stores(connect, url):
    """Stores with other prefixes in the same database know nothing of each other."""
    one, other = connect(url), connect(f"{url}?prefix=other")
    one.write(record(), replaces=None)
    other.write(record(version="other"), replaces=None)

    assert 1 == one.clear()

    assert other.scan(None, 10) == [record(version="other")]
    assert one.describe() != other.describe()


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("is_open", [False, True])
def test_foreign_keys(url, connect, client, name, is_open):
    """A key that another program made is named, and nothing changes, however late it appears."""
    if is_open:
        backend = connect(url)
        backend.write(record(user="u", access="a", due_at=1.5), replaces=None)
        client.delete(key(name))
    client.set(key(name), "theirs")
    before = dumped(client)

    asked = changes(backend) if is_open else {"open": lambda: open_backend(url)}
    for what, ask in asked.items():
        if (what, name) != ("touch", "index"):
            with pytest.raises(StoreForeign, match=r"\{tokenkeep\}"):
                ask()

    assert before == dumped(client)


@pytest.mark.parametrize(
    ("mark", "error"),
    [
        (None, StoreForeign),
        ("tokenkeep 2", StoreForeign),
        ("theirs", StoreForeign),
        ("tokenkeep 4", StoreTooNew),
    ],
)
def test_another_format(backend, client, url, mark, error):
    """Records without our mark, too old or too new are refused, also where the store was open."""
    backend.write(record(), replaces=None)
    client.delete(key("format"))
    if mark:
        client.set(key("format"), mark)
    before = dumped(client)

    for ask in (lambda: open_backend(url), *changes(backend).values()):
        with pytest.raises(error, match=r"format 4\)" if error is StoreTooNew else "did not make"):
            ask()

    assert before == dumped(client)
    assert backend.read(ID) == record()


def test_emptied_while_open(backend, client):
    """After a FLUSHALL the store is an empty one, which goes on working."""
    backend.write(record(), replaces=None)
    client.flushdb()

    with pytest.raises(StoreConflict):
        backend.write(record(version="2"), replaces=FIRST)
    backend.write(record(), replaces=None)

    assert backend.read(ID) == record()


HEAD, OWNER = f"{FIRST} row 1 None", f"1{digits('of id')}:"


@pytest.mark.parametrize(
    "spoiled",
    [
        "soon",
        "\n\n\n",
        f"\n{HEAD}\n0:\n",  # no owner
        f"\n{HEAD}\n0: {OWNER} 0x:\n",
        f"\n{HEAD}\n0: {OWNER} x:\n",
        f"\n{HEAD}\n0: {OWNER} \n",
        f"soon\n{HEAD}\n0: {OWNER}\n",
        f"\n{FIRST} row one None\n0: {OWNER}\n",
        f"\n{FIRST} row 1 soon\n0: {OWNER}\n",
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
    """Nobody writes over a record of which the version can't be told, and no header is lost."""
    for name in (ID, HEADER):
        backend.write(record(id=name, owner=name), replaces=None)
        client.hset(key("record"), name, b"soon")

    for change in (
        lambda: backend.write(record(version="2"), replaces=FIRST),
        lambda: backend.delete(ID, replaces=FIRST),
        lambda: backend.write(record(version="2"), replaces=None),
    ):
        with pytest.raises(StoreConflict):
            change()
    assert b"soon" == client.hget(key("record"), ID)
    assert backend.clear() == 1
    assert {HEADER.encode(): b"soon"} == client.hgetall(key("record"))
