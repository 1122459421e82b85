"""``sql+`` and a URL of SQLAlchemy's: the contract on other databases and drivers."""

from __future__ import annotations

import secrets
from functools import partial

import pytest

from tokenkeep.backends import open_backend
from tokenkeep.testing.backend_contract import BackendContract, SharedBackendContract


class TestContractOnSQLite(SharedBackendContract):
    @pytest.fixture
    def open_backend(self, tmp_path):
        return partial(open_backend, f"sql+sqlite:///{tmp_path}/tokens.db")
