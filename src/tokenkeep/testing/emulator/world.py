"""What all the emulated servers share, and which port plays which of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .accounts import Accounts
from .clock import EmulatorClock
from .counters import Counters
from .device import Devices
from .faults import Faults
from .model import ENVIRONMENTS
from .options import Options
from .records import Records
from .registry import Registry
from .tokens import TokenEndpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Site:
    """
    One server, on a port of its own.

    Attributes:
        environment: None for the accounts server.
    """

    data_center: str
    environment: str | None


class World:
    """
    The provider's whole state.

    Args:
        data_centers: Names of the data centres, the first is the default.
    """

    def __init__(self, data_centers: Sequence[str]) -> None:
        self.clock: EmulatorClock = EmulatorClock()
        self.options: Options = Options()
        self.faults: Faults = Faults()
        self.counters: Counters = Counters()
        self.records: Records = Records(self.clock)
        self.registry: Registry = Registry(data_centers)
        self.accounts: Accounts = Accounts(self.registry, self.clock, self.options, self.counters)
        self.tokens: TokenEndpoint = TokenEndpoint(self.accounts, self.api_url)
        self.devices: Devices = Devices(self.accounts, self.tokens)
        self.sites: list[Site] = [
            Site(name, environment)
            for name in data_centers
            for environment in (None, *ENVIRONMENTS)
        ]
        self.ports: dict[Site, int] = {}

    def accounts_url(self, data_center: str) -> str:
        """Address of an accounts server."""
        return self._url(Site(data_center, None))

    def api_url(self, data_center: str, environment: str) -> str:
        """Address of an API server."""
        return self._url(Site(data_center, environment))

    def site(self, port: int) -> Site:
        """Which server plays on *port*."""
        return next(site for site, its in self.ports.items() if its == port)

    def _url(self, site: Site) -> str:
        if site not in self.ports:
            raise RuntimeError("the emulator has no addresses before it is started")
        return f"http://{HOST}:{self.ports[site]}"
