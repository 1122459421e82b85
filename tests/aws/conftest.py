"""Stores at AWS for the tests, straight and through the proxy: secrets, unless told otherwise."""

from __future__ import annotations

import boto3
import pytest
from aws_proxy import Proxy, with_options
from aws_records import own

from tokenkeep.backends import open_backend


@pytest.fixture
def proxy(aws):
    with Proxy(aws.endpoint_url).running() as proxy:
        yield proxy


@pytest.fixture
def url(aws):
    return aws.url()


@pytest.fixture
def prefix(url):
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def backend(url):
    backend = open_backend(url)
    yield backend
    backend.close()


@pytest.fixture
def watched(url, proxy):
    """The same secrets, by way of the proxy."""
    watched = open_backend(with_options(proxy.of(url), timeout=3))
    yield watched
    watched.close()


@pytest.fixture
def client(aws):
    client = boto3.client("secretsmanager", endpoint_url=aws.endpoint_url)
    yield client
    client.close()


@pytest.fixture
def is_scheduled(client, prefix):
    """Whether the one thing's secret is scheduled for deletion."""
    return lambda: "DeletedDate" in client.describe_secret(SecretId=f"{prefix}/{own().id}")


@pytest.fixture
def names(client, prefix):
    """The names of all secrets there are, scheduled for deletion or not."""

    def names():
        found = client.list_secrets(
            Filters=[{"Key": "name", "Values": [f"{prefix}/"]}], IncludePlannedDeletion=True
        )
        return [each["Name"] for each in found["SecretList"]]

    return names
