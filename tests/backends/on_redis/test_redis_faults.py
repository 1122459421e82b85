"""Redis dies, stops, starts again or can't be reached in the midst of things."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from dataclasses import replace

import pytest
import redis
from cutting_proxy import CuttingProxy
from private_servers import Redis
from private_servers.skipped import started
from redis.connection import AbstractConnection
from redis_store import (
    FIRST,
    ID,
    assert_consistent,
    client_of,
    digits,
    mark,
    record,
    refused,
    until,
)

from tokenkeep.backends.redis import RedisBackend
from tokenkeep.errors import StoreConflict, StoreUnavailable

SAVES = 60
KILLS = 3


@pytest.fixture(scope="module")
def server():
    """A server that this file may kill; it syncs every save."""
    yield from started(Redis)


@pytest.fixture
def url(server):
    return server.url()


@pytest.fixture
def backend(url):
    backend = RedisBackend(f"{url}?socket_timeout=0.5&socket_connect_timeout=0.5")
    backend.write(record(), replaces=None)
    yield backend
    backend.close()


def patiently(work):
    """Do something again until the server can be reached."""
    while True:
        try:
            return work()
        except StoreUnavailable:
            time.sleep(0.005)


def insert(backend, new):
    """Store a record once, whatever happens to the server."""
    while True:
        try:
            return backend.write(new, replaces=None)
        except StoreConflict:  # with an earlier try of our own
            return None
        except StoreUnavailable:
            time.sleep(0.005)


def sign(backend, name):
    """Put a name once into the record that all share, whatever happens to the server."""
    while True:
        old = patiently(lambda: backend.read(digits("list")))
        if name in old.sealed:  # by a try of which we were not told
            return None
        new = replace(
            old, version=secrets.token_hex(16), sealed=old.sealed + name, grant=digits(str(name))
        )
        try:
            return backend.write(new, replaces=old.version)
        except (StoreConflict, StoreUnavailable):
            time.sleep(0.001)


def test_killed_in_the_midst_of_saves(server, url, fork):
    """Invariant 1: what four processes were told is saved outlives kill -9, thrice, and whole."""
    first = RedisBackend(url)
    first.write(record("list", sealed=b"", user="all"), replaces=None)
    first.close()

    def work(say):
        me = secrets.token_hex(4)
        backend = patiently(lambda: RedisBackend(url))
        for turn in range(SAVES):
            mine = record(f"{me}-{turn}", version=secrets.token_hex(4), user=me, access=me)
            insert(backend, mine)
            say(f"saved {me}-{turn} {mine.version}")
            sign(backend, f"{me}-{turn} ".encode())
            say(f"signed {me}-{turn}")
            (shared,) = patiently(lambda: backend.find([mark("user", "all")]))
            assert shared.id == digits("list")
        backend.close()

    children = [fork(work) for _ in range(4)]
    said = []
    for _ in range(KILLS):
        for child in children:
            said += [child.readline() for _ in range(SAVES // 3)]
        server.kill()
        server.start()
    said = [line.split() for line in said] + [
        line.split() for child in children for line in child.end()
    ]

    backend = RedisBackend(url)
    stored = {each.id: each.version for each in backend.scan(None, 10_000)}
    assert 2 * 4 * SAVES == len(said)
    assert 4 * SAVES + 1 == len(stored)
    signed = backend.read(digits("list")).sealed.decode().split()
    assert sorted(map(digits, ["list", *signed])) == sorted(stored)
    for what, name, *version in said:
        if what == "saved":
            assert version == [stored[digits(name)]]
        else:
            assert name in signed
    assert_consistent(url)
    backend.close()


def test_stopped_server(server, backend, url):
    """A server that stands still is named within the timeout; when it goes on, so do we."""
    server.pause()
    try:
        for ask in (
            lambda: backend.write(record(version="2"), replaces=FIRST),
            lambda: backend.read(ID),
            lambda: backend.find([mark("owner", "of id")]),
            lambda: backend.touch(ID, 5.0),
            lambda: RedisBackend(f"{url}?socket_timeout=0.5"),
        ):
            start = time.monotonic()
            assert "in time" in refused(ask)
            assert time.monotonic() - start < 2
    finally:
        server.resume()

    # The write had arrived, and is done when the server wakes up.
    until(lambda: backend.read(ID).version == digits("2"))
    backend.write(record(version="3"), replaces=digits("2"))
    assert backend.read(ID).version == digits("3")


def test_restarted(server, backend):
    """The next call after a restart works, a write too, and the scripts are told anew."""
    backend.find([mark("owner", "of id")])
    server.stop()
    server.start()

    backend.write(record(version="2"), replaces=FIRST)

    server.kill()
    server.start()
    assert backend.find([mark("owner", "of id")]) == [record(version="2")]


def test_down(server, backend):
    """While the server is away each call says so at once; afterwards all is well."""
    server.stop()
    try:
        for ask in (
            lambda: backend.read(ID),
            lambda: backend.write(record(version="2"), replaces=FIRST),
            lambda: backend.delete(ID),
        ):
            assert "refused" in refused(ask)
    finally:
        server.start()

    assert backend.read(ID) == record()


def test_connections_are_cut(backend, url):
    """Who finds that the server has closed an idle connection makes another one."""
    with client_of(url) as admin:
        admin.client_kill_filter(_type="normal", skipme=True)
        assert backend.read(ID) == record()
        admin.client_kill_filter(_type="normal", skipme=True)
        backend.write(record(version="2"), replaces=FIRST)

    assert backend.read(ID) == record(version="2")


@pytest.fixture
def proxy(server):
    with CuttingProxy(server.host, server.port) as proxy:
        yield proxy


@pytest.fixture
def behind(proxy, url, backend):
    """The same store by way of the proxy, with warm scripts and a connection."""
    place = f":{url.rpartition(':')[2]}".replace(f":{proxy.target[1]}/", f":{proxy.port}/")
    far = RedisBackend(
        f"{url.rpartition(':')[0]}{place}?socket_timeout=0.5&socket_connect_timeout=0.5"
    )
    far.proxy = proxy
    far.write(record("warm"), replaces=None)
    far.delete(digits("warm"))
    far.find([mark("owner", "of id")])
    yield far
    far.close()
    assert backend.read(ID) is not None


@pytest.mark.parametrize(
    ("lost", "stored"), [("question", "1"), ("answer", "2"), ("silence", "2")]
)
@pytest.mark.parametrize("wait", [0, 1])
def test_a_lost_write_is_not_sent_again(behind, backend, lost, stored, wait):
    """A write whose answer is lost may have been done: it is an error, and sent once."""
    behind._server.wait = wait
    behind.proxy.cut = (b"EVALSHA", lost)

    refused(lambda: behind.write(record(version="2"), replaces=FIRST))

    assert behind.proxy.questions == 1
    assert backend.read(ID).version == digits(stored)
    behind._server.wait = 0
    behind.write(record(version="3"), replaces=digits(stored))
    assert backend.read(ID).version == digits("3")


@pytest.mark.parametrize("lost", ["question", "answer"])
def test_a_lost_read_is_sent_again(behind, lost):
    """A question that changes nothing is asked once more when its connection is lost."""
    behind.proxy.cut = (b"HGET", lost)
    assert behind.read(ID) == record()
    behind.proxy.cut = (b"EVALSHA", lost)
    assert behind.find([mark("owner", "of id")]) == [record()]


def test_a_read_without_an_answer(behind):
    """One that is not answered at all is not asked again: the time is up."""
    behind.proxy.cut = (b"HGET", "silence")
    start = time.monotonic()

    assert "in time" in refused(lambda: behind.read(ID))

    assert time.monotonic() - start < 1
    assert behind.read(ID) == record()


@pytest.mark.parametrize("mark", [b"HGET", b"AUTH"])
def test_an_answer_that_drips(behind, mark):
    """Each byte comes in time; the whole does not, and is not waited for."""
    behind.close()
    behind.proxy.cut = (mark, "drip")
    start = time.monotonic()

    assert "in time" in refused(lambda: behind.read(ID))

    assert time.monotonic() - start < 0.5 + 2 * 0.5 + 0.5
    assert behind.read(ID) == record()


class Stop(BaseException):
    pass


@pytest.fixture
def stop_behind(monkeypatch):
    """Raise in a signal handler, between the sending of a command and its answer."""
    before = signal.signal(signal.SIGUSR1, lambda *_: _stop())
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


def _stop():
    raise Stop


@pytest.mark.parametrize("wait", [0, 1])
def test_an_interrupted_answer_is_nobody_elses(server, url, stop_behind, wait):
    """What a signal left unread is not taken by the next call for its own answer."""
    backend = RedisBackend(url)
    backend.write(record(), replaces=None)
    backend.write(record("other"), replaces=None)
    backend._server.wait = wait
    server.pause()
    try:
        stop_behind(b"EVALSHA")
        with pytest.raises(Stop):
            backend.write(record(version="2"), replaces=FIRST)
        backend._server.wait = 0
        threading.Timer(0.3, server.resume).start()
        with pytest.raises(StoreConflict):
            backend.write(record("other", version="2"), replaces=digits("wrong"))
    finally:
        server.resume()

    assert backend.read(digits("other")) == record("other")
    backend.close()


def test_an_interrupted_login_is_not_gone_on_with(server, url, stop_behind):
    """A signal in the midst of the login leaves no connection that takes it for done."""
    backend = RedisBackend(url)
    backend.write(record(), replaces=None)
    backend.close()
    server.pause()
    try:
        stop_behind(b"AUTH")
        with pytest.raises(Stop):
            backend.read(ID)
        threading.Timer(0.3, server.resume).start()
        assert backend.read(ID) == record()
    finally:
        server.resume()
    backend.close()


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
    """A server that is still loading its data after a restart is waited for."""
    backend = RedisBackend(url, busy_timeout=30.0)
    backend.write(record(), replaces=None)
    request.getfixturevalue("loading")

    backend.write(record(version="2"), replaces=FIRST)

    assert backend.read(ID) == record(version="2")
    backend.close()


def test_loading_for_too_long(url, request):
    """Not for ever; and not to note when a token was used."""
    backend = RedisBackend(url, busy_timeout=0.1)
    patient = RedisBackend(url, busy_timeout=30.0)
    request.getfixturevalue("loading")

    assert "loading" in refused(lambda: backend.read(ID))
    assert "loading" in refused(lambda: backend.write(record(version="2"), replaces=FIRST))
    assert "loading" in refused(lambda: patient.touch(ID, 5.0))
    backend.close()
    patient.close()


def test_wait_for_a_replica(server):
    """With ``wait=1`` a save is done when a replica has it, and says so when none does."""
    with server.connect() as admin:
        admin.config_set("repl-diskless-sync-delay", 0)
    url = server.url()
    options = ["--replicaof", f"{server.host} {server.port}", "--masterauth", server.password]
    with Redis(options=options, durable=False) as replica:
        copy = (
            f"redis://:{replica.password}@{replica.host}:{replica.port}/{url.rpartition('/')[2]}"
        )
        with replica.connect() as client:
            until(lambda: client.info("replication")["master_link_status"] == "up")
        backend = RedisBackend(url, wait=1, wait_timeout=4.0)
        seen = RedisBackend(copy)

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
        assert "of 1 replicas" in refused(hasty.clear)
        assert hasty.clear() == 0  # there is nothing that a replica could lack
        hasty._server.wait = 0
        hasty.write(record(), replaces=None)
        hasty.write(record("2"), replaces=None)
        hasty._server.wait = 1
        hasty.touch(digits("2"), 5.0)
        assert hasty.read(ID) == record()
        assert hasty.read(digits("1")) is None
        replica.resume()
        backend.write(record(version="2"), replaces=FIRST)
        assert seen.read(ID) == record(version="2")
        for each in (backend, seen, hasty):
            each.close()
