"""Connections to a server: threads, forks and their end."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
import warnings

import pytest
from cases import ID, digits, record, until

from tokenkeep.backends import open_backend


def use(backend, name):
    assert backend.read(ID) == record()
    backend.write(record(name), replaces=None)
    assert backend.read(digits(name)) == record(name)


@pytest.fixture
def reading(backend):
    """Threads that read all the time, and get the right answers."""
    backend.write(record(), replaces=None)
    done, failures = threading.Event(), []

    def read():
        try:
            while not done.is_set():
                assert backend.read(ID) == record()
        except BaseException as exc:  # noqa: BLE001 - shown below
            failures.append(exc)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for each in threads:
        each.start()
    yield
    done.set()
    for each in threads:
        each.join()
    assert failures == []


@pytest.mark.parametrize("how", [os.fork, ctypes.PyDLL(None).fork], ids=["Python's", "C's"])
def test_a_child_has_its_own_connections(backend, fork, how, monkeypatch):
    """However it was forked, both sides work at once; and it collects its garbage and closes."""
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    backend.write(record(), replaces=None)

    def work(say):
        say("born")
        for n in range(50):
            use(backend, f"child {n}")
        backend.close()
        gc.collect()
        assert not unraisable

    child = fork(work, how)
    assert child.readline() == "born"
    for n in range(50):
        use(backend, f"parent {n}")
    child.end()
    backend.write(record("after"), replaces=None)  # not done again if its connection were lost
    assert len(backend.scan(None, 200)) == 102


@pytest.mark.usefixtures("reading")
def test_forks_beside_busy_threads(backend, fork):
    """Children work, whatever other threads of their parent were at when they were born."""
    for n in range(5):
        fork(lambda _, n=n: use(backend, f"child {n}")).end()

    assert len(backend.scan(None, 100)) == 6


@pytest.mark.usefixtures("reading")
def test_closed_while_in_use(backend):
    """`close` does not take the connection from another thread's call."""
    for _ in range(100):
        backend.close()


@pytest.fixture
def connections(server, url):
    """Return how many connections to that place the server has."""
    number = url.rpartition("/")[2]
    if server.name == "Redis":
        with server.connect() as client:
            yield lambda: sum(each["db"] == number for each in client.client_list())
        return
    count = (
        "SELECT count(*) FROM information_schema.processlist WHERE db = %s AND user = 'app'"
        if server.name == "MariaDB"
        else "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND usename = 'app'"
    )
    with server.connect() as admin:

        def counted():
            cursor = admin.cursor()
            cursor.execute(count, [number])
            return cursor.fetchone()[0]

        yield counted


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "forgotten"])
def test_no_connection_is_left(url, connections, closed):
    """After `close`, or when it is forgotten, nothing is open and nobody complains."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backend = open_backend(url)
        threads = [threading.Thread(target=backend.read, args=(ID,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert connections()
        if closed:
            backend.close()
        else:
            del backend
        del threads, thread
        gc.collect()

        until(lambda: not connections())
