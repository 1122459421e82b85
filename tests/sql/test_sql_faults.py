"""Servers that die, hang and are cut off: named errors within a bounded time, nothing twice."""

from __future__ import annotations

import gc
import signal
import threading
import time

import pymysql
import pytest
from pymysql.constants import COMMAND
from sql_cases import FIRST, ID, digits, make_idle, record, with_port

from tokenkeep.errors import StoreConflict, StoreUnavailable

QUICK = "?timeout=1"

CALLS = {
    "read": lambda backend: backend.read(ID),
    "find": lambda backend: backend.find([("access", digits("a")), ("id", ID)]),
    "write": lambda backend: backend.write(record(version="2"), replaces=FIRST),
    "delete": lambda backend: backend.delete(ID),
    "touch": lambda backend: backend.touch(ID, 5.0),
    "scan": lambda backend: backend.scan(None, 10),
    "due": lambda backend: backend.due(5.0, 10),
    "clear": lambda backend: backend.clear(),
}


@pytest.fixture
def through(connect, proxy, server, url):
    """A backend behind a proxy, with a short timeout and a record."""
    backend = connect(with_port(url, server, proxy.port) + QUICK)
    backend.write(record(), replaces=None)
    return backend


def test_reads_outlive_a_restart(backend, server):
    """A read on a connection that died meanwhile is asked again, on a new one."""
    backend.write(record(), replaces=None)

    server.kill()
    server.start()

    assert record() == backend.read(ID)


def test_a_write_on_a_dead_connection_is_not_repeated(backend, server):
    """Whether the server had it is not known: that is said, and the next call works."""
    backend.write(record(), replaces=None)
    server.kill()
    server.start()

    with pytest.raises(StoreUnavailable, match="not known"):
        backend.write(record(version="2"), replaces=FIRST)

    assert record() == backend.read(ID)
    backend.write(record(version="2"), replaces=FIRST)


@pytest.mark.parametrize("threads", [4])
def test_all_threads_outlive_a_restart(connect, server, url, threads):
    """One dead connection found, all idle ones are dropped: no thread trips over the next."""
    backend = connect(url)
    backend.write(record(), replaces=None)
    barrier = threading.Barrier(threads)
    answers = []

    def work():
        barrier.wait()
        answers.append(backend.read(ID))

    def all_at_once():
        workers = [threading.Thread(target=work) for _ in range(threads)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()

    all_at_once()
    server.kill()
    server.start()
    all_at_once()

    assert [record()] * (2 * threads) == answers


def test_server_is_down(backend, server):
    """A server that is not there is an error that names it, at once."""
    backend.write(record(), replaces=None)
    server.kill()
    try:
        for name, call in CALLS.items():
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable) as caught:
                call(backend)
            assert str(server.port) in str(caught.value), name
            assert time.monotonic() - begun < 5
    finally:
        server.start()

    assert record() == backend.read(ID)


@pytest.mark.parametrize("name", CALLS)
def test_a_stopped_server(connect, server, url, name):
    """A server that hangs is given up within the timeout, whatever was asked."""
    backend = connect(url + QUICK)
    backend.write(record(), replaces=None)
    server.pause()
    try:
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable):
            CALLS[name](backend)
        took = time.monotonic() - begun
    finally:
        server.resume()

    assert took < 5
    backend.scan(None, 10)


def test_a_stopped_server_is_not_waited_for_when_opening(connect, server, url):
    """A first connection ends in time too."""
    server.pause()
    try:
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable):
            connect(url + QUICK)
        assert time.monotonic() - begun < 6
    finally:
        server.resume()


@pytest.mark.parametrize("name", ["read", "write"])
def test_dropped_packets(through, proxy, name):
    """A firewall that swallows everything is found out within the timeout."""
    proxy.swallow()

    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        CALLS[name](through)

    assert time.monotonic() - begun < 5
    proxy.go_on()
    assert through.scan(None, 10)


DRIP = {"MariaDB": 0.2, "PostgreSQL": 0.05}
"""psycopg looks at the clock whenever a tenth of a second brings nothing."""


