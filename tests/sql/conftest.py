"""Each test of this folder runs on both servers, unless it names one."""

from __future__ import annotations

import pytest
from sql_cases import Opener
from sql_proxy import Proxy


@pytest.fixture(params=["mariadb", "postgres"])
def server(request):
    """A private server."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def url(server):
    """The URL of an empty database."""
    return server.url()


@pytest.fixture
def connect():
    """Open a backend by its URL; it is closed at the end."""
    opener = Opener()
    yield opener
    opener.close()


@pytest.fixture
def backend(connect, url):
    """A backend on an empty database."""
    return connect(url)


@pytest.fixture
def proxy(server):
    """A way to the server that counts and breaks."""
    proxy = Proxy(server.host, server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def admin(server, url):
    """Run SQL on that database as its administrator."""
    connection = _connect(server, url)
    yield lambda *statements: _run(connection, statements)
    connection.close()


def _connect(server, url):
    """Return a connection of the administrator to the database of a URL."""
    database = url.rpartition("/")[2].partition("?")[0]
    arguments = {**server.dsn, "database": database}
    if url.startswith("mysql"):
        import pymysql

        return pymysql.connect(**arguments, autocommit=True)
    import psycopg

    arguments["dbname"] = arguments.pop("database")
    return psycopg.connect(**arguments, autocommit=True)


def _run(connection, statements):
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    return cursor.fetchall() if cursor.description else None
