"""A store in Redis seen from below: its keys, and whether they agree."""

from __future__ import annotations

import redis
from cases import FIRST, ID, mark, record
from redis.backoff import NoBackoff
from redis.retry import Retry

from tokenkeep.backends.base import HEADER

HEADER_RECORD = record(id=HEADER, kind="header", key=0, owner="header", user="u", due_at=1.5)
"""The store's own, with more than it needs to have."""


def client_of(url):
    """Return redis-py's own client for the database of a store; it does not try again."""
    return redis.Redis.from_url(url.partition("?")[0], retry=Retry(NoBackoff(), 0))


def key(name):
    return f"{{tokenkeep}}:{name}"


def assert_consistent(url):
    """Make sure that the index holds what the records say, nothing less and nothing more."""
    with client_of(url) as client:
        records = client.hgetall(key("record")).items()
        wanted = {each + name for name, value in records for each in value.split(b"\n")[2].split()}

        assert wanted == set(client.zrange(key("index"), 0, -1))


def use(backend):
    """Do all that a store does."""
    backend.write(record(user="u", due_at=4.0), replaces=None)
    backend.write(record(version="2", due_at=4.0), replaces=FIRST)
    backend.touch(ID, 5.0)
    stored = record(version="2", due_at=4.0, last_used_at=5.0)
    assert backend.read(ID) == stored
    assert backend.find([mark("user", "u"), mark("owner", "of id")]) == [stored]
    assert backend.scan(None, 1, mark=mark("user", "u")) == []
    assert backend.due(5.0, 1, after=(3.0, ID)) == [stored]
    assert backend.delete(ID) is True
    backend.write(HEADER_RECORD, replaces=None)
    assert backend.clear() == 0
