"""Drive an emulator that runs in another process; standard library only."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from typing import Any

from .addresses import DataCenterEmulator
from .counters import CountersView
from .model import Client, User

_ERRORS: dict[str, type[Exception]] = {
    each.__name__: each
    for each in (AttributeError, KeyError, LookupError, PermissionError, TypeError, ValueError)
}
# No proxy of the environment is asked: the emulator is on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class _Remote:
    """Calls to ``/_emulator/``."""

    def __init__(self, base_url: str, timeout: float) -> None:
        self._base = f"{base_url.rstrip('/')}/_emulator"
        self._timeout = timeout

    def get(self, name: str) -> Any:
        return self._send(urllib.request.Request(f"{self._base}/{name}"))  # noqa: S310 - http only, from the user

    def call(self, name: str, /, **given: Any) -> Any:
        return self._send(
            urllib.request.Request(  # noqa: S310 - likewise
                f"{self._base}/{name}",
                data=json.dumps(given).encode(),
                headers={"Content-Type": "application/json"},
            )
        )

    def _send(self, request: urllib.request.Request) -> Any:
        try:
            with _OPENER.open(request, timeout=self._timeout) as response:
                return json.load(response)["result"]
        except urllib.error.HTTPError as error:
            with error:
                name, message = self._failure(error)
            raise _ERRORS.get(name, RuntimeError)(message) from None
        except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
            raise self._nobody(error) from error

    def _failure(self, answer: urllib.error.HTTPError) -> tuple[str, str]:
        try:
            failure = json.load(answer)
            return failure["error"], failure["message"]
        except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
            raise self._nobody(answer) from None

    def _nobody(self, error: Exception) -> ConnectionError:
        reason = getattr(error, "reason", None) or error
        return ConnectionError(f"No emulator answers at {self._base} ({reason}); start it again")


class _Clock:
    def __init__(self, remote: _Remote) -> None:
        self._remote = remote

    def now(self) -> float:
        """Epoch seconds as the emulator sees them."""
        return float(self._remote.get("clock"))

    def advance(self, seconds: float) -> float:
        """Move the emulator's time; see :meth:`EmulatorClock.advance`."""
        return float(self._remote.call("clock", advance=seconds))


