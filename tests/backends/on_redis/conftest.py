"""A Redis place of its own for each test, with a client beside the backend."""

from __future__ import annotations

import pytest
from redis_store import client_of

from tokenkeep.backends.redis import RedisBackend


@pytest.fixture
def url(redis_server):
    return redis_server.url()


@pytest.fixture
def client(url):
    with client_of(url) as client:
        yield client


@pytest.fixture
def backend(url):
    backend = RedisBackend(url)
    yield backend
    backend.close()
