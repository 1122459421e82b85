"""The Redis backend on a real server: the contract, and what is special about it."""

from __future__ import annotations

from functools import partial

import pytest
from redis_store import FIRST, ID, assert_consistent, client_of, digits, key, mark, record

from tokenkeep.backends import open_backend as open_url
from tokenkeep.backends.base import MARKS
from tokenkeep.backends.redis import RedisBackend
from tokenkeep.testing.backend_contract import BackendContract, SharedBackendContract


class TestContract(SharedBackendContract):
    @pytest.fixture
    def open_backend(self, redis_server):
        return partial(RedisBackend, redis_server.url())


class TestContractUnixSocket(BackendContract):
    """The same by a socket in the file system, and in the newer form of the protocol."""

    @pytest.fixture
    def open_backend(self, unix_url):
        return partial(RedisBackend, f"{unix_url}?protocol=3")


@pytest.fixture
def unix_url(redis_server):
    path = redis_server.folder / "redis.sock"
    if not path.exists():
        redis_server.stop()
        redis_server.options += ["--unixsocket", str(path)]
        redis_server.start()
    url = redis_server.url()
    return url.replace(f"{redis_server.host}:{redis_server.port}", str(path).replace("/", "%2F"))


@pytest.fixture
def url(redis_server):
    return redis_server.url()


@pytest.fixture
def client(url):
    with client_of(url) as client:
        yield client


@pytest.fixture
def backend(url):
    backend = RedisBackend(url)
    yield backend
    backend.close()


@pytest.fixture
def commands(client):
    """Return how often the server was asked for each command while something was done."""

    def count():
        return {name: stats["calls"] for name, stats in client.info("commandstats").items()}

    def counted(work):
        before = count()
        work()
        after = count()
        return {
            name.removeprefix("cmdstat_"): after[name] - before.get(name, 0)
            for name in after
            if after[name] != before.get(name, 0) and name != "cmdstat_info"
        }

    return counted


def test_one_trip_each(backend, commands):
    """Reading, finding by several marks, listing, writing and deleting are one question each."""
    backend.write(record(access="a"), replaces=None)
    backend.write(record("warm", user="u"), replaces=None)
    backend.delete(digits("warm"))
    backend.find([mark("user", "u")])
    backend.touch(ID, 1.0)
    backend.scan(None, 1)
    backend.due(5.0, 1)
    several = [mark("access", "a"), mark("user", "u"), ("id", ID), mark("owner", "of other")]
    trips = ("evalsha", "eval", "hget", "script|load")

    def asked(work):
        # What scripts call inside is counted, too: `hget` is a trip only where there is no script.
        done = commands(work)
        scripts = sum(done.get(name, 0) for name in trips if name != "hget")
        return scripts or done.get("hget", 0)

    assert 1 == asked(lambda: backend.read(ID))
    assert 1 == asked(lambda: backend.find(several))
    assert 1 == asked(lambda: backend.write(record(version="2", access="b"), replaces=FIRST))
    assert 1 == asked(lambda: backend.touch(ID, 2.0))
    assert 1 == asked(lambda: backend.scan(None, 500))
    assert 1 == asked(lambda: backend.scan(None, 500, mark=mark("access", "b")))
    assert 1 == asked(lambda: backend.due(5.0, 500, after=(4.0, ID)))
    assert 1 == asked(lambda: backend.delete(ID))


def test_scripts_forgotten(backend, client):
    """A server that forgot the scripts, as after a restart, is told them again."""
    backend.write(record(), replaces=None)
    client.script_flush()
    backend.write(record(version="2"), replaces=FIRST)
    client.script_flush()

    assert backend.find([mark("owner", "of id")]) == [record(version="2")]


def test_keys(backend, client):
    """All keys carry one hash tag, and none of them an end."""
    backend.write(record(due_at=1.5, **dict.fromkeys(MARKS, "mark")), replaces=None)

    keys = {each.decode() for each in client.scan_iter()}
    names = ("format", "record", "id", "owner", "due", *MARKS)
    assert keys == {key(name) for name in names}
    assert {client.ttl(each) for each in keys} == {-1}


def test_nothing_is_left(backend, client, url):
    """After the last record is gone there is nothing but the mark."""
    backend.write(record(access="a", user="u", due_at=1.5), replaces=None)
    backend.write(record(version="2", owner="new", refresh="r", due_at=2.5), replaces=FIRST)
    assert_consistent(url)

    backend.delete(ID)

    assert [key("format").encode()] == list(client.scan_iter())


def test_prefixes_are_stores(url):
    """Stores with other prefixes in the same database know nothing of each other."""
    one, other = RedisBackend(url), RedisBackend(f"{url}", prefix="other")
    one.write(record(), replaces=None)
    other.write(record(version="other"), replaces=None)

    assert 1 == one.clear()

    assert other.scan(None, 10) == [record(version="other")]
    assert one.describe() != other.describe()
    one.close()
    other.close()


def test_describe(url, redis_server):
    """A store is named by host, port, database and prefix; the password is not told."""
    backend = open_url(f"{url}?prefix=app")

    number = url.rpartition("/")[2]
    where = f"Redis at {redis_server.host}:{redis_server.port}/{number}, keys {{app}}:*"
    assert backend.describe() == where
    assert redis_server.password not in f"{backend!r} {vars(backend)!r} {vars(backend._server)!r}"
    backend.close()
