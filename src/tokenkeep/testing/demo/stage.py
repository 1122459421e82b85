"""Where the demo takes place: a folder, a key and a Zoho of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from tokenkeep.config import STORE
from tokenkeep.keys import KEY_FILE
from tokenkeep.sealing import generate_key

if TYPE_CHECKING:
    from tokenkeep.testing import ZohoEmulator

_HOMES = (
    "HOME",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
)
"""What says where a user's files are; for the demo's processes all of it is its folder."""


@dataclass(frozen=True, slots=True)
class Stage:
    """
    What all processes of the demo share.

    Args:
        folder: Everything the demo writes is in here, but for a store that was given.
        store_url: The store.
        given: Whether the store was given, rather than made in the folder.
        environ: The environment of the processes.
        zoho: The provider.
    """

    folder: Path
    store_url: str
    given: bool
    environ: dict[str, str]
    zoho: ZohoEmulator

    @classmethod
    def build(cls, store_url: str | None, zoho: ZohoEmulator) -> Self:
        """
        Make the folder with the key in it.

        Args:
            store_url: None means a SQLite file in the folder.
            zoho: The provider, running.
        """
        folder = Path(tempfile.mkdtemp(prefix="tokenkeep-demo-")).resolve()
        key = folder / "keys"
        key.touch(mode=0o600)
        key.write_text(f"{generate_key()}\n")
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith("TOKENKEEP_")
        }
        url = store_url or f"sqlite:///{quote(str(folder / 'tokens.db'))}"
        environ |= dict.fromkeys(_HOMES, str(folder)) | {KEY_FILE: str(key), STORE: url}
        # The emulator is on this machine; a proxy would not find it.
        environ |= dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
        return cls(folder, url, store_url is not None, environ, zoho)

    @property
    def official_file(self) -> Path:
        """Where the SDK's own FileStore keeps its tokens."""
        return self.folder / "official.csv"

    def settings(self, store: str) -> dict[str, str]:
        """
        Return what a process has to know.

        Args:
            store: ``"tokenkeep"`` or ``"FileStore"``.
        """
        return {
            "store": store,
            "where": str(self.official_file) if store == "FileStore" else self.store_url,
            "api_url": self.zoho.us.api_url,
            "token_url": self.zoho.us.token_url,
            "client_id": self.zoho.client.client_id,
            "client_secret": self.zoho.client.client_secret,
        }

    def remove(self) -> None:
        """Remove the folder with everything in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
