"""The parts of the desk, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import tokenkeep
from crm_desk.crm import Crm
from crm_desk.ending import UnderWay
from crm_desk.ledger import Ledger
from crm_desk.pages import Pages
from crm_desk.sessions import session_key
from crm_desk.threads import Threads
from tokenkeep.providers.zoho import Zoho
from tokenkeep.providers.zoho_data_centers import DataCenters

if TYPE_CHECKING:
    from crm_desk.settings import Settings
    from crm_desk.strip import Strip


NAMES = {
    "us": "United States",
    "eu": "Europe",
    "in": "India",
    "au": "Australia",
    "cn": "China",
    "jp": "Japan",
    "ca": "Canada",
    "sa": "Saudi Arabia",
    "uk": "United Kingdom",
    "ae": "United Arab Emirates",
    "sg": "Singapore",
}
"""Of data centres, for people."""


class Desk:
    """
    What all pages share; one for each worker.

    Args:
        settings: What is configured.

    Raises:
        TokenKeepError: It can't run like this.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.key = session_key(settings)
        self.ledger = Ledger(settings.folder / "desk.db", self.key)
        self.crm = Crm(settings, self.ledger)
        self.threads = Threads()
        self.sign_ins = UnderWay()
        self.pages = Pages(self)
        self.strip: Strip | None = None
        if settings.emulator:
            # Real Zoho needs nothing of the emulator.
            from crm_desk.strip import Strip

            self.strip = Strip(settings.emulator, self.ledger, self.crm)
        self.table = _table(is_emulated=bool(settings.emulator))
        self.table.by_name(settings.data_center)
        self.data_centers = [
            (center.name, NAMES.get(center.name, center.name.upper())) for center in self.table
        ]

    @property
    def login_servers(self) -> list[str]:
        """The accounts servers of all data centres, as browsers name them."""
        parts = (urlsplit(center.accounts) for center in self.table)
        return [f"{each.scheme}://{each.netloc}" for each in parts]


def _table(*, is_emulated: bool) -> DataCenters:
    """Return the data centres as configured, without opening the store for it."""
    provider = tokenkeep.settings().providers().named("zoho")
    if not isinstance(provider, Zoho):
        raise tokenkeep.ConfigurationError(
            "The provider 'zoho' of the configuration is not Zoho's"
        )
    if not is_emulated:
        return provider.table
    # The emulator takes the place of some; nobody is sent to the others, which are real.
    return DataCenters(*(each for each in provider.table if each.accounts.startswith("http://")))
