"""
An offline Zoho: accounts servers of several data centres and the CRM behind them.

An independent program: it shares no code with the library it tests. Importing
it is cheap, Starlette and uvicorn load when the first emulator starts.
"""

from .addresses import DataCenterEmulator
from .clock import EmulatorClock
from .configuration import emulator_configuration
from .control import EmulatorControl
from .counters import Counters, CountersView
from .emulator import ZohoEmulator
from .faults import Fault, Faults
from .model import Client, User
from .options import Options
from .serving import EmulatorConfig, serve

__all__ = [
    "Client",
    "Counters",
    "CountersView",
    "DataCenterEmulator",
    "EmulatorClock",
    "EmulatorConfig",
    "EmulatorControl",
    "Fault",
    "Faults",
    "Options",
    "User",
    "ZohoEmulator",
    "emulator_configuration",
    "serve",
]
