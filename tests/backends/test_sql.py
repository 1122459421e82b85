"""``sql+`` and a URL of SQLAlchemy's: the contract on other databases than the two servers."""

from __future__ import annotations

from functools import partial

import pytest

from tokenkeep.backends import open_backend
from tokenkeep.testing.backend_contract import BackendContract, SharedBackendContract


class TestContractOnSQLite(SharedBackendContract):
    @pytest.fixture
    def open_backend(self, tmp_path):
        return partial(open_backend, f"sql+sqlite:///{tmp_path}/tokens.db")


class TestContractOnDuckDB(BackendContract):
    """A dialect of another package, for a database that one process has to itself."""

    # In the midst of a statement its driver raises an error of its own in the handler's place.
    test_interrupted = None

    @pytest.fixture
    def open_backend(self, tmp_path):
        return partial(open_backend, f"sql+duckdb:///{tmp_path}/tokens.duckdb")
