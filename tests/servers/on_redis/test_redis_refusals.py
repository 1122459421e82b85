"""A Redis server that refuses, or may lose tokens: it is said, soon, and what is stored stays."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from urllib.parse import quote

import pytest
from cases import FIRST, ID, record, refused, somebody_else, until
from private_servers import Redis
from redis_keys import HEADER_RECORD, assert_consistent

from tokenkeep.backends import open_backend, redis
from tokenkeep.backends.waiting import NoThread
from tokenkeep.errors import ConfigurationError, StoreError, StoreForeign, StoreUnavailable


@pytest.fixture
def stored(connect, url):
    backend = connect(url)
    backend.write(record(user="u", access="a"), replaces=None)
    return backend


def changes(backend):
    """Return what changes a store, one call each."""
    return (
        lambda: backend.write(record("new"), replaces=None),
        lambda: backend.write(record(version="2", access="b", user="u"), replaces=FIRST),
    )


# No way in


LOGIN = "Write redis://user:password@host"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("{0.host}:{0.port}/0", LOGIN),
        (":hunter2@{0.host}:{0.port}/0", LOGIN),
        ("ana:hunter2@{0.host}:{0.port}/0", LOGIN),
        (":{0.password}@{0.host}:{0.port}/99999", "how many `databases` it has"),
        ("127.0.0.1:1/0", "Connection refused. See whether it runs"),
    ],
)
def test_no_way_in(server, place, said):
    """Without the right password, which is not told, or to a database that the server lacks."""
    url = f"redis://{place.format(server)}"

    assert said in refused(lambda: open_backend(url))
    refused(lambda: open_backend(url), secret=server.password)


@pytest.mark.parametrize("password", ["hunter2", "hünter2"])
@pytest.mark.parametrize(
    ("says", "asked", "said"),
    [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", False, "is Redis"),
        ("\x15\x03\x01\x00\x02\x02\x46", False, "rediss://"),
        ("-ERR unknown command 'AUTH', with args beginning with: '{}' \r\n", True, "too old"),
        ("-LOADING Redis is loading the dataset in memory\r\n", True, "is loading"),
        ("-MISCONF Redis is unable to persist to disk\r\n", True, "can't write to its disk"),
        ("-MOVED 1234 10.0.0.1:6379\r\n", True, "on another node of the cluster"),
        ("AUTH {}\r\n", True, "InvalidResponse"),
        ("-WRONGTYPE {}\r\n", True, "did not make"),
    ],
)
def test_somebody_elses_server(password, says, asked, said):
    """What is no Redis, or a proxy that answers with what it was given; we don't."""
    with somebody_else(says.format(password).encode(), asked=asked) as place:
        url = f"redis://:{quote(password)}@{place}/0?socket_timeout=0.3"
        kind = (StoreForeign, StoreUnavailable)
        text = refused(lambda: open_backend(url), kind, secret=password)
    assert said in text
    assert repr(password.encode())[2:-1] not in text


@pytest.mark.parametrize("says", ["-ERR AUTH {}\r\n", "AUTH {}\r\n", "-WRONGTYPE {}\r\n"])
def test_password_that_is_repeated_later(connect, far, server, proxy, says):
    """Nor is it in a frame of the error, once the store is open."""
    backend = connect(far)
    with somebody_else(says.format(server.password).encode(), asked=True) as place:
        proxy.target = ("127.0.0.1", int(place.partition(":")[2]))
        proxy.cut()
        refused(lambda: backend.delete(ID), StoreError, secret=server.password)


# Takes no changes


def test_memory_is_full(stored, connect, url, setting):
    """A full memory refuses what needs more of it, wholly; reading and deleting go on."""
    stored.write(HEADER_RECORD, replaces=None)
    stored.write(record("third"), replaces=None)
    before = stored.scan(None, 10)
    setting("maxmemory", "1mb")

    for change in changes(stored):
        assert "Its memory is full" in refused(change)
        assert stored.scan(None, 10) == before
    assert stored.delete(ID) is True
    assert stored.clear() == 1
    assert stored.scan(None, 10) == [HEADER_RECORD]
    assert_consistent(url)
    connect(url)


