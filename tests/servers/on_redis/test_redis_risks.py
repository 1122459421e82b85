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
    ("settings", "said"),
    [
        ({}, None),
        ({"maxmemory-policy": "volatile-ttl", "maxmemory": "1gb"}, None),
        ({"appendonly": "no", "save": ""}, "forgets every token when it restarts"),
        ({"appendonly": "no", "save": "3600 1"}, "since its last snapshot"),
        ({"appendfsync": "everysec"}, "(appendfsync everysec)"),
        ({"appendfsync": "no"}, "(appendfsync no)"),
        ({"maxmemory-policy": "allkeys-lru"}, "drops tokens"),
    ],
)
def test_each(risks, url, setting, settings, said):
    """Whatever may lose tokens is named, and nothing else."""
    for name, value in settings.items():
        setting(name, value)

    found = risks(url)

    assert len(found) == bool(said)
    assert all(said in text for text in found)


@pytest.mark.parametrize(
    ("rule", "appendonly", "said"),
    [
        ("-info", "yes", "may not ask the server"),
        ("-config", "yes", "can't be seen"),
        ("-config", "no", "if it makes any"),
    ],
)
def test_what_can_not_be_seen(user, risks, setting, rule, appendonly, said):  # noqa: PLR0917
    """What this user, or nobody, may ask is said to be unknown, never to be well."""
    setting("appendonly", appendonly)

    (text,) = risks(user("~{tokenkeep}:*", "+@all", rule))

    assert said in text


def test_replicas(server, url, risks):
    """A server with replicas is advised to wait for one, until it does; a replica is no place."""
    with replica_of(server, url) as (_, place):
        assert ["a failover may lose what its replicas do not have yet"] == risks(url)
        assert [] == risks(f"{url}?wait=1")
        assert ["the server is a replica, which can't be written to"] == risks(place)
