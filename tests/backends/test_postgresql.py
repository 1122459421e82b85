"""PostgreSQL's URL: the contract. What is special about servers is in tests/sql."""

from __future__ import annotations

import secrets
from functools import partial

import pytest

from tokenkeep.backends import open_backend
from tokenkeep.testing.backend_contract import SharedBackendContract


@pytest.fixture(scope="module")
def database(postgres):
    """The URL of a database whose texts are in the order of a language, as most are."""
    name = f"app_{secrets.token_hex(5)}"
    with postgres.connect() as connection:
        connection.execute(
            f"CREATE DATABASE {name} OWNER app TEMPLATE template0 ENCODING 'UTF8' "
            "LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
        )
    return f"{postgres.url().rpartition('/')[0]}/{name}"


class TestContract(SharedBackendContract):
    @pytest.fixture
    def open_backend(self, database):
        return partial(open_backend, f"{database}?table=t_{secrets.token_hex(5)}")
