"""What the desk is told by its environment; docs are in README.md."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

URL = "CRM_DESK_URL"
FOLDER = "CRM_DESK_FOLDER"
SESSION_KEY = "CRM_DESK_SESSION_KEY"
DATA_CENTER = "CRM_DESK_DATA_CENTER"
EMULATOR = "CRM_DESK_EMULATOR"
SCRATCH = "CRM_DESK_SCRATCH"
CLIENT_ID = "TOKENKEEP_CLIENT_ID"
CLIENT_SECRET = "TOKENKEEP_CLIENT_SECRET"  # noqa: S105  # the variable's name

PORT = 8418

_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    What is configured.

    Args:
        url: Where browsers find the desk, without a slash at the end.
        folder: What all workers share, and what outlives them.
        scratch: What one run needs only while it lasts.
        client_id: Of the API console.
        client_secret: Of the API console.
        data_center: Where the client is registered.
        session_key: Seals the cookies. None means that one is made, in the folder.
        emulator: Where the emulator is driven from. None means real Zoho.
    """

    url: str
    folder: Path
    scratch: Path | None = None
    client_id: str
    client_secret: str = field(repr=False)
    data_center: str
    session_key: str | None = field(default=None, repr=False)
    emulator: str | None = None

    @property
    def host(self) -> str:
        """What a browser says in its Host header."""
        return urlsplit(self.url).netloc

    @property
    def is_secure(self) -> bool:
        """Whether browsers come by https."""
        return self.url.startswith("https://")

    @property
    def redirect_uri(self) -> str:
        """Where Zoho sends the browser back to, to be registered letter for letter."""
        return f"{self.url}/callback"


def settings(environ: Mapping[str, str] | None = None) -> Settings:
    """
    Read the settings.

    Args:
        environ: The environment. None means the process's.

    Raises:
        ConfigurationError: Something is missing or makes no sense.
    """
    environ = os.environ if environ is None else environ
    emulator = environ.get(EMULATOR, "").strip() or None
    scratch = environ.get(SCRATCH, "").strip()
    client_id, client_secret = (environ.get(n, "").strip() for n in (CLIENT_ID, CLIENT_SECRET))
    if not client_id or not client_secret:
        raise ConfigurationError(
            f"There is no {CLIENT_SECRET if client_id else CLIENT_ID} in the environment",
            hint="Register a client in Zoho's API console; or start with 'make app', which "
            "brings an emulator of Zoho when there is no client",
        )
    return Settings(
        url=url(environ),
        folder=Path(environ.get(FOLDER, "").strip() or ".crm-desk").absolute(),
        scratch=Path(scratch) if scratch else None,
        client_id=client_id,
        client_secret=client_secret,
        data_center=environ.get(DATA_CENTER, "").strip() or "us",
        session_key=environ.get(SESSION_KEY, "").strip() or None,
        emulator=emulator,
    )


def url(environ: Mapping[str, str]) -> str:
    """
    Return where browsers find the desk, as they write it: in lower case, without the usual port.

    Args:
        environ: The environment.

    Raises:
        ConfigurationError: It is no address of a desk.
    """
    given = environ.get(URL, "").strip()
    if not given:
        return f"http://127.0.0.1:{PORT}"
    try:
        return _origin(given)
    except ValueError:
        raise ConfigurationError(
            f"{URL} is no address of a desk: {given!r}",
            hint="It is what people type into their browsers, such as https://desk.example.com",
        ) from None


def _origin(given: str) -> str:
    parts = urlsplit(given.rstrip("/"))
    name, port = parts.hostname, parts.port
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    if usual is None or not name or parts.path or any(each in given for each in "@?#"):
        raise ValueError(given)
    # Browsers send other alphabets as this.
    host = f"[{name}]" if ":" in name else name.encode("idna").decode()
    if not _HOST.fullmatch(host):
        raise ValueError(given)
    return f"{parts.scheme}://{host}" + ("" if port in (None, usual) else f":{port}")
