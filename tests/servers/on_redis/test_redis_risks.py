"""What tokenkeep doctor says of a Redis server that may lose tokens."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from private_servers import Redis
from private_servers.skipped import started
from redis_keys import replica_of

import tokenkeep
from tokenkeep.backends import open_backend


@pytest.fixture(scope="module")
def server():
    """A server of this file alone, to be set up badly."""
    yield from started(Redis)


def risks(url):
    """Return what is said of the server."""
    backend = open_backend(url)
    found = backend.risks()
    backend.close()
    assert all(risk.hint for risk in found)
    return [risk.text for risk in found]


def test_none(url):
    """A server that syncs every save and evicts nothing is in order."""
    assert [] == risks(url)
    assert [] == risks(f"{url}?protocol=3")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"appendonly": "no", "save": ""}, "forgets every token when it restarts"),
        ({"appendonly": "no", "save": "3600 1"}, "since its last snapshot"),
        ({"appendfsync": "everysec"}, "the last second of saves"),
        ({"appendfsync": "no"}, "half a minute of saves"),
        ({"maxmemory-policy": "allkeys-lru"}, "would drop tokens at a maxmemory"),
        ({"maxmemory-policy": "volatile-ttl", "maxmemory": "1gb"}, "tokens have none"),
    ],
)
def test_each(url, setting, settings, said):
    """Whatever may lose tokens is named."""
    for name, value in settings.items():
        setting(name, value)

    (text,) = risks(url)

    assert said in text


def test_eviction_since_it_was_opened(connect, url, setting):
    """A store that was opened in time hears of a policy that was set later."""
    backend = connect(url)
    setting("maxmemory-policy", "allkeys-lru")
    setting("maxmemory", "1gb")

    assert "drops tokens when its memory is full" in backend.risks()[0].text


@pytest.mark.parametrize(
    ("rule", "settings", "said"),
    [
        ("-info", {}, "may not ask the server"),
        ("-config", {}, "how often the server syncs"),
        ("-config", {"appendonly": "no"}, "whether it makes snapshots can't be seen"),
    ],
)
def test_what_can_not_be_seen(user, setting, rule, settings, said):
    """What this user, or nobody, may ask is said to be unknown, never to be well."""
    for name, value in settings.items():
        setting(name, value)

    (text,) = risks(user("~{tokenkeep}:*", "+@all", rule))

    assert said in text


def test_replicas(server, url):
    """A server with replicas is advised to wait for one, until it does."""
    with replica_of(server, url):
        assert ["a failover may lose what its replicas do not have yet"] == risks(url)
        assert [] == risks(f"{url}?wait=1")


def test_doctor(server, url, setting, tmp_path):
    """The command prints a line for each, and for a server that is in order one, too."""
    environment = {
        "HOME": str(tmp_path),
        "TOKENKEEP_KEYS": tokenkeep.generate_key(),
        "TOKENKEEP_STORE": url,
    }

    def checks():
        command = [sys.executable, "-m", "tokenkeep", "doctor", "--json"]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        assert server.password not in done.stdout + done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return [line for line in lines if line["name"] == "server"]

    assert [("ok", None)] == [(each["state"], each["hint"]) for each in checks()]
    setting("appendfsync", "everysec")
    (warned,) = checks()
    assert warned["state"] == "warning"
    assert "appendfsync always" in warned["hint"]
