"""The memory backend: the contract, and what is special about it."""

from __future__ import annotations

import pytest

from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.testing.backend_contract import BackendContract


class TestContract(BackendContract):
    @pytest.fixture
    def open_backend(self):
        backend = MemoryBackend()
        return lambda: backend
