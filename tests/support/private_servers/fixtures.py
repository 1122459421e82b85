"""
The private servers as fixtures: one each per run, or per worker of xdist, when asked for.

The databases don't wait for the disk: our tests kill servers, not machines. Redis does: the doctor
looks at that.
"""

from __future__ import annotations

import pytest

from .aws import AWS
from .mariadb import MariaDB
from .postgres import Postgres
from .redis import Redis
from .skipped import started


@pytest.fixture(scope="session")
def mariadb():
    """A MariaDB server."""
    yield from started(lambda: MariaDB(durable=False))


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server."""
    yield from started(lambda: Postgres(durable=False))


@pytest.fixture(scope="session")
def redis_server():
    """A Redis server."""
    yield from started(Redis)


@pytest.fixture(scope="session")
def aws():
    """AWS over HTTP. From here on the environment has its credentials, and no others."""
    for server in started(AWS):
        with pytest.MonkeyPatch.context() as patch:
            for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION"):
                patch.delenv(name, raising=False)
            for name, value in server.credentials.items():
                patch.setenv(name, value)
            yield server
