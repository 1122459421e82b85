"""How often a call of a backend goes to the server and back: counted on the wire."""

from __future__ import annotations

import pytest
from sql_cases import FIRST, ID, SECOND, digits, make_idle, record, with_port

from tokenkeep.backends.base import FOUND_BY


@pytest.fixture
def backend(connect, proxy, server, url):
    """A backend whose traffic is counted, with its connection open and all statements known."""
    backend = connect(with_port(url, server, proxy.port))
    backend.write(record(access="a", refresh="r"), replaces=None)
    for _ in range(10):  # psycopg prepares what it has sent five times
        backend.read(ID)
        for marks in (ONE, EACH, SEVERAL):
            backend.find(marks)
    return backend


ONE = [("access", digits("a"))]
EACH = [(field, digits("r")) for field in FOUND_BY]
SEVERAL = [("owner", digits(each)) for each in ("x", "y", "of id")]


def test_one_trip_each(backend, proxy):
    """Reading, finding, saving and deleting take one round trip each; nothing comes with them."""
    calls = {
        "read": lambda: backend.read(ID),
        "find": lambda: backend.find(ONE),
        "find by each field": lambda: backend.find(EACH),
        "find several": lambda: backend.find(SEVERAL),
        "scan": lambda: backend.scan(None, 10),
        "scan by mark": lambda: backend.scan(None, 10, mark=("refresh", digits("r"))),
        "due": lambda: backend.due(5.0, 10, after=(1.0, ID)),
        "insert": lambda: backend.write(record("new"), replaces=None),
        "replace": lambda: backend.write(record(version="2"), replaces=FIRST),
        "touch": lambda: backend.touch(ID, 7.0),
        "delete": lambda: backend.delete(ID, replaces=SECOND),
    }

    trips = {name: proxy.counted(call) for name, call in calls.items()}

    assert dict.fromkeys(calls, 1) == trips


def test_very_many_values_in_one_trip(backend, proxy):
    """However many values are looked for, of however many fields."""
    marks = [(field, digits(str(n))) for field in ("owner", "access") for n in range(1500)]

    trips = proxy.counted(lambda: backend.find(marks))

    assert trips <= 2  # psycopg may ask what the statement is, the first time


def test_an_idle_connection_is_asked_first(backend, proxy):
    """Two trips where the connection was idle for a while; then one again."""
    make_idle(backend, 60)

    assert 2 == proxy.counted(lambda: backend.read(ID))
    assert 1 == proxy.counted(lambda: backend.read(ID))


def test_a_forgotten_connection_is_replaced(backend, proxy):
    """What a firewall may have dropped is not even asked: that would wait for its timeout."""
    proxy.swallow()
    make_idle(backend, 300)
    before = proxy.connections
    proxy.go_on()

    assert record(access="a", refresh="r") == backend.read(ID)
    assert before + 1 == proxy.connections
