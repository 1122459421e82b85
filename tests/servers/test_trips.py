"""How often a call of a store goes to a server and back: counted on the wire."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from cases import FIRST, ID, SECOND, mark, record, until

from tokenkeep.backends.base import FOUND_BY

WARM = 8
"""Drivers prepare what they have sent five times, which is a trip of its own."""


@pytest.fixture
def backend(connect, far):
    """A backend whose traffic is counted, with its connection open and all statements known."""
    backend = connect(far)
    backend.write(record(access="a", refresh="r"), replaces=None)
    backend.write(record("warm"), replaces=None)
    backend.delete(record("warm").id)
    backend.touch(ID, 1.0)
    backend.due(5.0, 10)
    for _ in range(WARM):
        backend.read(ID)
        backend.scan(None, 10)
        for marks in (ONE, EACH, SEVERAL):
            backend.find(marks)
    return backend


ONE = [mark("access", "a")]
EACH = [mark(field, "r") for field in FOUND_BY]
SEVERAL = [mark("owner", each) for each in ("x", "y", "of id")]


def test_one_trip_each(backend, proxy):
    """Reading, finding, saving and deleting take one round trip each; nothing comes with them."""
    calls = {
        "read": lambda: backend.read(ID),
        "find": lambda: backend.find(ONE),
        "find by each field": lambda: backend.find(EACH),
        "find several": lambda: backend.find(SEVERAL),
        "scan": lambda: backend.scan(None, 10),
        "scan by mark": lambda: backend.scan(None, 10, mark=mark("refresh", "r")),
        "due": lambda: backend.due(5.0, 10, after=(1.0, ID)),
        "insert": lambda: backend.write(record("new"), replaces=None),
        "replace": lambda: backend.write(record(version="2"), replaces=FIRST),
        "touch": lambda: backend.touch(ID, 7.0),
        "delete": lambda: backend.delete(ID, replaces=SECOND),
    }

    for name, call in calls.items():
        before = proxy.trips
        call()

        assert proxy.trips == before + 1, name


def test_idle_connections_that_were_closed(connect, far, proxy):
    """It is noticed before a write is sent, which would be lost; none of them is tried."""
    backend = connect(far)
    backend.write(record("first"), replaces=None)
    backend.close()
    until(lambda: proxy.alive == 0)
    proxy.hold()
    with ThreadPoolExecutor(3) as threads:
        reads = [threads.submit(backend.read, ID) for _ in range(3)]
        until(lambda: proxy.alive == 3)
        proxy.go_on()
        assert [each.result() for each in reads] == [None] * 3
    proxy.cut()
    until(lambda: proxy.alive == 0)

    backend.write(record(), replaces=None)
    assert backend.delete(ID, replaces=FIRST) is True


@pytest.mark.parametrize("server", ["mariadb", "postgres"], indirect=True)
def test_an_old_connection_is_replaced(connect, far, proxy, monkeypatch):
    """What a firewall may have dropped is not even asked: that would wait for its timeout."""
    monkeypatch.setattr("tokenkeep.backends.sql_database.RECYCLED", 0)
    backend = connect(far)
    before = proxy.connections

    assert backend.scan(None, 1) == []
    assert proxy.connections > before
