"""The keys of a store in Redis: records and index agree, whatever is done, and whoever did it."""

from __future__ import annotations

import random
from itertools import product

import pytest
from cases import FIRST, ID, digits, mark, record
from redis_keys import assert_consistent, key

from tokenkeep import KeyRing, StoreTampered, Token, Vault
from tokenkeep.backends import open_backend
from tokenkeep.backends.base import HEADER, MARKS
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.errors import StoreConflict, StoreForeign, StoreTooNew

# What is there, or was put there by somebody else


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


def test_keys(connect, backend, client, url):
    """All carry one hash tag, and none has an end; another prefix is another store."""
    other = connect(f"{url}?prefix=other")
    backend.write(record(due_at=1.5, **dict.fromkeys(MARKS, "mark")), replaces=None)
    backend.write(record(version="2", owner="new", refresh="r", due_at=2.5), replaces=FIRST)

    assert {each.decode() for each in client.scan_iter()} == set(map(key, KEYS))
    assert {client.ttl(key(each)) for each in KEYS} == {-1}
    assert_consistent(url)
    assert other.read(ID) is None
    assert other.describe() != backend.describe()

    backend.delete(ID)

    assert [key("format").encode()] == list(client.scan_iter())


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
        if (what, name) not in {("touch", "index"), ("clear", "index")}:
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


HEAD, OWNER = f"{FIRST} row 1 None", f"1{digits('of id')}:"


@pytest.mark.parametrize(
    "spoiled",
    [
        None,  # the record is gone, and its entries are left
        "soon",
        "\n\n\n",
        f"\n{HEAD}\n0:\n",  # no owner
        f"\n{HEAD}\n0: {OWNER} \n",
        f"soon\n{HEAD}\n0: {OWNER}\n",
        f"\n{FIRST} row one None\n0: {OWNER}\n",
        f"\n{FIRST} row 1 soon\n0: {OWNER}\n",
    ],
)
def test_spoiled_record(connect, client, url, spoiled):
    """A record that somebody edited is tampering for whoever opens it, and hides no other."""
    vault = Vault(connect(url), KeyRing([bytes(32)]))
    bad, good = (vault.save_token(Token(user=u, client_id="c", access_token=u)) for u in "ab")
    name = bad.id.removeprefix("tk_")
    client.hdel(key("record"), name)
    if spoiled is not None:
        client.hset(key("record"), name, spoiled)
    told = []

    assert [good] == list(vault.iter_tokens(on_error=told.append))
    assert [StoreTampered] == [type(each) for each in told]
    if spoiled is not None:
        with pytest.raises(StoreTampered):
            vault.find_token_by_id(bad.id)
        with pytest.raises(StoreConflict):
            vault.backend.write(record(id=name, owner="of b"), replaces=None)
        vault.delete_token(bad.id)
        assert [good] == list(vault.iter_tokens())


# The index


IDS = (HEADER, *map(digits, "abcdef"))
TEXTS = tuple("abcdef")
TIMES = (-2.5, -1.5, 0.0, 1.1, 2.0, 1795000000.123456)  # few, so that several are due at once
MARKED = tuple(mark(field, text) for field in MARKS for text in TEXTS)
ALL = (*MARKED, *(mark("owner", text) for text in TEXTS), *(("id", each) for each in IDS))


def change(chosen):
    """Return a change of a store, by chance."""
    one, version, then = chosen(IDS), chosen((None, *map(digits, "123"))), chosen(TIMES)
    values = {field: chosen((None, *TEXTS)) for field in MARKS}
    values |= {name: chosen((None, *TIMES)) for name in ("due_at", "last_used_at")}
    new = record(id=one, version=chosen("123"), owner=chosen(TEXTS), **values)

    def replace(backend):  # most random writes would be conflicts
        stored = backend.read(one)
        backend.write(new, replaces=stored and stored.version)

    changes = {
        replace: 6,
        lambda backend: backend.write(new, replaces=version): 2,
        lambda backend: backend.delete(one, replaces=version): 2,
        lambda backend: backend.touch(one, then): 2,
        lambda backend: backend.clear(): 1,
    }
    return chosen([each for each, times in changes.items() for _ in range(times)])


def outcome(backend, work):
    try:
        return work(backend)
    except StoreConflict:
        return StoreConflict


def by_id(records):
    return sorted(records, key=lambda each: each.id)


@pytest.mark.parametrize("seed", range(40))
def test_as_in_memory(backend, url, seed):
    """Whatever is done in whatever order, it ends as it does in memory."""
    rand, memory = random.Random(seed), MemoryBackend()

    for _ in range(25):
        work = change(rand.choice)
        assert outcome(memory, work) == outcome(backend, work)

    assert memory.scan(None, 100) == backend.scan(None, 100)
    for each, time in product(IDS, TIMES):
        one = rand.choice((None, *MARKED))
        assert memory.scan(each, 2, mark=one) == backend.scan(each, 2, mark=one)
        assert memory.due(2.0, 2, after=(time, each)) == backend.due(2.0, 2, after=(time, each))
        assert memory.due(time, 100) == backend.due(time, 100)
        question = rand.sample(ALL, rand.randrange(4))
        assert by_id(memory.find(question)) == by_id(backend.find(question))
    assert_consistent(url)


def test_a_part_of_a_value_finds_nothing(backend):
    """What values begin with is nobody's mark."""
    backend.write(record(access="a"), replaces=None)

    for value in ("", digits("a")[:-1], f"{digits('a')}0", ID[:-1]):
        assert backend.find([("access", value), ("owner", value), ("id", value)]) == []
        assert backend.scan(None, 10, mark=("access", value)) == []
    assert backend.find([mark("access", "a")]) == [record(access="a")]
