"""Records and indexes in Redis agree: after anything, among many, and after half a script."""

from __future__ import annotations

import random
import secrets
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis_store import assert_consistent, entries, key, record

from tokenkeep.backends import FIELDS, redis_scripts
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.backends.redis import RedisBackend
from tokenkeep.errors import StoreConflict, StoreUnavailable

IDS = ("", "a", "A", "a\0", "1:a", "\U0001f511")
VALUES = ("", "a", "1:a", "a\0", "0:", ":", "\u00e9", "e\u0301", "x" * 300)
VERSIONS = ("", "1", "2", "3")

values = st.none() | st.sampled_from(VALUES)
records = st.builds(
    record,
    name=st.sampled_from(IDS),
    version=st.sampled_from(VERSIONS),
    identity=st.sampled_from(VALUES),
    user=values,
    access=values,
    refresh=values,
    grant=values,
    sealed=st.binary(max_size=5),
    last_used_at=st.none() | st.floats(0, 10),
    expires_at=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
changes = st.one_of(
    st.tuples(st.just("write"), records, st.none() | st.sampled_from(VERSIONS)),
    st.tuples(st.just("write"), records, st.just("stored")),
    st.tuples(st.just("delete"), st.sampled_from(IDS), st.none() | st.sampled_from(VERSIONS)),
    st.tuples(st.just("touch"), st.sampled_from(IDS), st.floats(0, 10)),
    st.tuples(st.just("clear")),
)


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
@given(st.lists(changes, max_size=25))
def test_as_in_memory(backend, url, script):
    """Whatever is done in whatever order, it ends as it does in memory."""
    memory = MemoryBackend()
    backend.clear()

    for change in script:
        assert outcome(memory, change) == outcome(backend, change)

    assert memory.scan(None, 100) == backend.scan(None, 100)
    for each in IDS:
        assert memory.scan(each, 2) == backend.scan(each, 2)
    for field in FIELDS:
        for value in VALUES:
            found = sorted(backend.find(field, [value]), key=lambda each: each.id)
            assert found == sorted(memory.find(field, [value]), key=lambda each: each.id)
    assert_consistent(url)


def test_many_processes(url, fork, backend):
    """Four processes write, replace, touch and delete the same few records at random."""

    def work(say):
        mine = RedisBackend(url)
        chance = random.Random(secrets.randbits(64))
        for _ in range(250):
            name = chance.choice(IDS)
            stored = mine.read(name)
            new = record(
                name,
                version=secrets.token_hex(4),
                **{field: chance.choice(VALUES) for field in FIELDS},
            )
            try:
                if chance.random() < 0.2:
                    mine.delete(name, replaces=stored and chance.choice([None, stored.version]))
                elif chance.random() < 0.1:
                    mine.touch(name, chance.random())
                else:
                    mine.write(new, replaces=stored and stored.version)
            except StoreConflict:
                pass
            field, value = chance.choice(FIELDS), chance.choice(VALUES)
            for found in mine.find(field, [value]):
                assert getattr(found, field) == value
        say("done")
        mine.close()

    children = [fork(work) for _ in range(4)]

    assert [["done"]] * 4 == [child.end() for child in children]
    assert_consistent(url)
    stored = backend.scan(None, 100)
    assert len({each.identity for each in stored}) == len(stored)


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


OLD = record(user="u", access="a", refresh="r")
NEW = record(version="2", identity="new", user="v", access="b", grant="g")


def test_half_an_insert(backend, client, monkeypatch):
    """What an insert left that failed half-way is nothing to anybody, and in nobody's way."""
    after = 0
    while fails(monkeypatch, "WRITE", after, lambda: backend.write(OLD, replaces=None)):
        assert backend.read("id") is None
        assert backend.scan(None, 10) == []
        for field in FIELDS:
            assert backend.find(field, [getattr(OLD, field) or ""]) == []
        other = replace(OLD, id="other")
        backend.write(other, replaces=None)
        assert backend.find("identity", [OLD.identity]) == [other]
        assert backend.scan(None, 1) == [other]
        backend.clear()
        after += 1

    assert after == 6
    assert backend.scan(None, 10) == [OLD]
    there, wanted = entries(client)
    assert wanted == there


def test_half_a_replacement(backend, monkeypatch):
    """A replacement that failed half-way is not there, or is there whole."""
    after = 0
    backend.write(OLD, replaces=None)
    while fails(monkeypatch, "WRITE", after, lambda: backend.write(NEW, replaces="1")):
        stored = backend.read("id")
        assert stored in (OLD, NEW)
        assert backend.scan(None, 10) == [stored]
        for field in FIELDS:
            for value in {getattr(OLD, field), getattr(NEW, field)} - {None}:
                expected = [stored] if getattr(stored, field) == value else []
                assert backend.find(field, [value]) == expected
        free = NEW.identity if stored == OLD else OLD.identity
        other = record("other", identity=free)
        backend.write(other, replaces=None)
        assert backend.find("identity", [free]) == [other]
        with pytest.raises(StoreConflict):
            backend.write(record("third", identity=stored.identity), replaces=None)
        backend.clear()
        backend.write(OLD, replaces=None)
        after += 1

    assert after == 9
    assert backend.scan(None, 10) == [NEW]


def test_half_a_deletion(backend, client, monkeypatch):
    """A deletion that failed half-way is a deletion."""
    for after in range(1, 6):
        backend.write(OLD, replaces=None)
        assert fails(monkeypatch, "DELETE", after, lambda: backend.delete("id"))

        assert backend.read("id") is None
        assert backend.scan(None, 10) == []
        for field in FIELDS:
            assert backend.find(field, [getattr(OLD, field) or ""]) == []
        assert backend.delete("id") is False
        backend.write(OLD, replaces=None)
        assert backend.find("identity", [OLD.identity]) == [OLD]
        backend.clear()
    assert client.exists(key("record")) == 0
