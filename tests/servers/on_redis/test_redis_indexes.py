"""Records and index in Redis agree: after anything, and where somebody damaged the index."""

from __future__ import annotations

import pytest
from cases import digits, mark, record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis_keys import assert_consistent, client_of, key

from tokenkeep.backends.base import HEADER, MARKS
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.errors import StoreConflict

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
changes = st.one_of(
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
    st.lists(changes, max_size=25),
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
