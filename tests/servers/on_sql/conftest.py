"""Each test of this folder runs on both servers of SQL, unless it names one."""

from __future__ import annotations

from contextlib import closing
from functools import partial

import pytest
from cases import connect_as_admin


@pytest.fixture(params=["mariadb", "postgres"])
def server(request):
    """A private server."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def admin(server, url):
    """Run SQL on that database as its administrator."""
    with closing(connect_as_admin(server, url)) as connection:
        yield partial(_run, connection)


@pytest.fixture
def rival(server, url):
    """A connection of somebody who takes locks."""
    with closing(connect_as_admin(server, url, autocommit=False)) as connection:
        yield connection


def _run(connection, *statements):
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    return cursor.fetchall() if cursor.description else None
