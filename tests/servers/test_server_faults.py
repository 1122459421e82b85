"""Servers that die, hang and are cut off: named errors within a bounded time, nothing twice."""

from __future__ import annotations

import gc
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pymysql
import pytest
from cases import FIRST, ID, digits, make_idle, mark, record, refused, until, with_port
from private_servers.ports import free_port
from pymysql.constants import COMMAND

from tokenkeep.errors import StoreConflict, StoreUnavailable

CALLS = {
    "read": lambda backend: backend.read(ID),
    "find": lambda backend: backend.find([mark("access", "a"), ("id", ID)]),
    "write": lambda backend: backend.write(record(version="2"), replaces=FIRST),
    "delete": lambda backend: backend.delete(ID),
    "touch": lambda backend: backend.touch(ID, 5.0),
    "scan": lambda backend: backend.scan(None, 10),
    "due": lambda backend: backend.due(5.0, 10),
    "clear": lambda backend: backend.clear(),
}


def answers(backend):
    """Tell whether it does now: within its second, a busy machine may not get that far."""
    with suppress(StoreUnavailable):
        backend.scan(None, 10)
        return True
    return False


def test_server_is_down(backend, server):
    """A server that is not there is an error that names it, at once; afterwards all is well."""
    backend.write(record(), replaces=None)
    server.kill()
    try:
        for name, call in CALLS.items():
            # Whose frames show no password, although a connection is to be made anew.
            said = refused(lambda call=call: call(backend), secret=server.password)
            assert str(server.port) in said, name
    finally:
        server.start()

    assert record() == backend.read(ID)


def test_nobody_listens(connect, url, server):
    """A port without a server is named."""
    port = free_port()

    said = refused(lambda: connect(with_port(url, server, port)))

    assert re.search("reached|refused", said)
    assert str(port) in said


def test_unknown_host(connect, url):
    """A name that leads nowhere is repeated."""
    elsewhere = url.replace("127.0.0.1", "no-such-host.invalid")

    assert "no-such-host.invalid" in refused(lambda: connect(elsewhere))


def test_reads_outlive_a_restart(backend, server):
    """A read is asked again on a new connection, however many idle ones have died meanwhile."""
    backend.write(record(), replaces=None)
    server.pause()
    with ThreadPoolExecutor(4) as threads:
        reads = [threads.submit(backend.read, ID) for _ in range(4)]
        time.sleep(0.3)  # until each has a connection of its own
        server.resume()
        assert [record()] * 4 == [each.result() for each in reads]

    server.kill()
    server.start()

    assert record() == backend.read(ID)


@pytest.mark.parametrize("name", CALLS)
def test_a_stopped_server(connect, server, url, haste, name):
    """A server that hangs is given up within the timeout, whatever was asked."""
    backend = connect(f"{url}?{haste.options}")
    backend.write(record(), replaces=None)
    server.pause()
    try:
        refused(lambda: CALLS[name](backend), within=haste.within)
    finally:
        server.resume()

    until(lambda: answers(backend))


@pytest.mark.parametrize("idle", [0, 60])
@pytest.mark.parametrize("name", ["read", "write"])
def test_an_answer_that_drips(through, proxy, haste, name, idle):
    """Each byte comes in time; the whole does not, and is not waited for. A ping's likewise."""
    make_idle(through, idle)
    proxy.drip(haste.drip)

    refused(lambda: CALLS[name](through), within=haste.within)

    proxy.go_on()
    until(lambda: answers(through))


@pytest.mark.parametrize("trouble", ["silent", "dripping"])
def test_opening_ends_in_time(connect, proxy, far, haste, trouble):
    """Nor is a server waited for that accepts a connection, and then says too little."""
    if trouble == "silent":
        proxy.swallow()
    else:
        proxy.drip(haste.drip)

    refused(lambda: connect(f"{far}?{haste.options}"), within=haste.within + 2)


@pytest.mark.parametrize(("lost", "stored"), [("question", "1"), ("answer", "2")])
def test_a_lost_write_is_not_sent_again(through, proxy, backend, lost, stored):
    """A write whose answer is lost may have been done: it is an error, and sent once."""
    proxy.cut_the_next(lost)

    trips = proxy.counted(
        lambda: refused(lambda: through.write(record(version="2"), replaces=FIRST))
    )

    assert trips == 1
    until(lambda: backend.read(ID) == record(version=stored))
    with pytest.raises(StoreConflict):
        through.write(record(version="3"), replaces=digits("wrong"))
    through.write(record(version="3"), replaces=digits(stored))
    assert backend.read(ID) == record(version="3")


@pytest.mark.parametrize("lost", ["question", "answer"])
def test_a_lost_read_is_sent_again(through, proxy, lost):
    """A question that changes nothing is asked once more when its connection is lost."""
    for ask, found in (
        (lambda: through.read(ID), record()),
        (lambda: through.find([mark("owner", "of id")]), [record()]),
    ):
        proxy.cut_the_next(lost)
        assert ask() == found


class Stop(BaseException):
    pass


@contextmanager
def on_alarm(handle):
    """Let a function handle the alarms that are set meanwhile."""
    before = signal.signal(signal.SIGALRM, lambda *_: handle())
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("waiting_for", ["the answer", "the login", "the ping"])
def test_an_interrupted_answer_is_nobody_elses(backend, server, waiting_for):
    """What a signal left unread is not taken by the next call for its own answer."""
    backend.write(record(), replaces=None)
    backend.write(record("other"), replaces=None)
    if waiting_for == "the login":
        backend.close()
    elif waiting_for == "the ping":
        make_idle(backend, 60)

    def stop():
        raise Stop

    server.pause()
    try:
        with on_alarm(stop):
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(Stop):
                backend.write(record(version="2"), replaces=FIRST)
        threading.Timer(0.3, server.resume).start()
        with pytest.raises(StoreConflict):
            backend.write(record("other", "2"), replaces=digits("wrong"))
    finally:
        server.resume()

    assert record("other") == backend.read(digits("other"))


@pytest.mark.parametrize("server", ["mariadb"], indirect=True)
def test_interrupted_behind_a_ping(backend, server, monkeypatch):
    """Nor is the answer to PyMySQL's ping, whose rest nobody has begun to read."""
    send = pymysql.connections.Connection._execute_command

    def sending(connection, command, sql):
        send(connection, command, sql)
        if command == COMMAND.COM_PING:
            monkeypatch.undo()
            raise Stop

    backend.write(record(), replaces=None)
    make_idle(backend, 60)
    server.pause()
    try:
        monkeypatch.setattr(pymysql.connections.Connection, "_execute_command", sending)
        with pytest.raises(Stop):
            backend.read(ID)
        gc.collect()
        threading.Timer(0.3, server.resume).start()
        with pytest.raises(StoreConflict):
            backend.write(record(version="2"), replaces=digits("wrong"))
    finally:
        server.resume()

    assert record() == backend.read(ID)


def test_a_signal_handler_may_ask(backend):
    """A handler that asks in the midst of a call gets its answer; so does the call."""
    backend.write(record(), replaces=None)
    backend.write(record("other"), replaces=None)
    answers, found = [], []

    with on_alarm(lambda: answers.append(backend.read(digits("other")))):
        for turn in range(200):
            signal.setitimer(signal.ITIMER_REAL, 0.00001 * (turn % 50 + 1))
            found.append(backend.read(ID))

    assert [record()] * 200 == found
    assert answers
    assert all(answer == record("other") for answer in answers)
