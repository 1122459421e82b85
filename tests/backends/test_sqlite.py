from __future__ import annotations

from functools import partial

import pytest

from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.testing.backend_contract import BackendContract, SharedBackendContract


class TestContract(SharedBackendContract):
    @pytest.fixture
    def open_backend(self, tmp_path):
        return partial(SQLiteBackend, tmp_path / "tokens.db")


class TestContractInMemory(BackendContract):
    @pytest.fixture
    def open_backend(self):
        backend = SQLiteBackend(":memory:")
        return lambda: backend
