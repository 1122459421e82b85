"""Records and indexes in Redis agree: after anything, among many, and after half a script."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import pytest
from cases import FIRST, ID, digits, mark, record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis_keys import assert_consistent, key

from tokenkeep.backends import redis as redis_backend
from tokenkeep.backends import redis_scripts
from tokenkeep.backends.base import FOUND_BY, HEADER, MARKS
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.errors import StoreConflict, StoreUnavailable

IDS = (HEADER, *map(digits, "abcdef"))
TEXTS = tuple("abcdef")
VERSIONS = ("1", "2", "3")
TIMES = (0.0, 1.1, 2.0, 1795000000.123456)  # few, so that several are due at once

texts = st.none() | st.sampled_from(TEXTS)
records = st.builds(
    record,
    id=st.sampled_from(IDS),
    version=st.sampled_from(VERSIONS),
    owner=st.sampled_from(TEXTS),
    sealed=st.binary(max_size=5),
    due_at=st.none() | st.sampled_from(TIMES) | st.floats(0, 10),
    last_used_at=st.none() | st.floats(0, 10),
    **dict.fromkeys(MARKS, texts),
)
versions = st.none() | st.sampled_from(VERSIONS).map(digits)
changes = st.one_of(
    st.tuples(st.just("write"), records, versions),
    st.tuples(st.just("write"), records, st.just("stored")),
    st.tuples(st.just("delete"), st.sampled_from(IDS), versions),
    st.tuples(st.just("touch"), st.sampled_from(IDS), st.floats(0, 10)),
    st.tuples(st.just("clear")),
)
marks = st.tuples(st.sampled_from(("owner", *MARKS)), st.sampled_from(TEXTS).map(digits))
marks |= st.tuples(st.just("id"), st.sampled_from(IDS))
questions = st.lists(marks, max_size=4)


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


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(changes, max_size=25), st.lists(questions, max_size=5))
def test_as_in_memory(backend, client, url, script, asked):
    """Whatever is done in whatever order, it ends as it does in memory."""
    memory = MemoryBackend()
    client.flushdb()

    for change in script:
        assert outcome(memory, change) == outcome(backend, change)

    assert memory.scan(None, 100) == backend.scan(None, 100)
    for each in IDS:
        assert memory.scan(each, 2) == backend.scan(each, 2)
        for one in chain(*asked):
            assert memory.scan(each, 2, mark=one) == backend.scan(each, 2, mark=one)
        for time in TIMES:
            after = time, each
            assert memory.due(2.0, 2, after=after) == backend.due(2.0, 2, after=after)
            assert memory.due(time, 100) == backend.due(time, 100)
    for question in asked:
        found = sorted(backend.find(question), key=lambda each: each.id)
        assert found == sorted(memory.find(question), key=lambda each: each.id)
    assert_consistent(url)


def test_in_several_scripts(backend, monkeypatch):
    """What is too long for one script comes in several, with nothing twice or left out."""
    monkeypatch.setattr(redis_backend, "_MANY", 3)
    records = [record(name, user="u", access=name, due_at=2.0) for name in "abcdefgh"]
    for each in records:
        backend.write(each, replaces=None)
    records.sort(key=lambda each: each.id)
    marks = [mark("access", name) for name in "abcdefghi"]

    assert sorted(backend.find([*marks, mark("user", "u")]), key=lambda each: each.id) == records
    for limit in range(1, 10):
        assert backend.scan(None, limit) == records[:limit]
        assert backend.scan(None, limit, mark=mark("user", "u")) == records[:limit]
        assert backend.due(2.0, limit) == records[:limit]
        after = (2.0, records[1].id)
        assert backend.due(2.0, limit, after=after) == records[2:][:limit]


@pytest.mark.parametrize("field", ["id", "owner"])
def test_scan_by_what_one_record_has(backend, field):
    """A list of one also begins behind an id."""
    backend.write(OLD, replaces=None)
    mark = field, getattr(OLD, field)

    assert backend.scan(None, 10, mark=mark) == [OLD]
    assert backend.scan(HEADER, 10, mark=mark) == [OLD]
    assert backend.scan(ID, 10, mark=mark) == []


# A script that ends half-way: the server killed it, or refused its next command.


def broken(script, after):
    """Return a script that fails behind as many changes as *after* says."""
    counted = """
