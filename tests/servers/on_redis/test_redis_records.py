"""The keys of a store in Redis: records and index agree, whatever is done, and whoever did it."""

from __future__ import annotations

import pytest
from cases import FIRST, ID, digits, mark, record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis_keys import assert_consistent, client_of, key

from tokenkeep.backends import open_backend
from tokenkeep.backends.base import HEADER, MARKS
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.errors import StoreConflict, StoreForeign, StoreTampered, StoreTooNew

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


# The index


IDS = (HEADER, *map(digits, "abcdef"))
TEXTS = tuple("abcdef")
VERSIONS = ("1", "2", "3")
TIMES = (-2.5, -1.5, 0.0, 1.1, 2.0, 1795000000.123456)  # few, so that several are due at once

records = st.builds(
    record,
    id=st.sampled_from(IDS),
    version=st.sampled_from(VERSIONS),
    owner=st.sampled_from(TEXTS),
    sealed=st.binary(max_size=5),
    due_at=st.none() | st.sampled_from(TIMES) | st.floats(0, 10),
    last_used_at=st.none() | st.floats(0, 10),
    **dict.fromkeys(MARKS, st.none() | st.sampled_from(TEXTS)),
)
versions = st.none() | st.sampled_from(VERSIONS).map(digits)
steps = st.one_of(
    st.tuples(st.just("write"), records, versions),
    st.tuples(st.just("write"), records, st.just("stored")),
    st.tuples(st.just("delete"), st.sampled_from(IDS), versions),
    st.tuples(st.just("touch"), st.sampled_from(IDS), st.floats(0, 10)),
    st.tuples(st.just("clear")),
)
mark_values = st.tuples(st.sampled_from(MARKS), st.sampled_from(TEXTS).map(digits))
others = st.tuples(st.just("id"), st.sampled_from(IDS))
others |= st.tuples(st.just("owner"), st.sampled_from(TEXTS).map(digits))


def outcome(backend, change):
    name, *args = change
    try:
        if name == "write":
            new, replaces = args
            if replaces == "stored":  # most random writes would be conflicts
                stored = backend.read(new.id)
                replaces = stored and stored.version
            return backend.write(new, replaces=replaces)
        if name == "delete":
            return backend.delete(args[0], replaces=args[1])
        return getattr(backend, name)(*args)
    except StoreConflict:
        return StoreConflict


def by_id(records):
    return sorted(records, key=lambda each: each.id)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(steps, max_size=25),
    st.lists(st.lists(mark_values | others, max_size=4), max_size=5),
)
def test_as_in_memory(backend, client, url, script, asked):
    """Whatever is done in whatever order, it ends as it does in memory."""
    memory = MemoryBackend()
    client.flushdb()
    listed = [one for question in asked for one in question if one[0] in MARKS]

    for change in script:
        assert outcome(memory, change) == outcome(backend, change)

    assert memory.scan(None, 100) == backend.scan(None, 100)
    for each in IDS:
        for one in (None, *listed):
            assert memory.scan(each, 2, mark=one) == backend.scan(each, 2, mark=one)
        for time in TIMES:
            after = time, each
            assert memory.due(2.0, 2, after=after) == backend.due(2.0, 2, after=after)
            assert memory.due(time, 100) == backend.due(time, 100)
    for question in asked:
        assert by_id(memory.find(question)) == by_id(backend.find(question))
    assert_consistent(url)


@pytest.fixture
def eight(backend):
    """Records that are due together, of one user."""
    records = by_id(record(name, user="u", access=name, due_at=2.0) for name in "abcdefgh")
    for each in records:
        backend.write(each, replaces=None)
    return records


def assert_listed(backend, records):
    after = (2.0, records[1].id)
    for limit in range(1, 10):
        assert backend.scan(None, limit) == records[:limit]
        assert backend.scan(None, limit, mark=mark("user", "u")) == records[:limit]
        assert backend.due(2.0, limit) == records[:limit]
        assert backend.due(2.0, limit, after=after) == records[2:][:limit]


def test_a_part_of_a_value_finds_nothing(backend, eight):
    """What values begin with is nobody's mark."""
    for value in ("", eight[0].access[:-1], f"{eight[0].access}0"):
        assert backend.find([("access", value), ("owner", value), ("id", value)]) == []
        assert backend.scan(None, 10, mark=("access", value)) == []


def test_entries_that_are_nobodys(backend, url, connect, eight):
    """Entries without their record, or of another value than it has, are nothing to anybody."""
    theirs = connect(f"{url}?prefix=theirs")
    for wrong in (
        record("a", user="v", access="b", owner="new", due_at=1.0),
        record("none", user="u"),
    ):
        theirs.write(wrong, replaces=None)
    with client_of(url) as client:
        entries = client.zrange(key("index", "theirs"), 0, -1)
        client.zadd(key("index"), dict.fromkeys(entries, 0))

    assert_listed(backend, eight)
    assert backend.find([mark("user", "v"), mark("access", "b")]) == [eight[1]]
    backend.write(record("none", owner="new"), replaces=None)
    with pytest.raises(StoreConflict):
        backend.write(record("third", owner="of b"), replaces=None)


def test_a_lost_index(backend, client, url, eight):
    """Without its entries a record is still found by its id, and whole again when written."""
    client.delete(key("index"))

    assert backend.read(eight[0].id) == eight[0]
    assert backend.find([("id", each.id) for each in eight]) == eight
    for each in eight:
        backend.write(each, replaces=each.version)
    assert_listed(backend, eight)
    assert_consistent(url)
