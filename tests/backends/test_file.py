from __future__ import annotations

from functools import partial

import pytest

from tokenkeep.backends.file import FileBackend
from tokenkeep.testing.backend_contract import SharedBackendContract


class TestContract(SharedBackendContract):
    @pytest.fixture
    def open_backend(self, tmp_path):
        return partial(FileBackend, tmp_path / "tokens.json")
