"""The official SDK in its four generations, unmodified, each in processes of its own."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from sdk_driver import GENERATIONS, Generation, sdk_for


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


@pytest.fixture(params=GENERATIONS)
def sdk(request, generations, zoho, tmp_path):
    """Each generation in turn."""
    yield from sdk_for(generations(request.param), zoho, tmp_path)


@pytest.fixture
def newest(generations, zoho, tmp_path):
    """The newest generation, for what does not depend on it."""
    yield from sdk_for(generations("8_0"), zoho, tmp_path)
