"""
An offline Zoho: accounts servers of several data centres and the CRM behind them.

An independent program, of the standard library alone: it shares no code with
the library it tests.
"""

from .configuration import emulator_configuration
from .control import EmulatorControl
from .counters import Counters
from .emulator import ZohoEmulator, serve
from .faults import Fault, Faults
from .model import Client, DataCenterEmulator, User
from .options import EmulatorClock, Options

__all__ = [
    "Client",
    "Counters",
    "DataCenterEmulator",
    "EmulatorClock",
    "EmulatorControl",
    "Fault",
    "Faults",
    "Options",
    "User",
    "ZohoEmulator",
    "emulator_configuration",
    "serve",
]
