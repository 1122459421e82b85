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
from functools import partial
from http.client import HTTPConnection, HTTPException
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .accounts import Client, DataCenterEmulator, User
from .calls import Fault
from .options import Options
from .server import Answer, as_json

if TYPE_CHECKING:
    from .server import Request

PREFIX = "/_emulator/"
OPERATIONS = (
    *("state", "add_user", "register_client", "grant_code", "refresh_token", "access_token"),
    *("id_of", "is_active", "secrets", "records", "add_lead", "expire_access_tokens", "revoke"),
    *("clock.now", "clock.advance"),
    *("options.as_dict", "options.change", "options.reset"),
    *("faults.add", "faults.as_list", "faults.clear"),
    *("counters.calls", "counters.token_calls", "counters.as_dict", "counters.reset"),
)
_READ = re.compile(r"state|clock\.now|.*\.as_(dict|list)")
"""What changes nothing, and may be a GET."""

_IN_ORDER = "*"
"""Where `EmulatorControl` puts the arguments that have no name."""


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
        named = json.loads(request.body or "{}")
        result = attrgetter(name)(emulator)(*named.pop(_IN_ORDER, ()), **named)
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


_ERRORS: dict[str, type[Exception]] = {
    each.__name__: each
    for each in (AttributeError, KeyError, LookupError, PermissionError, TypeError, ValueError)
}


class _Remote:
    """
    The operations of an emulator, or of one of its parts.

    Args:
        base_url: Where the operations are.
        timeout: Seconds to wait for an answer.
        part: Where it is in the emulator, such as ``"clock."``.
    """

    def __init__(self, base_url: str, timeout: float, part: str = "") -> None:
        self._base_url = base_url
        self._timeout = timeout
        self._part = part

    def __getattr__(self, name: str) -> Any:
        if f"{self._part}{name}" not in OPERATIONS:
            raise AttributeError(name)
        return partial(self._call, name)

    def _call(self, name: str, /, *given: Any, **named: Any) -> Any:
        body = json.dumps({_IN_ORDER: given, **named}, default=_named)
        connection = HTTPConnection(urlsplit(self._base_url).netloc, timeout=self._timeout)
        try:
            path, kind = f"{PREFIX}{self._part}{name}", {"Content-Type": "application/json"}
            connection.request("POST", path, body.encode(), kind)
            answer = json.load(connection.getresponse())
            if "result" in answer:
                return answer["result"]
            failure = answer["error"], answer["message"]
        except (OSError, HTTPException, LookupError, TypeError, ValueError) as error:
            raise ConnectionError(
                f"No emulator answers at {self._base_url} ({error}); start it again"
            ) from error
        finally:
            connection.close()
        raise _ERRORS.get(failure[0], RuntimeError)(failure[1])


def _named(value: Any) -> Any:
    """An argument that JSON has no word for: users and clients by name."""
    if isinstance(value, User):
        return value.name
    return value.client_id if isinstance(value, Client) else list(value)


class _Options(_Remote):
    def __getattr__(self, name: str) -> Any:
        return (
            self.as_dict()[name]
            if name in Options.__dataclass_fields__
            else super().__getattr__(name)
        )

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            self.change(**{name: value})


class EmulatorControl(_Remote):
    """
    The operations of :class:`ZohoEmulator`, on one that runs elsewhere.

    Names and arguments are the same, so a test reads alike on both sides.
    Errors are raised here as they would be there.

    Args:
        base_url: ``ZohoEmulator.control_url``: its first accounts server.
        timeout: Seconds to wait for an answer.

    Raises:
        ConnectionError: With any of its operations: no emulator answers there.
    """

    def __init__(self, base_url: str, *, timeout: float = 10.0) -> None:
        where = base_url.rstrip("/"), timeout
        super().__init__(*where)
        self.control_url = base_url
        self.clock: _Remote = _Remote(*where, "clock.")
        self.options: _Options = _Options(*where, "options.")
        self.faults: _Remote = _Remote(*where, "faults.")
        self.counters: _Remote = _Remote(*where, "counters.")

    @property
    def data_centers(self) -> tuple[str, ...]:
        """The names of the data centres."""
        return tuple(self.state()["data_centers"])

    def __getitem__(self, name: str) -> DataCenterEmulator:
        """A data centre by name."""
        return DataCenterEmulator(**self.state()["data_centers"][name])

    def __getattr__(self, name: str) -> Any:
        """``control.us`` is ``control["us"]``; anything else is an operation."""
        if name in OPERATIONS or name.startswith("_"):
            return super().__getattr__(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def client(self) -> Client:
        """The client that is registered from the start."""
        return _client(self.state()["clients"][0])

    @property
    def user(self) -> User:
        """The user who is there from the start."""
        return self.users[0]

    @property
    def users(self) -> list[User]:
        """Everybody."""
        return [User(**each) for each in self.state()["users"]]

    def add_user(self, email: str, **given: Any) -> User:
        """Add a person; see :meth:`ZohoEmulator.add_user`."""
        return User(**self._call("add_user", email, **given))

    def register_client(self, *given: Any, **named: Any) -> Client:
        """Register an application; see :meth:`ZohoEmulator.register_client`."""
        return _client(self._call("register_client", *given, **named))


def _client(row: dict[str, Any]) -> Client:
    return Client(**row | {"redirect_uris": tuple(row["redirect_uris"])})
