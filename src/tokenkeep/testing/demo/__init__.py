"""The demo: real processes, the official SDK and an offline Zoho; every claim is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.testing import ZohoEmulator


def main(
    store_url: str | None = None,
    *,
    keep: bool = False,
    trouble: Callable[[ZohoEmulator], object] | None = None,
) -> int:
    """
    Run the demo.

    Args:
        store_url: The store to show, which must be empty. None means a SQLite
            file in a temporary folder.
        keep: Leave that folder, or what was written to the store that was
            given, to look around.
        trouble: Called with the emulator before the demo begins; for tests of
            the demo, which have to see it fail. None means none.

    Returns:
        0 if every claim holds, else 1.

    Raises:
        ModuleNotFoundError: The SDK or what the emulator needs is not installed.
    """
    from importlib.util import find_spec

    if find_spec("zohocrmsdk") is None:
        raise ModuleNotFoundError("The official SDK is not installed", name="zohocrmsdk")
    from tokenkeep.testing.demo.run import run

    return run(store_url, keep=keep, trouble=trouble)
