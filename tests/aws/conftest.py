"""Stores at AWS for the tests, straight and through the proxy: secrets, unless told otherwise."""

from __future__ import annotations

from types import SimpleNamespace

import boto3
import pytest
from aws_proxy import Proxy, with_options

from tokenkeep.backends import open_backend


@pytest.fixture
def service():
    return "secretsmanager"


@pytest.fixture
def proxy(aws):
    with Proxy(aws.endpoint_url).running() as proxy:
        yield proxy


@pytest.fixture
def url(aws, service):
    return aws.url(service)


@pytest.fixture
def place(url):
    """The table, or what the names of the secrets begin with."""
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def backend(url):
    backend = open_backend(url)
    yield backend
    backend.close()


@pytest.fixture
def watched(url, proxy):
    """The same store, by way of the proxy."""
    watched = open_backend(with_options(proxy.of(url), timeout=6))
    yield watched
    watched.close()


@pytest.fixture
def client(aws, service):
    client = boto3.client(service, endpoint_url=aws.endpoint_url)
    yield client
    client.close()


@pytest.fixture
def no_waiting(monkeypatch):
    """Who tries again for a time does so at once: that time goes by in sleeps, which take none."""
    gone = [0.0]
    clock = SimpleNamespace(monotonic=lambda: sum(gone), sleep=gone.append)
    monkeypatch.setattr("tokenkeep.backends.aws.time", clock)
