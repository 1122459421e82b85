"""Redis Cluster: the whole store is on one node, and a wrong node is named as such."""

from __future__ import annotations

from functools import partial

import pytest
from cases import ID, SECOND, mark, record, refused, until
from private_servers import Redis
from private_servers.skipped import started
from redis_keys import client_of, key

from tokenkeep.backends import open_backend

SLOTS = 16384


def url_of(node, query=""):
    return f"redis://:{node.password}@{node.host}:{node.port}/0?{query}busy_timeout=0.2"


def is_ok(client):
    return "ok" in str(client.execute_command("CLUSTER INFO")).partition("cluster_state")[2][:8]


@pytest.fixture(scope="module")
def nodes():
    """Two nodes that share the slots; the one that has the store's comes first."""
    options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--databases", "1"]
    make = partial(Redis, options=options)
    for first in started(make):
        for second in started(make):
            with first.connect() as one, second.connect() as other:
                one.execute_command("CLUSTER ADDSLOTSRANGE", 0, SLOTS // 2 - 1)
                other.execute_command("CLUSTER ADDSLOTSRANGE", SLOTS // 2, SLOTS - 1)
                one.execute_command("CLUSTER MEET", second.host, second.port)
                for each in (one, other):
                    until(lambda each=each: is_ok(each))
                slot = one.execute_command("CLUSTER KEYSLOT", key("record"))
            yield (first, second) if slot < SLOTS // 2 else (second, first)


def test_all_that_a_store_does(nodes):
    """Each script finds all of its keys on the node, and declares them."""
    backend = open_backend(url_of(nodes[0]))

    backend.write(record(user="u", due_at=2.0), replaces=None)
    backend.write(record(version="2", user="u", due_at=2.0), replaces=record().version)
    backend.touch(ID, 5.0)
    stored = record(version="2", user="u", due_at=2.0, last_used_at=5.0)
    assert backend.read(ID) == stored
    assert backend.find([mark("user", "u"), ("id", ID)]) == [stored]
    assert backend.scan(None, 10) == backend.due(3.0, 10) == [stored]
    assert backend.delete(ID, replaces=SECOND) is True
    assert backend.clear() == 0
    backend.close()


@pytest.mark.parametrize(
    ("node", "database", "said"), [(1, 0, "another node of the cluster"), (0, 1, "database")]
)
def test_wrong_place(nodes, node, database, said):
    """A node without the store's slot is named; and a cluster has no second database."""
    url = url_of(nodes[node]).replace("/0?", f"/{database}?")

    assert said in refused(lambda: open_backend(url))


def test_incomplete(nodes):
    """A cluster that lacks a slot answers nobody; it is waited for, then named."""
    backend = open_backend(url_of(nodes[0]))
    with client_of(url_of(nodes[0])) as client:
        mine = client.execute_command("CLUSTER KEYSLOT", key("record"))
        slot = 0 if mine < SLOTS // 2 else SLOTS - 1
        client.execute_command("CLUSTER DELSLOTS", slot)
        until(lambda: not is_ok(client))

        assert "cluster is down" in refused(lambda: backend.read(ID))

        client.execute_command("CLUSTER ADDSLOTS", slot)
        until(lambda: is_ok(client))
    assert backend.read(ID) is None
    backend.close()