@pytest.mark.parametrize("idle", [0, 60])
@pytest.mark.parametrize("name", ["read", "write"])
def test_an_answer_that_drips(through, proxy, server, name, idle):
    """Each byte comes in time; the whole does not, and is not waited for. A ping's likewise."""
    make_idle(through, idle)
    proxy.drip(DRIP[server.name])

    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        CALLS[name](through)

    assert time.monotonic() - begun < 4
    proxy.go_on()
    assert through.scan(None, 10)


def test_a_login_that_drips(connect, proxy, server, url):
    """Nor when the store is opened."""
    proxy.drip(DRIP[server.name])

    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        connect(with_port(url, server, proxy.port) + QUICK)

    assert time.monotonic() - begun < 6


def test_the_answer_to_a_write_is_lost(through, proxy, connect, url):
    """A write whose answer never came is not made again: it stands once, by its own version."""
    proxy.cut_the_next_answer()

    with pytest.raises(StoreUnavailable, match="not known"):
        through.write(record(version="2"), replaces=FIRST)

    other = connect(url)
    for _ in range(50):  # the server may still be at it
        if other.read(ID) == record(version="2"):
            break
        time.sleep(0.1)
    assert record(version="2") == other.read(ID)
    with pytest.raises(StoreConflict):
        through.write(record(version="2"), replaces=FIRST)


def test_the_answer_to_a_read_is_lost(through, proxy):
    """A read whose answer never came is asked again."""
    proxy.cut_the_next_answer()

    assert record() == through.read(ID)


def test_an_interrupted_answer_is_nobody_elses(through, proxy):
    """After an exception in the midst of a call, the next one gets its own answer."""
    through.write(record("other"), replaces=None)
    backend = through

    class Stop(BaseException):
        pass

    def stop(*_):
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    proxy.swallow()
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(Stop):
            backend.read(ID)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        proxy.go_on()

    assert record("other") == backend.read(digits("other"))


@pytest.mark.parametrize("server", ["mariadb"], indirect=True)
def test_an_interrupted_ping_is_nobody_elses_answer(backend, server, monkeypatch):
    """A signal behind the ping of an idle connection leaves an answer that no call takes."""

    class Stop(BaseException):
        pass

    def stop(*_):
        raise Stop

    send = pymysql.connections.Connection._execute_command
    sent = []

    def sending(connection, command, sql):
        send(connection, command, sql)
        sent.append(command)
        if sent == [COMMAND.COM_PING]:
            signal.raise_signal(signal.SIGUSR1)

    backend.write(record(), replaces=None)
    backend.write(record("other"), replaces=None)
    make_idle(backend, 60)
    before = signal.signal(signal.SIGUSR1, stop)
    server.pause()
    try:
        monkeypatch.setattr(pymysql.connections.Connection, "_execute_command", sending)
        with pytest.raises(Stop):
            backend.read(ID)
        gc.collect()
        threading.Timer(0.3, server.resume).start()
        backend.write(record(version="2"), replaces=FIRST)
        with pytest.raises(StoreConflict):
            backend.write(record("other", version="2"), replaces=digits("wrong"))
    finally:
        server.resume()
        signal.signal(signal.SIGUSR1, before)

    assert [record(version="2"), record("other")] == backend.scan(None, 10)


def test_a_signal_handler_may_ask(backend):
    """A handler that asks in the midst of a call gets its answer; so does the call."""
    backend.write(record(), replaces=None)
    backend.write(record("other"), replaces=None)
    answers = []
    before = signal.signal(
        signal.SIGALRM, lambda *_: answers.append(backend.read(digits("other")))
    )
    found = []
    try:
        for turn in range(200):
            signal.setitimer(signal.ITIMER_REAL, 0.00001 * (turn % 50 + 1))
            found.append(backend.read(ID))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert [record()] * 200 == found
    assert answers
    assert all(answer == record("other") for answer in answers)


def test_all_connections_in_use(connect, url):
    """A thread that gets no connection in time is told so, and what to raise."""
    backend = connect(f"{url}?timeout=0.5&pool_size=1&max_overflow=0")
    held = backend._connections._ready().connect()

    with pytest.raises(StoreUnavailable, match=r"were in use for 0\.5 seconds.* pool_size"):
        backend.read(ID)

    held.close()
    assert backend.read(ID) is None
