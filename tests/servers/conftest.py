"""One test for every kind of server that tokens can be kept on, or for those behind a socket."""

from __future__ import annotations

from contextlib import ExitStack, closing

import pytest
from cases import KINDS, Place, with_port

from tokenkeep import generate_key
from tokenkeep.backends import open_backend
from tokenkeep.testing import Proxy


@pytest.fixture(params=KINDS)
def place(request):
    """A new, empty place on a real server of each kind, with a key for it."""
    fixture, *service = request.param.split("/")
    server = request.getfixturevalue(fixture)
    return Place(server, server.url(*service), generate_key())


@pytest.fixture(params=["mariadb", "postgres", "redis_server"])
def server(request):
    """A private server of each kind that is spoken to by one connection after another."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def url(server):
    """The URL of an empty place there."""
    return server.url()


@pytest.fixture
def connect():
    """Open a backend by its URL; it is closed at the end."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(closing(open_backend(url)))


@pytest.fixture
def backend(connect, url):
    """A backend on an empty place."""
    return connect(url)


@pytest.fixture
def proxy(server):
    """A way to the server that counts and breaks."""
    with closing(Proxy(server.host, server.port)) as proxy:
        yield proxy


@pytest.fixture
def far(server, url, proxy):
    """The URL of that place by way of the proxy."""
    return with_port(url, server, proxy.port)
