"""Redis Cluster: the whole store is on one node."""

from __future__ import annotations

import pytest
from cases import refused, until
from private_servers import Redis
from private_servers.skipped import started
from redis_keys import use


@pytest.fixture(scope="module")
def server():
    """A node that has all the slots."""
    for node in started(lambda: Redis(options=["--cluster-enabled", "yes"])):
        with node.connect() as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        yield node


@pytest.fixture
def url(server):
    """The one database that there is."""
    return f"redis://:{server.password}@{server.host}:{server.port}/0"


def test_all_that_a_store_does(backend):
    """Each script finds all of its keys on the node, and declares them."""
    use(backend)


def test_another_database(connect, url):
    """A cluster has no second one."""
    assert "a cluster has only 0" in refused(lambda: connect(url.replace("/0", "/1")))
