"""Drive an emulator that runs in another process."""

from __future__ import annotations

import inspect
import json
import urllib.error
import urllib.request
from functools import partial
from http.client import HTTPException
from typing import Any

from .counters import Counters
from .emulator import ZohoEmulator
from .faults import Faults
from .model import Client, DataCenterEmulator, User
from .operations import OPERATIONS, PREFIX
from .options import EmulatorClock, Options

_ERRORS: dict[str, type[Exception]] = {
    each.__name__: each
    for each in (AttributeError, KeyError, LookupError, PermissionError, TypeError, ValueError)
}
# No proxy of the environment is asked: the emulator is on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


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
