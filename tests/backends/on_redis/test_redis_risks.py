"""What tokenkeep doctor says of a Redis server that may lose tokens."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from private_servers import Redis
from private_servers.skipped import started
from redis_store import until

import tokenkeep
from tokenkeep.backends import open_backend

NEEDED = "~{tokenkeep}:* +@all"


@pytest.fixture(scope="module")
def server():
    """A server of this file alone, to be set up badly."""
    yield from started(Redis)


@pytest.fixture
def admin(server):
    with server.connect() as client:
        before = client.config_get("*")
        yield client
        for name in ("maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "save"):
            client.config_set(name, before[name])


@pytest.fixture
def risks(server):
    """Return what is said of the server."""

    def ask(options="", user=""):
        url = f"{server.url()}{options}"
        if user:
            url = f"redis://{user}@{url.partition('@')[2]}"
        backend = open_backend(url)
        found = backend.risks()
        backend.close()
        assert all(risk.hint for risk in found)
        return [risk.text for risk in found]

    return ask


@pytest.mark.usefixtures("admin")
def test_none(risks):
    """A server that syncs every save and evicts nothing is in order."""
    assert [] == risks()
    assert [] == risks("?protocol=3")


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
def test_each(admin, risks, settings, said):
    """Whatever may lose tokens is named."""
    for name, value in settings.items():
        admin.config_set(name, value)

    (text,) = risks()

    assert said in text


def test_eviction_since_it_was_opened(admin, server):
    """A store that was opened in time hears of a policy that was set later."""
    backend = open_backend(server.url())
    admin.config_set("maxmemory-policy", "allkeys-lru")
    admin.config_set("maxmemory", "1gb")

    assert "drops tokens when its memory is full" in backend.risks()[0].text
    backend.close()


@pytest.mark.parametrize(
    ("rules", "settings", "said"),
    [
        ("-info", {}, "may not ask the server"),
        ("-config", {}, "how often the server syncs"),
        ("-config", {"appendonly": "no"}, "whether it makes snapshots can't be seen"),
    ],
)
def test_what_can_not_be_seen(admin, risks, rules, settings, said):
    """What this user, or nobody, may ask is said to be unknown, never to be well."""
    for name, value in settings.items():
        admin.config_set(name, value)
    admin.execute_command(
        "ACL", "SETUSER", "app", "reset", "on", ">hunter2", *NEEDED.split(), *rules.split()
    )

    (text,) = risks(user="app:hunter2")

    assert said in text
    admin.acl_deluser("app")


def test_replicas(server, risks, admin):
    """A server with replicas is advised to wait for one, until it does."""
    admin.config_set("repl-diskless-sync-delay", 0)
    options = ["--replicaof", f"{server.host} {server.port}", "--masterauth", server.password]
    with Redis(options=options) as replica:
        with replica.connect() as client:
            until(lambda: client.info("replication")["master_link_status"] == "up")

        assert ["a failover may lose what its replicas do not have yet"] == risks()
        assert [] == risks("?wait=1")


def test_doctor(server, admin, tmp_path):
    """The command prints a line for each, and for a server that is in order one, too."""
    environment = {
        "HOME": str(tmp_path),
        "TOKENKEEP_KEYS": tokenkeep.generate_key(),
        "TOKENKEEP_STORE": server.url(),
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
    admin.config_set("appendfsync", "everysec")
    (warned,) = checks()
    assert warned["state"] == "warning"
    assert "appendfsync always" in warned["hint"]
