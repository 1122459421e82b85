"""Each kind of private server in turn, and a client for it."""

from __future__ import annotations

import pytest
from places import PLACES


@pytest.fixture(params=PLACES)
def kind(request):
    return request.param


@pytest.fixture
def server(kind, request):
    """A server, running again afterwards."""
    server = request.getfixturevalue(kind)
    yield server
    server.start()
    server.resume()


@pytest.fixture
def keep(kind):
    """What keeps one value at a URL."""
    return PLACES[kind]
