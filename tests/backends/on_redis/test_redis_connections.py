"""Connections to Redis: threads, forks and their end."""

from __future__ import annotations

import gc
import signal
import threading
import warnings

import pytest
from redis_store import ID, digits, mark, record, refused

from tokenkeep.backends.redis import RedisBackend


@pytest.fixture
def pool(backend):
    """The pool of connections, which another thread is just using while the process forks."""
    pool = backend._server._client.connection_pool
    held, release = threading.Event(), threading.Event()

    def hold():
        with pool._lock:
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    yield pool
    release.set()
    thread.join()


def test_child_makes_its_own_connections(backend, pool, fork, client):
    """A child speaks by connections of its own, and its parent's stay as they are."""
    mine = {each["id"] for each in client.client_list()}
    (socket,) = [each._sock for each in pool._available_connections]

    def work(say):
        backend.write(record(), replaces=None)
        now = backend._server._client.connection_pool
        say(str(now is pool))
        say(str(len(now._available_connections)))
        backend.close()

    assert fork(work).end() == ["False", "1"]
    assert mine == {each["id"] for each in client.client_list()}
    assert [socket] == [each._sock for each in pool._available_connections]
    assert socket.fileno() != -1


def test_child_that_only_ends(backend, pool, fork, client):
    """A child that does nothing with the store, or only closes it, leaves its parent's alone."""
    mine = {each["id"] for each in client.client_list()}

    fork(lambda _: backend.close()).end()
    fork(lambda _: None).end()

    assert mine == {each["id"] for each in client.client_list()}
    assert len(pool._available_connections) == 1


def test_parent_and_child_at_once(backend, fork):
    """Both sides of a fork speak at the same time and get their own answers."""
    backend.write(record(), replaces=None)

    def work(say):
        for turn in range(200):
            backend.write(record(f"child {turn}", user="child"), replaces=None)
            assert backend.read(digits(f"child {turn}")) == record(f"child {turn}", user="child")
        say("done")

    child = fork(work)
    for turn in range(200):
        backend.write(record(f"parent {turn}", user="parent"), replaces=None)
        assert backend.read(digits(f"parent {turn}")) == record(f"parent {turn}", user="parent")

    assert child.end() == ["done"]
    assert len(backend.find([mark("user", "child")])) == 200


def test_closed_while_in_use(backend):
    """`close` does not take the connection from another thread's call."""
    backend.write(record(), replaces=None)
    failed, stop = [], threading.Event()

    def work():
        try:
            while not stop.is_set():
                assert backend.read(ID) == record()
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
        threads = [threading.Thread(target=backend.read, args=(ID,)) for _ in range(4)]
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


def test_signal_handler(url):
    """A handler that asks in the midst of a call of the same thread gets its answer."""
    backend = RedisBackend(url, wait=1, wait_timeout=0.5)  # for a replica that there is not
    found = []
    before = signal.signal(signal.SIGUSR1, lambda *_: found.append(backend.read(ID)))
    try:
        me = threading.get_ident()
        threading.Timer(0.2, signal.pthread_kill, (me, signal.SIGUSR1)).start()

        assert "0 of 1 replicas" in refused(lambda: backend.write(record(), replaces=None))
    finally:
        signal.signal(signal.SIGUSR1, before)
    backend.close()

    assert found == [record()]
