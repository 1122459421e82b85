"""A store in Redis seen from below: its keys, and whether they agree."""

from __future__ import annotations

import json
import time
from hashlib import sha256

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tokenkeep.backends.base import HEADER, MARKS, WIDTH, Record
from tokenkeep.backends.redis_rows import HEAD
from tokenkeep.errors import StoreUnavailable


def digits(text):
    """Return what stands for a text in a record."""
    return sha256(text.encode()).hexdigest()[:WIDTH]


ID, FIRST = digits("id"), digits("1")
"""The id and version of a `record` of which nothing else is said."""


def mark(field, text):
    return field, digits(text)


def record(name="id", **values):
    """Return a record; of the texts that are given their digits."""
    texts = {"version": "1", "owner": f"of {name}"}
    texts |= {field: values.pop(field) for field in (*texts, *MARKS) if field in values}
    others = {"id": digits(name), "kind": "row", "key": 1, "sealed": b"sealed", **values}
    return Record(**{field: text and digits(text) for field, text in texts.items()}, **others)


HEADER_RECORD = record(id=HEADER, kind="header", key=0, owner="header", user="u", due_at=1.5)
"""The store's own, with more than it needs to have."""


def client_of(url):
    """Return redis-py's own client for the database of a store; it does not try again."""
    return redis.Redis.from_url(url.partition("?")[0], retry=Retry(NoBackoff(), 0))


def key(name, prefix="tokenkeep"):
    return f"{{{prefix}}}:{name}"


def refused(work, kind=StoreUnavailable):
    """Return the error of *work*, which has to come soon and without the password hunter2."""
    start = time.monotonic()
    with pytest.raises(kind) as caught:
        work()
    assert time.monotonic() - start < 5
    exc = caught.value
    while exc is not None:
        assert "hunter2" not in f"{exc} {exc!r} {exc.args!r}"
        exc = exc.__cause__ or exc.__context__
    return str(caught.value)


def until(true):
    """Wait until something has become true."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def entries(client, prefix="tokenkeep"):
    """Return what is in the indexes, and what would have to be there for the records."""
    heads = {
        record_id: dict(zip(HEAD, json.loads(value.split(b"\n", 2)[1]), strict=True))
        for record_id, value in client.hgetall(key("record", prefix)).items()
    }
    there = {
        "id": set(client.zrange(key("id", prefix), 0, -1)),
        "owner": client.hgetall(key("owner", prefix)),
        "due": set(client.zrange(key("due", prefix), 0, -1, withscores=True)),
    }
    wanted = {
        "id": set(heads),
        "owner": {head["owner"].encode(): record_id for record_id, head in heads.items()},
        "due": {
            (b"%s%.17g" % (record_id, head["due_at"]), head["due_at"])
            for record_id, head in heads.items()
            if head["due_at"] is not None
        },
    }
    for field in MARKS:
        there[field] = set(client.zrange(key(field, prefix), 0, -1))
        wanted[field] = {
            head[field].encode() + record_id
            for record_id, head in heads.items()
            if head[field] is not None
        }
    return there, wanted


def assert_consistent(url, prefix="tokenkeep"):
    """Make sure that the indexes hold what the records say, nothing less and nothing more."""
    with client_of(url) as client:
        there, wanted = entries(client, prefix)

    assert wanted == there
