"""The Redis backend on a real server: the contract, and what is special about it."""

from __future__ import annotations

from functools import partial

import pytest

from tokenkeep.backends.redis import RedisBackend
from tokenkeep.testing.backend_contract import SharedBackendContract


class TestContract(SharedBackendContract):
    @pytest.fixture
    def open_backend(self, redis_server):
        return partial(RedisBackend, redis_server.url())
