"""Redis dies, starts again, has replicas or loses them in the midst of things."""

from __future__ import annotations

import socket
import threading
from contextlib import closing

import pytest
from cases import FIRST, ID, SECOND, digits, record, refused, until, with_port
from private_servers import Redis
from private_servers.skipped import started
from redis import exceptions
from redis.connection import Connection
from redis_keys import replica_of

from tokenkeep.backends import redis
from tokenkeep.backends.waiting import NoThread
from tokenkeep.errors import StoreConflict
from tokenkeep.testing import Proxy


@pytest.fixture(scope="module")
def server():
    """A server that this file may kill; it syncs every save."""
    yield from started(Redis)


UNKNOWN = "whether the change was made is not known"


def test_answer_that_never_comes(connect, proxy, far):
    """A change that was sent may have been made, which is said; what was not sent was not made."""
    backend = connect(f"{far}?socket_timeout=0.3")
    changes = (
        lambda: backend.write(record(), replaces=None),
        lambda: backend.write(record(version="2"), replaces=FIRST),
        lambda: backend.touch(ID, 5.0),
        lambda: backend.delete(ID),
        backend.clear,
    )
    for change in changes:
        backend.risks()
        proxy.cut_the_next("answer")
        assert UNKNOWN in refused(change)
    backend.risks()
    proxy.hold()
    assert UNKNOWN in refused(changes[0])
    assert "can't be used: it does not answer" in refused(lambda: backend.read(ID))
    proxy.close()
    said = refused(changes[0])
    assert "can't be used" in said
    assert UNKNOWN not in said


@pytest.mark.parametrize("logs_in", [False, True])
def test_answer_that_drips(connect, url, proxy, far, logs_in):
    """A call that was given up keeps no connection, and is not done later."""
    direct, slow = connect(url), connect(f"{far}?socket_timeout=0.4&socket_connect_timeout=0.4")
    direct.write(record(sealed=b"s" * 1000), replaces=None)
    if logs_in:
        slow.close()
        until(lambda: proxy.alive == 0)
    proxy.drip(0.2)

    refused(lambda: slow.read(ID))
    until(lambda: proxy.alive == 0)
    assert "can't be used" in refused(lambda: slow.delete(ID))
    proxy.go_on()
    until(lambda: proxy.alive == 0)

    assert slow.read(ID) == direct.read(ID) == record(sealed=b"s" * 1000)


def test_answer_at_the_last_moment(connect, proxy, far, monkeypatch):
    """It is nobody's any more, and nobody gets its connection, which is about to be cut."""
    backend = connect(f"{far}?socket_timeout=0.2&socket_connect_timeout=0.2")
    backend.write(record(), replaces=None)
    monkeypatch.setattr(redis, "cut", lambda _: proxy.go_on())
    proxy.drip(0.1)

    refused(lambda: backend.read(ID))

    until(lambda: proxy.alive == 0)


def test_no_login_for_nobody(connect, proxy, far, monkeypatch):
    """Who gave up before there was a connection has none later, on which a login might drip."""
    backend = connect(f"{far}?socket_timeout=0.1&socket_connect_timeout=0.1")
    look_up, found = socket.getaddrinfo, threading.Event()

    def slow(host, port, *args, **given):
        assert port != proxy.port or found.wait(30)
        return look_up(host, port, *args, **given)

    backend.close()
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    before, trips = proxy.connections, proxy.trips

    refused(lambda: backend.read(ID))

    found.set()
    until(lambda: proxy.connections > before and proxy.alive == 0)
    assert proxy.trips == trips


def test_no_thread(backend, monkeypatch):
    """A process that can start none has asked nothing, and says so."""

    def refuse(*_):
        raise NoThread("No thread can be started")

    monkeypatch.setattr(redis, "within", refuse)

    said = refused(lambda: backend.write(record(), replaces=None))

    assert "can't be used: No thread can be started" in said


def test_failover(server, connect, url):
    """Who is told that the server has become a replica asks anew where its name leads."""
    with replica_of(server, url) as (other, _), closing(Proxy(other.host, other.port)) as name:
        with other.connect() as client:
            client.config_set("requirepass", server.password)
        moved = connect(with_port(url, server, name.port))
        name.target = server.host, server.port

        assert "is a replica" in refused(lambda: moved.write(record(), replaces=None))
        moved.write(record(), replaces=None)

        assert connect(url).read(ID) == record()


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ResponseError("BUSY Redis is busy running a script"),
        exceptions.BusyLoadingError("Redis is loading the dataset in memory"),
        exceptions.NoPermissionError("this user has no permissions to run the 'wait' command"),
        exceptions.ConnectionError("Connection closed by server"),
    ],
)
def test_wait_alone_fails(connect, url, monkeypatch, error):
    """The save was made, which is said: made again, it would meet itself."""
    backend, answers = connect(f"{url}?wait=1&wait_timeout=0.001"), Connection.read_response

    def read_response(*args, **given):
        answer = answers(*args, **given)
        if isinstance(answer, int):  # WAIT's
            raise error
        return answer

    monkeypatch.setattr(Connection, "read_response", read_response)

    said = refused(lambda: backend.write(record(), replaces=None))
    assert f"wrote it, but can't say who else has: {error}" in said
    refused(lambda: backend.write(record(version="2"), replaces=SECOND), StoreConflict)
    assert backend.read(ID) == record()


def test_wait_for_a_replica(server, connect, url, far, proxy):
    """
    With ``wait=1`` a save is done when a replica has it, and says so when none does.

    It is one trip.
    """
    with replica_of(server, url, durable=False) as (replica, place):
        counted = connect(f"{far}?wait=1&wait_timeout=4")
        assert proxy.counted(lambda: counted.write(record("far"), replaces=None)) == 1
        assert counted.delete(digits("far")) is True
        backend, seen = connect(f"{url}?wait=1&wait_timeout=4"), connect(place)
        for turn in range(20):
            backend.write(record(str(turn)), replaces=None)
            assert seen.read(digits(str(turn))) == record(str(turn))
        assert backend.delete(digits("0")) is True
        assert seen.read(digits("0")) is None

        replica.pause()
        hasty = connect(f"{url}?wait=1&wait_timeout=0.1")
        for change in (
            lambda: hasty.write(record(), replaces=None),
            lambda: hasty.delete(digits("1")),
            hasty.clear,
        ):
            assert "0 of 1 replicas" in refused(change)
        assert hasty.scan(None, 10) == []
        assert hasty.clear() == 0  # there is nothing that a replica could lack
        with pytest.raises(StoreConflict):
            hasty.write(record(), replaces=FIRST)
        replica.resume()
        backend.write(record(), replaces=None)
        assert seen.read(ID) == record()
