"""The pytest plugin: a Zoho of its own for every test that asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .emulator import ZohoEmulator


@pytest.fixture
def zoho() -> Iterator[ZohoEmulator]:
    """
    Serve a fresh Zoho emulator with the data centres ``us`` and ``eu``.

    It lives as long as the test.
    """
    # Loaded here, so that test runs without this fixture don't pay for it.
    from .emulator import ZohoEmulator

    with ZohoEmulator(data_centers=("us", "eu")) as emulator:
        yield emulator
