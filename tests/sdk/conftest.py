"""The official SDK in its four generations, unmodified, each in processes of its own."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from sdk_driver import SDK, Generation


@pytest.fixture(scope="session")
def generations():
    """Return a generation by name, loaded when it is first asked for."""
    loaded = {}
    with ExitStack() as closing:

        def load(name):
            if name not in loaded:
                loaded[name] = Generation(name)
                closing.callback(loaded[name].close)
            return loaded[name]

        yield load


@pytest.fixture
def sdk(request, generations, zoho, tmp_path):
    """The newest generation, or the one that `each_generation` names."""
    generation = generations(getattr(request, "param", "8_0"))
    with ExitStack() as closing:
        yield SDK(generation, zoho, tmp_path, closing)
