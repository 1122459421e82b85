"""
What other processes of this machine can do with an emulator, by HTTP at ``/_emulator/``.

An operation has the name it has in Python. It is a POST of its arguments as a
JSON object, answered by ``{"result": ...}`` or, with status 400, by
``{"error": kind, "message": text}``.
"""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import asdict
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .faults import Fault
from .server import Answer, as_json

if TYPE_CHECKING:
    from .server import Request

PREFIX = "/_emulator/"
OPERATIONS = (
    "state",
    "add_user",
    "register_client",
    "grant_code",
    "refresh_token",
    "access_token",
    "id_of",
    "is_active",
    "secrets",
    "records",
    "add_lead",
    "expire_access_tokens",
    "revoke",
    "evict",
    "clock.now",
    "clock.advance",
    "options.as_dict",
    "options.change",
    "options.reset",
    "faults.add",
    "faults.as_list",
    "faults.clear",
    "counters.calls",
    "counters.token_calls",
    "counters.as_dict",
    "counters.reset",
)
_READ = re.compile(r"state|clock\.now|.*\.as_(dict|list)")
"""What changes nothing, and may be a GET."""


def operated(emulator: object, request: Request) -> Answer:
    """Answer one operation, in the emulator's process."""
    name = request.path.removeprefix(PREFIX)
    if name not in OPERATIONS:
        return _failure(LookupError(f"there is no operation {name!r}"), 404)
    if not _is_loopback(urlsplit(f"//{request.headers.get('Host', '')}").hostname):
        return _failure(PermissionError("only for this machine, by its own name"), 403)
    # A page elsewhere can't send this type without asking first, and is not answered.
    content_type = request.headers.get("Content-Type", "").partition(";")[0]
    if content_type != "application/json" and not _READ.fullmatch(name):
        return _failure(TypeError("send application/json"), 415)
    try:
        result = attrgetter(name)(emulator)(**json.loads(request.body or "{}"))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        return _failure(error, 400)
    return Answer(200, json.dumps({"result": result}, default=_plain))


def _is_loopback(host: str | None) -> bool:
    """Refuse whoever was led here under another host name."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _failure(error: Exception, status: int) -> Answer:
    message = str(error.args[0] if error.args else error)
    return as_json({"error": type(error).__name__, "message": message}, status)


def _plain(value: Any) -> Any:
    """What JSON has no word for: what is made, in its fields."""
    return value.as_dict() if isinstance(value, Fault) else asdict(value)
