"""A store in Redis seen from below: its keys, and whether they agree."""

from __future__ import annotations

import json
import time

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tokenkeep.backends import FIELDS, Record
from tokenkeep.backends.redis_rows import HEAD
from tokenkeep.errors import StoreUnavailable


def record(name="id", **changes):
    values = {"version": "1", "identity": f"of {name}", "key_id": "key", "sealed": b"sealed"}
    return Record(id=name, **{**values, **changes})


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
    there = {"id": set(client.zrange(key("id", prefix), 0, -1))}
    wanted = {"id": set(heads)}
    for field in FIELDS:
        there[field] = set(client.zrange(key(field, prefix), 0, -1))
        wanted[field] = {
            b"%d:%s%s" % (len(value), value, record_id)
            for record_id, head in heads.items()
            if head[field] is not None
            for value in [head[field].encode()]
        }
    return there, wanted


def assert_consistent(url, prefix="tokenkeep"):
    """Make sure that the indexes hold what the records say, nothing less and nothing more."""
    with client_of(url) as client:
        there, wanted = entries(client, prefix)

    assert wanted == there
