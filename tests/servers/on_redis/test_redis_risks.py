"""What tokenkeep doctor says of a Redis server that may lose tokens."""

from __future__ import annotations

import pytest
from private_servers import Redis
from private_servers.skipped import started
from redis_keys import replica_of


@pytest.fixture(scope="module")
def server():
    """A server of this file alone, to be set up badly."""
    yield from started(Redis)


@pytest.fixture
def risks(connect):
    """Return what is said of the server at a URL."""

    def risks(url):
        found = connect(url).risks()
        assert all(risk.hint for risk in found)
        return [risk.text for risk in found]

    return risks


@pytest.mark.parametrize(
    ("settings", "rule", "said"),
    [
        ({}, "+@all", None),
        ({"maxmemory-policy": "volatile-ttl", "maxmemory": "1gb"}, "+@all", None),
        ({"appendonly": "no", "save": ""}, "+@all", "forgets every token when it restarts"),
        ({"appendonly": "no", "save": "3600 1"}, "+@all", "since its last snapshot"),
        ({"appendfsync": "everysec"}, "+@all", "(appendfsync everysec)"),
        ({"maxmemory-policy": "allkeys-lru"}, "+@all", "drops tokens"),
        # What this user may not ask is said to be unknown, never to be well.
        ({}, "-info", "may not ask the server"),
        ({}, "-config", "can't be seen"),
        ({"appendonly": "no"}, "-config", "if it makes any"),
    ],
)
def test_each(risks, user, setting, settings, rule, said):  # noqa: PLR0917
    """Whatever may lose tokens is named, and nothing else."""
    for name, value in settings.items():
        setting(name, value)

    found = risks(user("~{tokenkeep}:*", "+@all", rule))

    assert len(found) == bool(said)
    assert all(said in text for text in found)


def test_replicas(server, url, risks):
    """A server with replicas is advised to wait for one, until it does; a replica is no place."""
    with replica_of(server, url) as (_, place):
        assert ["a failover may lose what its replicas do not have yet"] == risks(url)
        assert [] == risks(f"{url}?wait=1")
        assert ["the server is a replica, which can't be written to"] == risks(place)
