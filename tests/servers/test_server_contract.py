"""Each backend on a server keeps its promises when that fails."""

from __future__ import annotations

from contextlib import contextmanager
from urllib.parse import urlencode

import pytest
from private_servers.ports import free_port

from tokenkeep.backends import open_backend
from tokenkeep.testing import ServerContract


class TestMariaDB(ServerContract):
    test_full = None  # on_sql/test_sql_room.py

    @pytest.fixture
    def server(self, mariadb):
        return mariadb

    @pytest.fixture
    def open_at(self, server):
        return opener(server, timeout=0.5)

    @pytest.fixture
    def read_only(self, server):
        def ask(value):
            with server.connect() as admin:
                admin.cursor().execute(f"SET GLOBAL read_only = {value}")

        return lambda: switched(ask, 1, 0)


class TestPostgreSQL(ServerContract):
    test_full = None  # on_sql/test_sql_room.py

    @pytest.fixture
    def server(self, postgres):
        return postgres

    @pytest.fixture
    def open_at(self, server):
        return opener(server, timeout=0.5)

    @pytest.fixture
    def read_only(self, server):
        def ask(value):
            with server.connect() as admin:
                admin.execute(f"ALTER ROLE app SET default_transaction_read_only = {value}")
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"
                )

        return lambda: switched(ask, "on", "off")


class TestRedis(ServerContract):
    @pytest.fixture
    def server(self, redis_server):
        return redis_server

    @pytest.fixture
    def open_at(self, server):
        return opener(server, socket_timeout=0.5, socket_connect_timeout=0.5)

    @pytest.fixture
    def full(self, server):
        def ask(value):
            with server.connect() as admin:
                admin.config_set("maxmemory", value)

        return lambda: switched(ask, 1, 0)

    @pytest.fixture
    def read_only(self, server):
        def ask(primary):
            with server.connect() as admin:
                admin.replicaof(*primary)

        return lambda: switched(ask, ("127.0.0.1", free_port()), ("NO", "ONE"))


class TestDynamoDB(ServerContract):
    patience = 4.0
    sends_again = True
    test_full = test_read_only = None

    @pytest.fixture
    def server(self, aws):
        return aws

    @pytest.fixture
    def open_at(self, server):
        opened = opener(server, timeout=1.0)
        open_backend(server.url("dynamodb")).close()  # boto3 has read its description by then
        return opened


def opener(server, **options):
    """Open one place of the server, by whichever host and port, in a hurry."""
    url = server.url("dynamodb") if server.name == "AWS (moto)" else server.url()
    url = f"{url}{'&' if '?' in url else '?'}{urlencode(options)}"

    def open_at(host, port):
        told = url
        for each in (":", "%3A"):
            told = told.replace(f"{server.host}{each}{server.port}", f"{host}{each}{port}")
        return open_backend(told)

    return open_at


@contextmanager
def switched(ask, on, off):
    """Have a server behave in some way."""
    ask(on)
    try:
        yield
    finally:
        ask(off)
