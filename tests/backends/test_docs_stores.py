"""docs/stores.md: each store is in it, and its example is a backend."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tokenkeep.backends import BACKENDS
from tokenkeep.testing.backend_contract import BackendContract

PAGE = (Path(__file__).parents[2] / "docs" / "stores.md").read_text()


class TestExample(BackendContract):
    """The backend that is shown keeps every promise."""

    @pytest.fixture
    def open_backend(self):
        names = {}
        exec(re.search(r"```python\n([^`]*class DictBackend.*?)```", PAGE, re.DOTALL)[1], names)
        backend = names["DictBackend"]()
        return lambda: backend


@pytest.mark.parametrize("scheme", BACKENDS)
def test_each_store_is_described(scheme):
    """Every scheme has a row of its own, and a test file."""
    written = scheme if scheme.endswith("+") else f"{scheme}:"
    assert re.search(rf"^\| `{re.escape(written)}", PAGE, re.MULTILINE)
    assert (Path(__file__).parent / f"test_{scheme.rstrip('+')}.py").exists()
