"""Each test of this folder runs on both servers, unless it names one."""

from __future__ import annotations

import pytest
from counting_proxy import CountingProxy
from sql_cases import Opener, connect_as_admin


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
    proxy = CountingProxy(server.host, server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def admin_of():
    """Run SQL on a database as its administrator."""
    connections = []

    def admin_of(server, url):
        connections.append(connect_as_admin(server, url))
        return lambda *statements: _run(connections[-1], statements)

    yield admin_of
    for each in connections:
        each.close()


@pytest.fixture
def admin(admin_of, server, url):
    """Run SQL on that database as its administrator."""
    return admin_of(server, url)


@pytest.fixture
def rival(server, url):
    """A connection of somebody who takes locks."""
    connection = connect_as_admin(server, url, autocommit=False)
    yield connection
    connection.close()


def _run(connection, statements):
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    return cursor.fetchall() if cursor.description else None
