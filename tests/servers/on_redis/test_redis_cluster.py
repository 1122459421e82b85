"""Redis Cluster: the whole store is on one node; a node without it, or in pieces, is named."""

from __future__ import annotations

import pytest
from cases import ID, refused, until
from private_servers import Redis
from private_servers.skipped import started
from redis_keys import client_of, key, use

SLOTS = 16384


@pytest.fixture(scope="module")
def server():
    """A node that has all the slots."""
    options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
    for node in started(lambda: Redis(options=options)):
        with node.connect() as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, SLOTS - 1)
            until(lambda: is_ok(client))
        yield node


@pytest.fixture
def url(server):
    """The one database that there is."""
    return f"redis://:{server.password}@{server.host}:{server.port}/0?busy_timeout=0.2"


def is_ok(client):
    return "ok" in str(client.execute_command("CLUSTER INFO")).partition("cluster_state")[2][:8]


def test_all_that_a_store_does(backend):
    """Each script finds all of its keys on the node, and declares them."""
    use(backend)


def test_another_database(connect, url):
    """A cluster has no second one."""
    assert "database" in refused(lambda: connect(url.replace("/0?", "/1?")))


def test_incomplete(backend, url):
    """A cluster that lacks a slot answers nobody; it is waited for, then named."""
    with client_of(url) as client:
        slot = (client.execute_command("CLUSTER KEYSLOT", key("record")) + 1) % SLOTS
        client.execute_command("CLUSTER DELSLOTS", slot)
        until(lambda: not is_ok(client))

        assert "cluster is down" in refused(lambda: backend.read(ID))

        client.execute_command("CLUSTER ADDSLOTS", slot)
        until(lambda: is_ok(client))
    assert backend.read(ID) is None
