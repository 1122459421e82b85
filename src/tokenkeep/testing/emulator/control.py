"""
Drive an emulator from another process: both ends of ``/_emulator/``.

An operation has the name it has in Python. It is a POST of its arguments as a
JSON object, answered by ``{"result": ...}`` or, with status 400, by
``{"error": kind, "message": text}``.
"""

from __future__ import annotations

import inspect
import ipaddress
import json
import re
import urllib.error
import urllib.request
from dataclasses import asdict
from functools import partial
from http.client import HTTPException
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .counters import Counters
from .faults import Fault, Faults
from .http import Answer, as_json
from .model import Client, DataCenterEmulator, User
from .options import EmulatorClock, Options

if TYPE_CHECKING:
    from .emulator import ZohoEmulator
    from .http import Request

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

_ERRORS: dict[str, type[Exception]] = {
    each.__name__: each
    for each in (AttributeError, KeyError, LookupError, PermissionError, TypeError, ValueError)
}
# No proxy of the environment is asked: the emulator is on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def operated(emulator: ZohoEmulator, request: Request) -> Answer:
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


def _argument(value: Any) -> Any:
    """An argument ready for JSON: users and clients by name."""
    if isinstance(value, User):
        return value.name
    return value.client_id if isinstance(value, Client) else value


class _Remote:
    """
    The operations of an object of the emulator, or of one of its parts.

    Args:
        kind: Its class, which knows the arguments.
        base_url: Where the operations are.
        timeout: Seconds to wait for an answer.
        part: Where it is in the emulator, such as ``"clock."``.
    """

    def __init__(self, kind: type, base_url: str, timeout: float, part: str = "") -> None:
        self._kind = kind
        self._base_url = base_url
        self._timeout = timeout
        self._part = part

    def __getattr__(self, name: str) -> Any:
        if f"{self._part}{name}" not in OPERATIONS:
            raise AttributeError(name)
        return partial(self._call, name)

    def _call(self, name: str, /, *given: Any, **named: Any) -> Any:
        bound = inspect.signature(getattr(self._kind, name)).bind(None, *given, **named).arguments
        _self, *names = bound
        arguments: dict[str, Any] = {}
        for each in names:
            # What is taken as **fields is bound as one dictionary.
            more = bound[each] if each in ("fields", "values", "given") else {each: bound[each]}
            arguments |= {key: _argument(value) for key, value in more.items()}
        request = urllib.request.Request(  # noqa: S310 - http only, from the user
            f"{self._base_url}{PREFIX}{self._part}{name}",
            json.dumps(arguments, default=list).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with _OPENER.open(request, timeout=self._timeout) as response:
                return json.load(response)["result"]
        except urllib.error.HTTPError as error:
            with error:
                kind, message = self._failure(error)
            raise _ERRORS.get(kind, RuntimeError)(message) from None
        except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
            raise self._nobody(error) from error

    def _failure(self, answer: urllib.error.HTTPError) -> tuple[str, str]:
        try:
            failure = json.load(answer)
            return failure["error"], failure["message"]
        except (OSError, HTTPException, ValueError, LookupError, TypeError):
            raise self._nobody(answer) from None

    def _nobody(self, error: Exception) -> ConnectionError:
        reason = getattr(error, "reason", None) or error
        return ConnectionError(
            f"No emulator answers at {self._base_url} ({reason}); start it again"
        )


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
        from .emulator import ZohoEmulator

        super().__init__(ZohoEmulator, base_url.rstrip("/"), timeout)
        self.control_url = base_url
        where = (self._base_url, timeout)
        self.clock: _Remote = _Remote(EmulatorClock, *where, "clock.")
        self.options: _Options = _Options(Options, *where, "options.")
        self.faults: _Remote = _Remote(Faults, *where, "faults.")
        self.counters: _Remote = _Remote(Counters, *where, "counters.")

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

    def register_client(self, name: str = "Example application", **given: Any) -> Client:
        """Register an application; see :meth:`ZohoEmulator.register_client`."""
        return _client(self._call("register_client", name, **given))


def _client(row: dict[str, Any]) -> Client:
    return Client(**row | {"redirect_uris": tuple(row["redirect_uris"])})
