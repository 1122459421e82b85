"""
What other processes of this machine can do with an emulator, by HTTP at ``/_emulator/``.

An operation has the name it has in Python. It is a POST of its arguments as a JSON object,
answered by ``{"result": ...}`` or, with status 400, by ``{"error": text}``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from functools import partial
from http.client import HTTPConnection, HTTPException
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .accounts import Client, DataCenterEmulator, User
from .server import Answer, as_json

if TYPE_CHECKING:
    from .server import Request

PREFIX = "/_emulator/"
OPERATIONS = (
    *("state", "add_user", "register_client", "grant_code", "refresh_token", "access_token"),
    *("id_of", "is_active", "secrets", "records", "add_lead", "expire_access_tokens", "revoke"),
    *("clock.advance", "options.change", "options.reset", "faults.add", "faults.clear"),
    *("counters.calls", "counters.token_calls", "counters.reset"),
)
_PARTS = {name.partition(".")[0] for name in OPERATIONS if "." in name}

_IN_ORDER = "*"
"""Where `EmulatorControl` puts the arguments that have no name."""

_SENT = (Client, DataCenterEmulator, User)
"""What is sent in its fields, and made again of them."""


def operated(emulator: object, request: Request) -> Answer:
    """Answer one operation, in the emulator's process."""
    name = request.path.removeprefix(PREFIX)
    if name not in OPERATIONS:
        return as_json({"error": f"there is no operation {name!r}"}, 404)
    # A page elsewhere has led its own host name here, or can't send this type without asking.
    if urlsplit(f"//{request.headers.get('Host', '')}").hostname not in ("127.0.0.1", "localhost"):
        return as_json({"error": "only for this machine, by its own name"}, 403)
    if request.headers.get("Content-Type", "").partition(";")[0] != "application/json":
        return as_json({"error": "send application/json"}, 415)
    try:
        named = json.loads(request.body)
        result = attrgetter(name)(emulator)(*named.pop(_IN_ORDER, ()), **named)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        return as_json({"error": str(error.args[0])}, 400)
    return Answer(200, json.dumps({"result": result}, default=_plain))


def _plain(value: Any) -> Any:
    """What JSON has no word for: these in their fields, and of a fault nothing."""
    return asdict(value) if isinstance(value, _SENT) else None


def _made(row: dict[str, Any]) -> Any:
    """One of those again, or what it is."""
    for kind in _SENT:
        if row.keys() == {each.name for each in fields(kind)}:
            given: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
            return kind(**given)
    return row


def _named(value: Any) -> Any:
    """An argument that JSON has no word for: a user by name."""
    return value.name if isinstance(value, User) else list(value)


class EmulatorControl:
    """
    The operations of :class:`ZohoEmulator`, on one that runs elsewhere.

    Names and arguments are the same, so a test reads alike on both sides. What is
    refused there is a ValueError here.

    Args:
        base_url: ``ZohoEmulator.control_url``: its first accounts server.

    Raises:
        ConnectionError: With any of its operations: no emulator answers there.
    """

    # So that nobody sets what would stay in this process.
    __slots__ = ("_part", "control_url")

    def __init__(self, base_url: str) -> None:
        self.control_url: str = base_url
        self._part = ""

    def __getitem__(self, name: str) -> DataCenterEmulator:
        """A data centre by name; KeyError if there is none."""
        center: DataCenterEmulator = self.state()["data_centers"][name]
        return center

    def __getattr__(self, name: str) -> Any:
        """An operation, a part that has some, or a data centre: ``control.us``."""
        whole = f"{self._part}{name}"
        if whole in OPERATIONS:
            return partial(self._call, whole)
        if whole in _PARTS:
            part = EmulatorControl(self.control_url)
            part._part = f"{name}."
            return part
        if self._part or name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def _call(self, operation: str, /, *given: Any, **named: Any) -> Any:
        body = json.dumps({_IN_ORDER: given, **named}, default=_named)
        connection = HTTPConnection(urlsplit(self.control_url).netloc, timeout=10)
        try:
            kind = {"Content-Type": "application/json"}
            connection.request("POST", f"{PREFIX}{operation}", body.encode(), kind)
            answer = json.load(connection.getresponse(), object_hook=_made)
            if "result" in answer:
                return answer["result"]
            refused = ValueError(answer["error"])
        except (OSError, HTTPException, LookupError, TypeError, ValueError) as error:
            raise ConnectionError(
                f"No emulator answers at {self.control_url} ({error}); start it again"
            ) from error
        finally:
            connection.close()
        raise refused