class _Options:
    _remote: _Remote

    def __init__(self, remote: _Remote) -> None:
        object.__setattr__(self, "_remote", remote)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.as_dict()[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self._remote.call("options", **{name: value})

    def as_dict(self) -> dict[str, Any]:
        """All options and their values."""
        return dict(self._remote.get("options"))

    def reset(self) -> None:
        """Go back to Zoho's values."""
        self._remote.call("options/reset")


class RemoteFault:
    """A fault in another process; ``hits`` is asked for at every look."""

    def __init__(self, remote: _Remote, number: int) -> None:
        self._remote = remote
        self.id = number

    @property
    def hits(self) -> int:
        """How many calls it has met; 0 once it is cleared."""
        rows = self._remote.get("faults")
        return next((int(row["hits"]) for row in rows if row["id"] == self.id), 0)

    def wait(self, timeout: float = 10.0, *, hits: int = 1) -> bool:
        """Wait until calls have met the fault; see :meth:`Fault.wait`."""
        end = time.monotonic() + timeout
        while self.hits < hits:
            if time.monotonic() >= end:
                return False
            time.sleep(0.02)
        return True


class _Faults:
    def __init__(self, remote: _Remote) -> None:
        self._remote = remote

    def add(self, **given: Any) -> RemoteFault:
        """Make calls fail; arguments as for :meth:`Faults.add`."""
        return RemoteFault(self._remote, self._remote.call("faults", **given)["id"])

    def clear(self) -> None:
        """End all faults."""
        self._remote.call("faults/clear")

    def as_list(self) -> list[dict[str, Any]]:
        """All faults since the last :meth:`clear`."""
        return list(self._remote.get("faults"))


class _Counters(CountersView):
    def __init__(self, remote: _Remote) -> None:
        super().__init__({})
        self._remote = remote

    def as_dict(self) -> dict[str, Any]:
        """All counts as they are now."""
        return dict(self._remote.get("counters"))

    def reset(self) -> None:
        """Start from zero."""
        self._remote.call("counters/reset")


class EmulatorControl:
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
        self.control_url = base_url
        self._remote = _Remote(base_url, timeout)
        self.clock: _Clock = _Clock(self._remote)
        self.options: _Options = _Options(self._remote)
        self.faults: _Faults = _Faults(self._remote)
        self.counters: _Counters = _Counters(self._remote)

    def state(self) -> dict[str, Any]:
        """Addresses, users, clients and logins, without token values."""
        return dict(self._remote.get("state"))

    @property
    def data_centers(self) -> tuple[str, ...]:
        """The names of the data centres."""
        return tuple(self.state()["data_centers"])

    def __getitem__(self, name: str) -> DataCenterEmulator:
        """A data centre by name."""
        return DataCenterEmulator(**self.state()["data_centers"][name])

    def __getattr__(self, name: str) -> DataCenterEmulator:
        """``control.us`` is ``control["us"]``."""
        if name.startswith("_"):
            raise AttributeError(name)
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
        return User(**self._remote.call("users", email=email, **given))

    def register_client(self, name: str = "Example application", **given: Any) -> Client:
        """Register an application; see :meth:`ZohoEmulator.register_client`."""
        return _client(self._remote.call("clients", name=name, **_plain(given)))

    def grant_code(self, user: User | str | None = None, **given: Any) -> str:
        """Make a grant code; see :meth:`ZohoEmulator.grant_code`."""
        return str(self._remote.call("grants", **_plain({"user": user} | given)))

    def refresh_token(self, user: User | str | None = None, **given: Any) -> str:
        """Make a refresh token; see :meth:`ZohoEmulator.refresh_token`."""
        return str(self._remote.call("refresh_tokens", **_plain({"user": user} | given)))

    def access_token(self, user: User | str | None = None, **given: Any) -> str:
        """Make an access token; see :meth:`ZohoEmulator.access_token`."""
        return str(self._remote.call("access_tokens", **_plain({"user": user} | given)))

    def id_of(self, refresh_token: str) -> str:
        """The id under which counters and listings know a refresh token."""
        return str(self._remote.call("id_of", refresh_token=refresh_token))

    def is_active(self, token: str) -> bool:
        """Tell whether an access or refresh token works now."""
        return bool(self._remote.call("is_active", token=token))

    def records(self, user: User | str | None = None, **given: Any) -> dict[str, dict[str, Any]]:
        """A copy of the CRM records that *user* sees, by id."""
        return dict(self._remote.call("records", **_plain({"user": user} | given)))

    def expire_access_tokens(self, user: User | str | None = None) -> int:
        """Let live access tokens expire now; return how many."""
        return int(self._remote.call("expire", **_plain({"user": user})))

    def revoke(self, user: User | str | None = None, *, client: Client | str | None = None) -> int:
        """Withdraw consent; see :meth:`ZohoEmulator.revoke`."""
        return int(self._remote.call("revoke", **_plain({"user": user, "client": client})))

    def decide_device(
        self, user_code: str, user: User | str | None = None, *, accept: bool = True
    ) -> None:
        """Grant or refuse what a device asked for."""
        self._remote.call(
            "devices", **_plain({"user_code": user_code, "user": user, "accept": accept})
        )

    def evict(self, token: str) -> None:
        """Invalidate one access or refresh token in silence."""
        self._remote.call("evict", token=token)


def _client(row: dict[str, Any]) -> Client:
    rest = {name: value for name, value in row.items() if name != "redirect_uris"}
    return Client(redirect_uris=tuple(row["redirect_uris"]), **rest)


def _plain(given: dict[str, Any]) -> dict[str, Any]:
    """Arguments ready for JSON: users and clients by name, tuples as lists."""
    plain: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, User):
            plain[name] = value.name
        elif isinstance(value, Client):
            plain[name] = value.client_id
        elif isinstance(value, (tuple, set, frozenset)):
            plain[name] = list(value)
        else:
            plain[name] = value
    return plain