local made, real = 0, redis.pcall
local changing = {HSET=1, HDEL=1, ZADD=1, ZREM=1, SET=1, UNLINK=1}
local function counting(name, ...)
  if changing[name] and select(2, ...) ~= 'XX' and select(2, ...) ~= '\\255' then
    if made == AFTER then error('half-way') end
    made = made + 1
  end
  return real(name, ...)
end
""".replace("AFTER", str(after))
    return redis_scripts._script(counted, script.text.replace("redis.pcall", "counting", 1))


def fails(monkeypatch, name, after, work):
    """Do something with a broken script; return whether it failed."""
    with monkeypatch.context() as patch:
        patch.setattr(redis_scripts, name, broken(getattr(redis_scripts, name), after))
        try:
            work()
        except StoreUnavailable:
            return True
    return False


OLD = record(user="u", access="a", refresh="r", due_at=2.0)
NEW = record(version="2", owner="new", user="v", access="b", grant="g", due_at=1.0)


def found_by(backend, found):
    """Return a record, if it is listed and found by all that is known of it."""
    found_by = [(field, getattr(found, field)) for field in FOUND_BY if getattr(found, field)]
    assert all(backend.find([each]) == [found] for each in found_by)
    assert all(backend.scan(None, 10, mark=each) == [found] for each in found_by)
    assert backend.due(found.due_at, 10) == [found]
    assert backend.scan(None, 10) == [found]
    return found


def nothing_found_by(backend, lost):
    """Return whether a record is neither listed nor found by anything that was known of it."""
    found_by = [(field, getattr(lost, field)) for field in FOUND_BY if getattr(lost, field)]
    return not (
        backend.read(lost.id)
        or backend.find(found_by)
        or any(backend.scan(None, 10, mark=each) for each in found_by)
        or backend.due(lost.due_at, 10)
        or backend.scan(None, 10)
    )


def test_half_an_insert(backend, url, monkeypatch):
    """What an insert left that failed half-way is nothing to anybody, and in nobody's way."""
    after = 0
    while fails(monkeypatch, "WRITE", after, lambda: backend.write(OLD, replaces=None)):
        assert nothing_found_by(backend, OLD)
        other = replace(OLD, id=digits("other"))
        backend.write(other, replaces=None)
        assert found_by(backend, other)
        assert backend.scan(None, 1) == [other]
        assert backend.due(2.0, 1) == [other]
        backend.clear()
        after += 1

    assert after == 7
    assert found_by(backend, OLD)
    assert_consistent(url)


def test_half_a_replacement(backend, url, monkeypatch):
    """A replacement that failed half-way is not there, or is there whole."""
    after = 0
    backend.write(OLD, replaces=None)
    while fails(monkeypatch, "WRITE", after, lambda: backend.write(NEW, replaces=FIRST)):
        stored = found_by(backend, backend.read(ID))
        assert stored in (OLD, NEW)
        lost = {(field, getattr(each, field)) for each in (OLD, NEW) for field in FOUND_BY}
        lost -= {(field, getattr(stored, field)) for field in FOUND_BY}
        assert backend.find([each for each in lost if each[1]]) == []
        free = NEW.owner if stored == OLD else OLD.owner
        other = replace(record("other"), owner=free)
        backend.write(other, replaces=None)
        assert backend.find([("owner", free)]) == [other]
        with pytest.raises(StoreConflict):
            backend.write(replace(record("third"), owner=stored.owner), replaces=None)
        backend.clear()
        backend.write(OLD, replaces=None)
        after += 1

    assert after == 11
    assert found_by(backend, NEW)
    assert_consistent(url)


def test_half_a_deletion(backend, client, monkeypatch):
    """A deletion that failed half-way is a deletion."""
    for after in range(1, 7):
        backend.write(OLD, replaces=None)
        assert fails(monkeypatch, "DELETE", after, lambda: backend.delete(ID))

        assert nothing_found_by(backend, OLD)
        assert backend.delete(ID) is False
        backend.write(OLD, replaces=None)
        assert found_by(backend, OLD)
        backend.clear()
    assert client.exists(key("record")) == 0
