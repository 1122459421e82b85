"""A Redis server that refuses: each reason has its name, soon, and what is stored stays."""

from __future__ import annotations

import threading
from urllib.parse import quote

import pytest
import redis
from cases import FIRST, ID, record, refused, somebody_else, until
from private_servers import Redis
from private_servers.skipped import started
from redis_keys import HEADER_RECORD, assert_consistent

from tokenkeep.backends import open_backend
from tokenkeep.errors import ConfigurationError, StoreError, StoreForeign, StoreUnavailable


@pytest.fixture(scope="module")
def server():
    """A server of this file alone, to be set up badly."""
    yield from started(Redis)


@pytest.fixture
def backend(connect, url):
    backend = connect(f"{url}?socket_timeout=2&busy_timeout=0.2")
    backend.write(record(user="u", access="a"), replaces=None)
    return backend


def changes(backend):
    """Return what changes a store, one call each."""
    return (
        lambda: backend.write(record("new"), replaces=None),
        lambda: backend.write(record(version="2", access="b", user="u"), replaces=FIRST),
    )


LOGIN = "it refuses this user name and password"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("{0.host}:{0.port}/0", LOGIN),
        (":hunter2@{0.host}:{0.port}/0", LOGIN),
        ("ana:hunter2@{0.host}:{0.port}/0", LOGIN),
        (":{0.password}@{0.host}:{0.port}/99999", "it has no such database"),
        ("127.0.0.1:1/0", "it can't be reached. Check that it runs"),
    ],
)
def test_no_way_in(server, place, said):
    """Without the right password, which is not told, or to a database that the server lacks."""
    url = f"redis://{place.format(server)}"

    assert said in refused(lambda: open_backend(url))
    refused(lambda: open_backend(url), secret=server.password)


def test_needless_password(server, setting):
    """With a password that the server does not have."""
    setting("requirepass", "")

    url = f"redis://:hunter2@{server.host}:{server.port}/0"
    assert LOGIN in refused(lambda: open_backend(url))


@pytest.mark.parametrize("password", ["hunter2", "hünter2"])
@pytest.mark.parametrize(
    ("says", "asked", "said"),
    [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", False, "no Redis"),
        ("\x15\x03\x01\x00\x02\x02\x46", False, "rediss://"),
        ("-ERR unknown command 'AUTH', with args beginning with: '{}' \r\n", True, "a command"),
        ("-LOADING Redis is loading the dataset in memory\r\n", True, "is loading"),
        ("-MOVED 1234 10.0.0.1:6379\r\n", True, "another node of the cluster"),
        ("-ERR invalid request: AUTH {}\r\n", True, "AUTH ***"),
        ("AUTH {}\r\n", True, "no Redis"),
        ("-WRONGTYPE {}\r\n", True, "did not make"),
    ],
)
def test_somebody_elses_server(password, says, asked, said):
    """What is no Redis, or a proxy that answers with what it was given; we don't."""
    with somebody_else(says.format(password).encode(), asked=asked) as place:
        url = f"redis://:{quote(password)}@{place}/0?socket_timeout=0.3&busy_timeout=0.1"
        kind = (StoreForeign, StoreUnavailable)
        assert said in refused(lambda: open_backend(url), kind, secret=password)


@pytest.mark.parametrize("says", ["-ERR AUTH {}\r\n", "AUTH {}\r\n", "-WRONGTYPE {}\r\n"])
def test_password_that_is_repeated_later(connect, far, server, proxy, says):
    """Nor is it in a frame of the error, once the store is open."""
    backend = connect(far)
    with somebody_else(says.format(server.password).encode(), asked=True) as place:
        proxy.target = ("127.0.0.1", int(place.partition(":")[2]))
        proxy.cut()
        refused(lambda: backend.delete(ID), StoreError, secret=server.password)


def test_memory_is_full(backend, connect, url, setting):
    """A full memory refuses what needs more of it, wholly; reading and deleting go on."""
    backend.write(HEADER_RECORD, replaces=None)
    backend.write(record("third"), replaces=None)
    before = backend.scan(None, 10)
    setting("maxmemory", "1mb")

    for change in changes(backend):
        assert "memory is full" in refused(change)
        assert backend.scan(None, 10) == before
        assert_consistent(url)
    assert backend.delete(ID) is True
    assert backend.clear() == 1
    assert backend.scan(None, 10) == [HEADER_RECORD]
    assert_consistent(url)
    connect(url)


def test_disk_is_full(backend, url, server, setting, admin):
    """A server that can't write its snapshots takes no changes."""
    setting("save", "3600 1000000")
    folder = server.folder / "data"
    folder.chmod(0o500)  # as good as full, for the server is not root
    try:
        admin.bgsave()
        until(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")

        for change in (*changes(backend), lambda: backend.delete(ID)):
            assert "can't write to its disk" in refused(change)
        assert backend.scan(None, 10) == [record(user="u", access="a")]
        assert_consistent(url)
        assert any("can't write to its disk" in risk.text for risk in backend.risks())
    finally:
        folder.chmod(0o700)
        admin.bgsave()
        until(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "ok")


def test_what_the_server_says_besides(backend, setting):
    """Other refusals come in the server's words."""
    setting("min-replicas-to-write", 1)

    for change in changes(backend):
        assert "enough good replicas" in refused(change)


@pytest.fixture
def endless_script(server, setting, admin):
    """A server that somebody's script keeps busy; SCRIPT KILL ends it."""
    setting("busy-reply-threshold", 1)

    def work():
        with server.connect() as client, pytest.raises(redis.ResponseError, match="killed"):
            client.eval("while true do end", 0)

    def is_busy():
        try:
            return not admin.ping()
        except redis.ResponseError:
            return True

    thread = threading.Thread(target=work)
    thread.start()
    until(is_busy)
    yield
    if is_busy():
        admin.script_kill()
    thread.join()


def test_busy_with_a_script(backend, connect, url, request, admin):
    """Somebody's long script is waited for, but not for ever, nor to note a use."""
    patient = connect(f"{url}?busy_timeout=60")
    request.getfixturevalue("endless_script")

    for ask in (lambda: backend.read(ID), *changes(backend), lambda: patient.touch(ID, 5.0)):
        assert "SCRIPT KILL" in refused(ask)
    threading.Timer(0.3, admin.script_kill).start()
    patient.write(record(version="2"), replaces=FIRST)

    assert patient.read(ID) == record(version="2")


def test_eviction_is_refused(connect, url, setting):
    """A server that would drop tokens is not used at all; a store that is open hears of it."""
    backend = connect(url)
    setting("maxmemory-policy", "allkeys-lru")
    setting("maxmemory", "1gb")

    text = refused(lambda: open_backend(url), ConfigurationError)

    assert "allkeys-lru" in text
    assert "noeviction" in text
    assert "drops tokens when its memory is full" in backend.risks()[0].text
