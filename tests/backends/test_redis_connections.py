"""Connections to Redis: threads, forks and their end."""

from __future__ import annotations

import gc
import threading
import warnings

import pytest
from redis_store import client_of, record

from tokenkeep.backends.redis import RedisBackend


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


def test_child_makes_its_own_connections(backend, fork, client):
    """A child speaks by connections of its own, even if a thread of its parent holds the pool."""
    backend.write(record(), replaces=None)
    pool = backend._server._client.connection_pool
    mine = {each["id"] for each in client.client_list()}
    held, release = threading.Event(), threading.Event()

    def hold():
        with pool._lock:
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)

    def work(say):
        inherited = {each._sock.fileno() for each in pool._available_connections}
        backend.write(record(version="child"), replaces="1")
        used = {
            each._sock.fileno()
            for each in backend._server._client.connection_pool._available_connections
        }
        say(f"{backend._server._client.connection_pool is pool} {bool(inherited)} {len(used)}")
        backend.close()

    child = fork(work)
    said = child.end()
    release.set()
    thread.join()

    assert said == ["False True 1"]
    assert backend.read("id") == record(version="child")
    assert mine <= {each["id"] for each in client.client_list()}


def test_child_that_only_ends(backend, fork):
    """A child that does nothing with the store, or only closes it, leaves its parent's alone."""
    backend.write(record(), replaces=None)
    sockets = backend._server._client.connection_pool._available_connections
    before = [each._sock for each in sockets]

    fork(lambda _: backend.close()).end()
    fork(lambda _: None).end()

    backend.write(record(version="2"), replaces="1")
    assert before == [each._sock for each in sockets]


def test_closed_while_in_use(backend):
    """`close` does not take the connection from another thread's call."""
    backend.write(record(), replaces=None)
    failed, stop = [], threading.Event()

    def work():
        try:
            while not stop.is_set():
                assert backend.read("id") == record()
        except BaseException as exc:  # noqa: BLE001 - the main thread shows it
            failed.append(exc)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        backend.close()
    stop.set()
    for thread in threads:
        thread.join()

    assert failed == []


@pytest.mark.parametrize("closed", [True, False])
def test_no_connection_is_left(url, client, closed):
    """After `close`, or when it is forgotten, nothing is open and nobody complains."""
    before = len(client.client_list())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backend = RedisBackend(url)
        threads = [threading.Thread(target=backend.read, args=("id",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(client.client_list()) > before
        if closed:
            backend.close()
        else:
            del backend
        del threads, thread
        gc.collect()

    assert before == len(client.client_list())
