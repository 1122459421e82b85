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
from reported import reported

from tokenkeep.backends import open_backend
from tokenkeep.errors import ConfigurationError, StoreError


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
        lambda: backend.write(record(version="2", access="a"), replaces=FIRST),
    )


@pytest.mark.parametrize(
    ("credentials", "database"), [("", 0), (":hunter2@", 0), ("ana:hunter2@", 0), (None, 99999)]
)
def test_no_way_in(server, credentials, database):
    """Without the right password, which is not told, or to a database that the server lacks."""
    if credentials is None:
        credentials, said = f":{server.password}@", "it has no such database"
    else:
        said = "it refuses this user name and password"
    url = f"redis://{credentials}{server.host}:{server.port}/{database}"

    assert said in refused(lambda: open_backend(url))
    refused(lambda: open_backend(url), secret=server.password)


def test_needless_password(server, setting):
    """With a password that the server does not have."""
    setting("requirepass", "")

    url = f"redis://:hunter2@{server.host}:{server.port}/0"
    assert "user name and password" in refused(lambda: open_backend(url))


@pytest.mark.parametrize(
    ("says", "asked", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False, "can't be used"),
        (
            b"-ERR unknown command 'AUTH', with args beginning with: 'hunter2' \r\n",
            True,
            "lacks a command",
        ),
        (b"-LOADING Redis is loading the dataset in memory\r\n", True, "is loading"),
    ],
)
def test_somebody_elses_server(says, asked, said):
    """What is no Redis, or a proxy that answers with what it was given; we don't."""
    with somebody_else(says, asked=asked) as place:
        url = f"redis://:hunter2@{place}/0?socket_timeout=0.3&busy_timeout=0.1"
        assert said in refused(lambda: open_backend(url))


@pytest.mark.parametrize("password", ["hunter2", "hünter2"])
@pytest.mark.parametrize("says", ["-ERR invalid request: AUTH {}\r\n", "AUTH {}\r\n"])
def test_password_that_is_repeated(says, password):
    """Who answers with what it was given is quoted without the password."""
    with somebody_else(says.format(password).encode(), asked=True) as place:
        url = f"redis://:{quote(password)}@{place}/0?socket_timeout=0.3"
        said = refused(lambda: open_backend(url), secret=password)

    assert "AUTH ***" in said


@pytest.mark.parametrize("kind", [redis.ResponseError, redis.InvalidResponse])
@pytest.mark.parametrize("says", ["AUTH {}", "WRONGTYPE {}"])
def test_password_that_is_repeated_later(backend, server, monkeypatch, kind, says):
    """Nor is it in a frame of the error, once the store is open."""

    def run(*_):
        pass
        raise kind(says.format(server.password))

    monkeypatch.setattr(backend, "_run", run)

    with pytest.raises(StoreError) as caught:
        backend.delete(ID)
    assert server.password not in reported(caught.value)


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


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random"])
def test_eviction_is_refused(url, setting, policy):
    """A server that would drop tokens is not used at all."""
    setting("maxmemory-policy", policy)
    setting("maxmemory", "1gb")

    text = refused(lambda: open_backend(url), ConfigurationError)

    assert policy in text
    assert "noeviction" in text
