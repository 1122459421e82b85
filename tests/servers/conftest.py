"""One test for every kind of server that tokens can be kept on."""

from __future__ import annotations

import pytest
from cloud import KINDS, Place

from tokenkeep import generate_key


@pytest.fixture(params=KINDS)
def place(request):
    """A new, empty place on a real server of each kind, with a key for it."""
    fixture, *service = request.param.split("/")
    server = request.getfixturevalue(fixture)
    return Place(request.param, server, server.url(*service), generate_key())
