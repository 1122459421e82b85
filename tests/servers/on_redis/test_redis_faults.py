"""Redis dies, starts again, has replicas or loses them in the midst of things."""

from __future__ import annotations

import gc
import os
import secrets
import signal
import threading
import time
from contextlib import closing

import pytest
import redis
from cases import FIRST, ID, SECOND, digits, mark, record, refused, until, with_port
from private_servers import Redis
from private_servers.skipped import started
from redis.connection import AbstractConnection
from redis_keys import assert_consistent, client_of, replica_of

from tokenkeep.backends.redis import RedisBackend
from tokenkeep.errors import StoreConflict, StoreUnavailable
from tokenkeep.testing import Proxy

SAVES = 60
KILLS = 3


@pytest.fixture(scope="module")
def server():
    """A server that this file may kill; it syncs every save."""
    yield from started(Redis)


def patiently(work):
    """Do something again until the server can be reached; a conflict is with an earlier try."""
    while True:
        try:
            return work()
        except StoreConflict:
            return None
        except StoreUnavailable:
            time.sleep(0.005)


def test_killed_in_the_midst_of_saves(server, url, fork):
    """Invariant 1: what four processes were told is saved outlives kill -9, thrice, and whole."""

    def work(say):
        me = secrets.token_hex(4)
        backend = patiently(lambda: RedisBackend(url))
        for turn in range(SAVES):
            old, new = (record(f"{me}-{turn}", each, access=me, due_at=turn) for each in "12")
            patiently(lambda old=old: backend.write(old, replaces=None))
            say(old.id)
            patiently(lambda old=old, new=new: backend.write(new, replaces=old.version))
            say(old.id)
        backend.close()

    children = [fork(work) for _ in range(4)]
    said = []
    for _ in range(KILLS):
        for child in children:
            said += [child.readline() for _ in range(SAVES // 2)]
        server.kill()
        server.start()
    said += [line for child in children for line in child.end()]

    backend = RedisBackend(url)
    stored = {each.id: each.version for each in backend.scan(None, 10_000)}
    assert len(said) == 2 * 4 * SAVES
    assert stored == dict.fromkeys(said, SECOND)
    assert_consistent(url)
    backend.close()


def test_restarted(server, backend):
    """The next call after a restart works, a write too, and the scripts are told anew."""
    backend.write(record(), replaces=None)
    server.stop()
    server.start()

    backend.write(record(version="2"), replaces=FIRST)

    server.kill()
    server.start()
    assert backend.find([mark("owner", "of id")]) == [record(version="2")]


def test_scripts_forgotten(backend, client):
    """So are they to a server that was told to forget them."""
    backend.write(record(), replaces=None)
    for version in "23":
        client.script_flush()
        backend.write(record(version=version), replaces=digits(str(int(version) - 1)))

    assert backend.find([mark("owner", "of id")]) == [record(version="3")]


@pytest.fixture
def loading(server, url):
    """A server that takes a second to load its data, and has just begun."""
    with client_of(url) as client:
        for number in range(50):  # it listens to clients between one key and the next
            client.set(f"filler {number}", os.urandom(4096))
        client.bgrewriteaof()
        until(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
    server.stop()
    slowly = {"--key-load-delay": "20000", "--loading-process-events-interval-bytes": "1024"}
    server.options += [word for option in slowly.items() for word in option]

    def is_loading():
        try:
            with client_of(url) as client:
                return not client.ping()
        except redis.BusyLoadingError:
            return True
        except redis.ConnectionError:
            return False

    thread = threading.Thread(target=server.start)
    thread.start()
    until(is_loading)
    yield
    thread.join()
    del server.options[-4:]


def test_loading(url, request):
    """A server that loads its data is waited for, but not for ever, nor to note a use."""
    patient, hasty = (RedisBackend(url, busy_timeout=each) for each in (30.0, 0.1))
    patient.write(record(), replaces=None)
    request.getfixturevalue("loading")

    assert "loading" in refused(lambda: hasty.read(ID))
    assert "loading" in refused(lambda: hasty.write(record(version="2"), replaces=FIRST))
    assert "loading" in refused(lambda: patient.touch(ID, 5.0))
    patient.write(record(version="2"), replaces=FIRST)

    assert patient.read(ID) == record(version="2")
    patient.close()
    hasty.close()


class Stop(BaseException):
    pass


def stop(*_):
    raise Stop


@pytest.fixture
def stop_behind(monkeypatch):
    """Raise in a signal handler, between the sending of a command and its answer."""
    before = signal.signal(signal.SIGUSR1, stop)
    send = AbstractConnection.send_packed_command
    pending = []

    def sending(link, packed, **options):
        send(link, packed, **options)
        words = b"".join([packed] if isinstance(packed, bytes) else packed).upper()
        if pending and pending[0] in words:
            pending.clear()
            signal.raise_signal(signal.SIGUSR1)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", sending)
    yield pending.append
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("command", [b"EVALSHA", b"AUTH"])
@pytest.mark.parametrize("wait", [0, 1])
def test_interrupted_behind_a_command(backend, server, stop_behind, command, wait):
    """What is unread then is not taken by the next call for its own answer, nor for a login."""
    for name in ("id", "other"):
        backend.write(record(name), replaces=None)
    if command == b"AUTH":
        backend.close()
    backend._server.wait = wait
    server.pause()
    try:
        stop_behind(command)
        with pytest.raises(Stop):
            backend.write(record(version="2"), replaces=FIRST)
        threading.Timer(0.3, server.resume).start()
        assert backend.read(digits("other")) == record("other")
    finally:
        server.resume()


# Replicas


def changes(backend):
    """Return what changes a store, one call each."""
    return (
        lambda: backend.write(record("new"), replaces=None),
        lambda: backend.write(record(version="2"), replaces=FIRST),
        lambda: backend.delete(ID),
        backend.clear,
    )


def test_replica(server, url):
    """A replica answers questions, and says that it takes no changes."""
    primary = RedisBackend(url)
    primary.write(record(user="u"), replaces=None)
    with replica_of(server, url) as (_, place):
        backend = RedisBackend(place)

        assert backend.find([mark("user", "u")]) == [record(user="u")]
        assert backend.scan(None, 10) == [record(user="u")]
        for change in changes(backend):
            assert "is a replica" in refused(change)
        assert ["the server is a replica, which can't be written to"] == [
            risk.text for risk in backend.risks()
        ]
        backend.close()
    primary.close()


def test_failover(server, url):
    """Who is told that the server has become a replica asks anew where its name leads."""
    primary = RedisBackend(url)
    with (
        replica_of(server, url) as (other, _),
        closing(Proxy(other.host, other.port)) as name,
    ):
        with other.connect() as client:
            client.config_set("requirepass", server.password)
        moved = RedisBackend(with_port(url, server, name.port))
        name.target = server.host, server.port

        assert "is a replica" in refused(lambda: moved.write(record(), replaces=None))
        moved.write(record(), replaces=None)

        assert primary.read(ID) == record()
        moved.close()
    primary.close()


def test_wait_for_a_replica(server, url):
    """With ``wait=1`` a save is done when a replica has it, and says so when none does."""
    with replica_of(server, url, durable=False) as (replica, place):
        backend, seen = RedisBackend(url, wait=1, wait_timeout=4.0), RedisBackend(place)
        for turn in range(20):
            backend.write(record(str(turn)), replaces=None)
            assert seen.read(digits(str(turn))) == record(str(turn))
        assert backend.delete(digits("0")) is True
        assert seen.read(digits("0")) is None

        replica.pause()
        hasty = RedisBackend(url, wait=1, wait_timeout=0.1)
        assert "0 of 1 replicas" in refused(lambda: hasty.write(record(), replaces=None))
        with pytest.raises(StoreConflict):  # a conflict is one, whoever has the rest
            hasty.write(record(), replaces=None)
        assert "0 of 1 replicas" in refused(lambda: hasty.delete(digits("1")))
        hasty.touch(ID, 5.0)
        assert hasty.read(ID) == record(last_used_at=5.0)
        assert hasty.read(digits("1")) is None
        assert "of 1 replicas" in refused(hasty.clear)
        assert hasty.clear() == 0  # there is nothing that a replica could lack
        replica.resume()
        backend.write(record(version="2"), replaces=None)
        assert seen.read(ID) == record(version="2")
        for each in (backend, seen, hasty):
            each.close()


# Connections


def test_a_child_leaves_its_parents_connections(backend, fork, client):
    """Also one that was forked while another thread had the pool's lock, whatever it does then."""
    backend.write(record(), replaces=None)
    pool = backend._server._client.connection_pool
    mine = {each["id"] for each in client.client_list()}
    held, release = threading.Event(), threading.Event()

    def hold():
        with pool._lock:
            held.set()
            release.wait(30)

    def use(_):
        assert backend.read(ID) == record()
        assert backend._server._client.connection_pool is not pool
        backend.close()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    for work in (use, lambda _: backend.close(), lambda _: gc.collect()):
        fork(work).end()
    release.set()
    thread.join()

    assert mine == {each["id"] for each in client.client_list()}
    assert backend.read(ID) == record()


def test_too_many_threads(connect, url):
    """More calls at once than the URL allows connections are refused, not mixed up."""
    backend = connect(f"{url}?max_connections=1")
    pool = backend._server._client.connection_pool
    held = pool.get_connection()

    assert "too many calls" in refused(lambda: backend.read(ID))
    pool.release(held)
    assert backend.read(ID) is None
