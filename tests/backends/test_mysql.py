"""MySQL's URL: the contract, on MariaDB. What is special about servers is in tests/sql."""

from __future__ import annotations

from functools import partial

import pytest

from tokenkeep.backends import open_backend
from tokenkeep.testing.backend_contract import SharedBackendContract


class TestContract(SharedBackendContract):
    @pytest.fixture
    def open_backend(self, mariadb):
        return partial(open_backend, mariadb.url())
