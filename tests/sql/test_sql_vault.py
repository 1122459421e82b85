"""The vault over PostgreSQL: what users of a store are promised."""

from __future__ import annotations

import functools

import pytest

from tokenkeep import KeyRing, Vault
from tokenkeep.backends import open_backend
from tokenkeep.testing import SharedSwapContract, StoreContract


def vault(url):
    return Vault(open_backend(url), KeyRing([bytes(32)]), max_staleness=0.0)


@pytest.mark.slow(part="ci")
class TestPostgreSQL(StoreContract, SharedSwapContract):
    @pytest.fixture
    def open_store(self, postgres):
        return functools.partial(vault, postgres.url())
