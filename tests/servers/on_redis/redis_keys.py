"""A store in Redis seen from below: its keys, and whether they agree; a replica of it."""

from __future__ import annotations

import json
from contextlib import contextmanager

import redis
from cases import record, until
from private_servers import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tokenkeep.backends.base import HEADER, MARKS
from tokenkeep.backends.redis_rows import HEAD

HEADER_RECORD = record(id=HEADER, kind="header", key=0, owner="header", user="u", due_at=1.5)
"""The store's own, with more than it needs to have."""


def client_of(url):
    """Return redis-py's own client for the database of a store; it does not try again."""
    return redis.Redis.from_url(url.partition("?")[0], retry=Retry(NoBackoff(), 0))


def key(name):
    return f"{{tokenkeep}}:{name}"


@contextmanager
def replica_of(server, url, **given):
    """Yield a replica that has caught up, and the URL of a store there."""
    with server.connect() as client:
        client.config_set("repl-diskless-sync-delay", 0)
    options = ["--replicaof", f"{server.host} {server.port}", "--masterauth", server.password]
    with Redis(options=options, **given) as replica, replica.connect() as client:
        until(lambda: client.info("replication")["master_link_status"] == "up")
        place = f"{replica.host}:{replica.port}/{url.rpartition('/')[2]}"
        yield replica, f"redis://:{replica.password}@{place}"


def entries(client):
    """Return what is in the indexes, and what would have to be there for the records."""
    heads = {
        record_id: dict(zip(HEAD, json.loads(value.split(b"\n", 2)[1]), strict=True))
        for record_id, value in client.hgetall(key("record")).items()
    }
    there = {
        "id": set(client.zrange(key("id"), 0, -1)),
        "owner": client.hgetall(key("owner")),
        "due": set(client.zrange(key("due"), 0, -1, withscores=True)),
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
        there[field] = set(client.zrange(key(field), 0, -1))
        wanted[field] = {
            head[field].encode() + record_id
            for record_id, head in heads.items()
            if head[field] is not None
        }
    return there, wanted


def assert_consistent(url):
    """Make sure that the indexes hold what the records say, nothing less and nothing more."""
    with client_of(url) as client:
        there, wanted = entries(client)

    assert wanted == there
