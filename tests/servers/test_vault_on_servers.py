"""Tokens in Redis: what users of a store are promised, on a server."""

from __future__ import annotations

from functools import partial

import pytest

from tokenkeep import KeyRing, Vault
from tokenkeep.backends import open_backend
from tokenkeep.testing import SharedSwapContract, StoreContract


def vault(url):
    return Vault(open_backend(url), KeyRing([bytes(32)]))


class TestRedis(StoreContract, SharedSwapContract):
    @pytest.fixture
    def open_store(self, redis_server):
        return partial(vault, redis_server.url())
