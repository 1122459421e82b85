"""Each test of this folder runs on both servers of SQL, unless it names one."""

from __future__ import annotations

from functools import partial

import pytest


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


@pytest.fixture(params=["mariadb", "postgres"])
def server(request):
    """A private server."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def admin_of():
    """Run SQL on a database as its administrator."""
    connections = []

    def admin_of(server, url):
        connections.append(connection := connect_as_admin(server, url))
        run = partial(_run, connection)
        run.connection = connection
        return run

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


def _run(connection, *statements):
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    return cursor.fetchall() if cursor.description else None