def test_failover(connect, far, admin, proxy):
    """Who is told that the server has become a replica asks anew where its name leads."""
    backend = connect(far)
    proxy.hold()
    with ThreadPoolExecutor() as threads:
        reads = [threads.submit(backend.read, ID) for _ in range(2)]
        until(lambda: proxy.alive == 2)
        proxy.go_on()
        assert [each.result() for each in reads] == [None, None]
    admin.replicaof("127.0.0.1", 1)
    try:
        assert "It is a replica" in refused(changes(backend)[0])
        until(lambda: proxy.alive == 0)
    finally:
        admin.replicaof("NO", "ONE")


# No answer


UNKNOWN = "whether the change was made is not known"


def test_answer_that_never_comes(connect, proxy, far):
    """A change that was sent may have been made, which is said; what was not sent was not made."""
    backend = connect(f"{far}?socket_timeout=0.3")
    asked = (
        *changes(backend),
        lambda: backend.touch(ID, 5.0),
        lambda: backend.delete(ID),
        backend.clear,
    )
    for change in asked:
        backend.risks()
        proxy.cut_the_next("answer")
        assert UNKNOWN in refused(change)
    backend.risks()
    proxy.hold()
    assert UNKNOWN in refused(backend.clear)
    assert "can't be used: TimeoutError" in refused(lambda: backend.read(ID))
    proxy.close()
    said = refused(backend.clear)
    assert "can't be used" in said
    assert UNKNOWN not in said


def test_no_connection_for_nobody(connect, proxy, far, monkeypatch):
    """Who gave up before there was a connection has none later."""
    backend = connect(f"{far}?socket_timeout=0.1")
    look_up, found = socket.getaddrinfo, threading.Event()

    def slow(host, port, *args, **given):
        assert port != proxy.port or found.wait(30)
        return look_up(host, port, *args, **given)

    backend.close()
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    before = proxy.connections

    refused(lambda: backend.read(ID))

    found.set()
    until(lambda: proxy.connections > before and proxy.alive == 0)


@pytest.mark.parametrize("name", ["within", "Bound"])
def test_no_thread(backend, monkeypatch, name):
    """A process that can start none has asked nothing, and says so."""

    def refuse(*_):
        raise NoThread("No thread can be started")

    if name == "within":
        backend.close()
    monkeypatch.setattr(redis, name, refuse)

    said = refused(lambda: backend.write(record(), replaces=None))

    assert "can't be used: NoThread: No thread can be started" in said


# May lose tokens


def test_eviction_is_refused(stored, url, setting):
    """A server that would drop tokens is not used at all; a store that is open hears of it."""
    setting("maxmemory-policy", "allkeys-lru")

    text = refused(lambda: open_backend(url), ConfigurationError)

    assert "allkeys-lru" in text
    assert "noeviction" in text
    assert "drops tokens when its memory is full" in stored.risks()[0].text


@pytest.mark.parametrize(
    ("settings", "rule", "said"),
    [
        ({}, "+@all", None),
        ({"maxmemory-policy": "volatile-ttl", "maxmemory": "1gb"}, "+@all", None),
        ({"appendonly": "no"}, "+@all", "since the last snapshot"),
        ({"appendfsync": "everysec"}, "+@all", "(appendfsync everysec)"),
        ("a replica", "+@all", "a failover may lose"),
        # What this user may not ask is said to be unknown, never to be well.
        ({}, "-info", "may not ask the server"),
        ({}, "-config", "can't be seen"),
    ],
)
def test_risks(connect, user, admin, setting, server, settings, rule, said):  # noqa: PLR0917
    """Whatever may lose tokens is named, and nothing else."""
    options = ["--replicaof", f"{server.host} {server.port}", "--masterauth", server.password]
    has_replica = settings == "a replica"
    for name, value in () if has_replica else settings.items():
        setting(name, value)

    with Redis(options=options, durable=False) if has_replica else nullcontext():
        until(lambda: admin.info("replication")["connected_slaves"] == has_replica)
        found = connect(user("~{tokenkeep}:*", "+@all", rule)).risks()

    assert len(found) == bool(said)
    assert all(said in risk.text and risk.hint for risk in found)
