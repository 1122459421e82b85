"""Redis: a place for each test, with a client and an administrator beside the backend."""

from __future__ import annotations

import pytest
from redis_keys import client_of


@pytest.fixture
def server(redis_server):
    """The server of all."""
    return redis_server


@pytest.fixture
def client(url):
    with client_of(url) as client:
        yield client


@pytest.fixture
def admin(server):
    with server.connect() as client:
        yield client


@pytest.fixture
def setting(admin):
    """Change the server's settings until the test ends."""
    before = {}

    def change(name, value):
        before.setdefault(name, admin.config_get(name)[name])
        admin.config_set(name, value)

    yield change
    for name, value in before.items():
        admin.config_set(name, value)


@pytest.fixture
def user(admin, url):
    """Return the URL of a user with some rights, whose password is hunter2."""

    def make(*rules):
        admin.execute_command("ACL", "SETUSER", "app", "reset", "on", ">hunter2", *rules)
        return f"redis://app:hunter2@{url.partition('@')[2]}"

    yield make
    admin.acl_deluser("app")
