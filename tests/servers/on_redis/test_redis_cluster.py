"""Redis Cluster: the whole store is on one node, and a wrong node is named as such."""

from __future__ import annotations

from functools import partial
from itertools import count

import pytest
from cases import ID, record, refused, until
from private_servers import Redis
from private_servers.skipped import started
from redis_keys import client_of

from tokenkeep.backends.redis import RedisBackend
from tokenkeep.testing.backend_contract import BackendContract

SLOTS = 16384
_numbers = count()


def url_of(node, **options):
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"redis://:{node.password}@{node.host}:{node.port}/0?{query}"


@pytest.fixture(scope="module")
def nodes():
    """Two nodes that share the slots."""
    options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--databases", "1"]
    make = partial(Redis, options=options)
    for first in started(make):
        for second in started(make):
            with first.connect() as one, second.connect() as other:
                one.execute_command("CLUSTER ADDSLOTSRANGE", 0, SLOTS // 2 - 1)
                other.execute_command("CLUSTER ADDSLOTSRANGE", SLOTS // 2, SLOTS - 1)
                one.execute_command("CLUSTER MEET", second.host, second.port)
                for each in (one, other):
                    until(lambda each=each: "cluster_state:ok" in info(each))
            yield first, second


def info(client):
    answer = client.execute_command("CLUSTER INFO")
    return str(answer).replace("': '", ":")


def owner(nodes, prefix):
    """Return the node that has the slot of a store, and the one that has not."""
    with nodes[0].connect() as client:
        slot = client.execute_command("CLUSTER KEYSLOT", f"{{{prefix}}}:record")
    return nodes if slot < SLOTS // 2 else nodes[::-1]


class TestContract(BackendContract):
    @pytest.fixture
    def open_backend(self, nodes):
        prefix = f"store {next(_numbers)}"
        return partial(RedisBackend, url_of(owner(nodes, prefix)[0]), prefix=prefix)


def test_wrong_node(nodes):
    """The node without the store's slot says so, and we say what to do."""
    prefix = "tokenkeep"
    right, wrong = owner(nodes, prefix)

    text = refused(lambda: RedisBackend(url_of(wrong), prefix=prefix))

    assert "another node of the cluster" in text
    RedisBackend(url_of(right), prefix=prefix).close()


def test_one_database(nodes):
    """A cluster has no second database."""
    url = url_of(nodes[0]).replace("/0?", "/1?")

    assert "database" in refused(lambda: RedisBackend(url))


def test_incomplete(nodes):
    """A cluster that lacks a slot answers nobody; it is waited for, then named."""
    right, _ = owner(nodes, "tokenkeep")
    slot = 0 if right is nodes[0] else SLOTS - 1
    backend = RedisBackend(url_of(right), busy_timeout=0.2)
    backend.write(record(), replaces=None)
    with client_of(url_of(right)) as client:
        client.execute_command("CLUSTER DELSLOTS", slot)
        until(lambda: "cluster_state:fail" in info(client))

        assert "not complete" in refused(lambda: backend.read(ID))

        client.execute_command("CLUSTER ADDSLOTS", slot)
        until(lambda: "cluster_state:ok" in info(client))
    assert backend.read(ID) == record()
    backend.close()
