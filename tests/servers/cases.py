"""What the tests on servers share: records, places, and errors that have to come soon."""

from __future__ import annotations

import os
import socket
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from typing import NamedTuple

import pytest
from reported import reported

from tokenkeep.backends import Record
from tokenkeep.backends.base import MARKS, WIDTH
from tokenkeep.errors import StoreUnavailable

KINDS = ("mariadb", "postgres", "redis_server", "aws/secretsmanager", "aws/dynamodb")
"""Fixtures of the private servers; behind the slash, which of their services."""


class Place(NamedTuple):
    """An empty place on a private server, and a key for sealing there."""

    server: object
    url: str
    key: str

    @property
    def environment(self):
        """The environment of a process that works there; nothing else of tokenkeep is in it."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("TOKENKEEP_")}
        return env | {"TOKENKEEP_STORE": self.url, "TOKENKEEP_KEYS": self.key}


def digits(text):
    """Return the digits that stand for a short text; in the order of the texts."""
    return text.encode().hex().ljust(WIDTH, "0")


ID, FIRST, SECOND = digits("id"), digits("1"), digits("2")
"""The id of `record`, and two versions."""


def mark(field, text):
    return field, digits(text)


def record(name="id", version="1", **values):
    """Return a record to test with; version, owner and marks are given as short texts."""
    texts = {"version": version, "owner": f"of {name}"}
    texts |= {each: values.pop(each) for each in ("owner", *MARKS) if each in values}
    others = {"id": digits(name), "kind": "row", "key": 1, "sealed": b"sealed", **values}
    return Record(**{each: text and digits(text) for each, text in texts.items()}, **others)


def with_port(url, server, port):
    """Return a URL that goes through a proxy."""
    return url.replace(f":{server.port}/", f":{port}/")


def connect_as_admin(server, url, *, autocommit=True):
    """Return a connection of the administrator to the database of a URL."""
    database = url.rpartition("/")[2].partition("?")[0]
    if server.name == "MariaDB":
        import pymysql

        return pymysql.connect(**{**server.dsn, "database": database}, autocommit=autocommit)
    import psycopg

    arguments = {**server.dsn, "dbname": database}
    del arguments["database"]
    return psycopg.connect(**arguments, autocommit=autocommit)


def refused(work, kind=StoreUnavailable, *, within=5.0, secret="hunter2"):
    """Return the text of the error of *work*: soon, no driver's own, without a secret."""
    begun = time.monotonic()
    with pytest.raises(kind) as caught:
        work()
    assert time.monotonic() - begun < within
    shown = "".join(traceback.format_exception(caught.value))
    for driver in ("pymysql.err", "psycopg.errors", "sqlalchemy.exc"):
        assert driver not in shown
    assert secret not in reported(caught.value)
    return str(caught.value)


@contextmanager
def somebody_else(says, *, asked=False):
    """Yield the place of one who says this to each who comes, or who asks, and hangs up."""

    def serve():
        with suppress(OSError):
            while True:
                with listener.accept()[0] as client:
                    if asked:
                        client.recv(4096)
                    client.sendall(says)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def until(true):
    """Wait until something has become true."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
