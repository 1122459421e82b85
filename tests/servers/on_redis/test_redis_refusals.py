"""A Redis server that refuses: each reason has its name, soon, and what is stored stays."""

from __future__ import annotations

import threading

import pytest
import redis
from cases import FIRST, ID, record, refused, somebody_else, until
from private_servers import Redis
from private_servers.skipped import started
from redis_keys import HEADER_RECORD, assert_consistent

from tokenkeep.backends import open_backend
from tokenkeep.backends.redis import RedisBackend
from tokenkeep.errors import ConfigurationError


@pytest.fixture(scope="module")
def server():
    """A server of this file alone, to be set up badly."""
    yield from started(Redis)


@pytest.fixture
def backend(url):
    backend = RedisBackend(f"{url}?socket_timeout=2", busy_timeout=0.2)
    backend.write(record(user="u", access="a"), replaces=None)
    yield backend
    backend.close()


def changes(backend):
    """Return what changes a store, one call each."""
    return (
        lambda: backend.write(record("new"), replaces=None),
        lambda: backend.write(record(version="2", access="b", user="u"), replaces=FIRST),
        lambda: backend.write(record(version="2", access="a", user="u"), replaces=FIRST),
        lambda: backend.write(record(version="2", access="a"), replaces=FIRST),
    )


def test_not_a_redis_server():
    """Somebody else's server, who says something else."""
    with somebody_else(b"HTTP/1.1 400 Bad Request\r\n\r\n") as place:
        refused(lambda: open_backend(f"redis://{place}/0?socket_timeout=0.3"))


@pytest.mark.parametrize(
    ("credentials", "said"),
    [
        ("", "asks for a password"),
        (":hunter2@", "refuses this user name or password"),
        ("ana:hunter2@", "refuses this user name or password"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 3])
def test_wrong_password(url, credentials, said, protocol):
    """Without the right password, which is not told."""
    wrong = f"redis://{credentials}{url.partition('@')[2]}?protocol={protocol}"
    for opening in (open_backend, RedisBackend, RedisBackend.from_url):
        text = refused(lambda opening=opening: opening(wrong))

        assert said in text
        assert "URL" in text


def test_needless_password(server, setting):
    """With a password that the server does not have: an older form of the answer, too."""
    setting("requirepass", "")
    url = f"redis://:hunter2@{server.host}:{server.port}/0"

    assert "it has no password" in refused(lambda: open_backend(url))


def test_unknown_command_is_not_repeated():
    """A proxy without AUTH answers with what it was given; we don't."""
    answer = b"-ERR unknown command 'AUTH', with args beginning with: 'hunter2' \r\n"
    with somebody_else(answer, asked=True) as place:
        assert "AUTH" in refused(lambda: open_backend(f"redis://:hunter2@{place}/0"))


def test_no_such_database(server):
    """A database beyond what the server has."""
    url = f"redis://:{server.password}@{server.host}:{server.port}/99999"

    assert "no database of this number" in refused(lambda: open_backend(url))


def test_memory_is_full(backend, url, setting):
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
    RedisBackend(url).close()


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


def test_too_few_replicas(backend, setting):
    """A server that waits for replicas takes no changes without them."""
    setting("min-replicas-to-write", 1)

    for change in changes(backend):
        assert "min-replicas-to-write" in refused(change)


def test_too_many_clients(backend, server, setting, admin):
    """A server with as many clients as it takes."""
    clients = [server.connect() for _ in range(20)]
    for client in clients:
        client.ping()
    setting("maxclients", len(admin.client_list()) - 5)
    backend.close()

    assert "too many clients" in refused(lambda: backend.read(ID))
    for client in clients:
        client.close()


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


def test_busy_with_a_script(backend, url, request, admin):
    """Somebody's long script is waited for, but not for ever, nor to note a use."""
    patient = RedisBackend(url, busy_timeout=60.0)
    request.getfixturevalue("endless_script")

    for ask in (lambda: backend.read(ID), *changes(backend), lambda: patient.touch(ID, 5.0)):
        assert "long script" in refused(ask)
    threading.Timer(0.3, admin.script_kill).start()
    patient.write(record(version="2"), replaces=FIRST)

    assert patient.read(ID) == record(version="2")
    patient.close()


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random"])
def test_eviction_is_refused(url, setting, policy):
    """A server that would drop tokens is not used at all."""
    setting("maxmemory-policy", policy)
    setting("maxmemory", "1gb")

    text = refused(lambda: RedisBackend(url), ConfigurationError)

    assert policy in text
    assert "noeviction" in text
