"""
Support for tests, public: an offline Zoho, contracts for stores and backends, a clock.

Nothing is loaded before it is asked for by name, so the pytest plugin costs
projects that don't use it next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backend_contract import BackendContract as BackendContract
    from .backend_contract import RevisionContract as RevisionContract
    from .backend_contract import SharedBackendContract as SharedBackendContract
    from .emulator import EmulatorControl as EmulatorControl
    from .emulator import ZohoEmulator as ZohoEmulator
    from .emulator import emulator_configuration as emulator_configuration
    from .emulator import serve as serve
    from .fake_clock import FakeClock as FakeClock
    from .proxy import Proxy as Proxy
    from .server_contract import Server as Server
    from .server_contract import ServerContract as ServerContract
    from .store_contract import StoreContract as StoreContract
    from .swap_contract import SharedSwapContract as SharedSwapContract
    from .swap_contract import SwapContract as SwapContract

_HOMES = {
    "backend_contract": ("BackendContract", "RevisionContract", "SharedBackendContract"),
    "emulator": ("EmulatorControl", "ZohoEmulator", "emulator_configuration", "serve"),
    "fake_clock": ("FakeClock",),
    "proxy": ("Proxy",),
    "server_contract": ("Server", "ServerContract"),
    "store_contract": ("StoreContract",),
    "swap_contract": ("SharedSwapContract", "SwapContract"),
}

_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605  # one list is enough to keep


def __getattr__(name: str) -> Any:
    """Load a public name from where it lives."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(_HOME)
