"""
An offline Zoho: accounts servers of several data centres and the CRM behind them.

An independent program, of the standard library alone: it shares no code with
the library it tests.
"""

from .accounts import Client, DataCenterEmulator, User
from .calls import Counters, Fault, Faults
from .control import EmulatorControl
from .emulator import ZohoEmulator, emulator_configuration, serve
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
