"""The calls that came: how many there were, and what trouble meets them on request."""

from __future__ import annotations

import math
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from .server import Answer, as_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from .server import Request

ACCOUNTS = ("auth", "token", "revoke")
CRM = ("users", "org", "settings", "records")
"""The endpoints, by group."""

_HTML = "<!doctype html><title>Zoho</title><h1>Something went wrong</h1>"
_WRONG = {
    "garbage": Answer(200, _HTML, "text/html"),
    "empty": Answer(200),
    "list": as_json([]),
    "huge": as_json({"padding": "x" * 5 * 1024 * 1024}),
    "no_access_token": as_json({"token_type": "Bearer", "expires_in": 3600}),
}
"""What a fault says in the right answer's place."""

KNOWN: dict[str, tuple[str, ...]] = {
    "kind": (*_WRONG, "status", "refused", "drop", "hang", "slow"),
    "endpoint": ("*", "accounts", "crm", *ACCOUNTS, *CRM),
}


class Call(NamedTuple):
    """A request, as it is counted and met; its *grant_type* is None where there is none."""

    endpoint: str
    grant_type: str | None
    data_center: str

    @property
    def group(self) -> str:
        """The servers it came to."""
        return "accounts" if self.endpoint in ACCOUNTS else "crm"


class Counters:
    """
    The running counts.

    Attributes:
        errors: Error answers, by their name (``"invalid_code"``, ``"INVALID_TOKEN"``...).
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start from zero."""
        self._calls: list[Call] = []
        self.errors: Counter[str] = Counter()

    def add_call(self, call: Call) -> None:
        """Count a request."""
        self._calls.append(call)

    def calls(self, endpoint: str | None = None) -> int:
        """
        Count requests, those that met a fault among them.

        *endpoint* is as in the faults (``"token"``, ``"records"``...). None means any.
        """
        return sum(endpoint in (None, call.endpoint) for call in self._calls)

    def token_calls(self, grant_type: str | None = None) -> int:
        """Count requests to the token endpoint; None means any grant type."""
        asked = [call.grant_type for call in self._calls if call.endpoint == "token"]
        return len(asked) if grant_type is None else asked.count(grant_type)


@dataclass(eq=False, kw_only=True)
class Fault:
    """
    One kind of trouble, for the calls it matches.

    Args:
        kind: What the client sees, a word of docs/emulator.md.
        endpoint: Likewise, one or a group of them; ``"*"`` is everything.
        times: How many calls meet it; None means until they are cleared.
        after: The request takes effect and only its answer is lost or late.
        status: HTTP status, for ``"status"``, where None means 503, and for
            ``"refused"``, where it means 401.
        delay: Seconds, for ``"slow"``.
        grant_type: Only calls with this grant type; None means any.
        data_center: Only calls to this data centre; None means any.
        code: The CRM's, for ``"refused"``.

    Attributes:
        hits: How many calls it has met.
        cleared: Set once the fault is over; lets calls go that wait.

    Raises:
        ValueError: There is no such endpoint or kind.
    """

    kind: str
    endpoint: str = "token"
    times: int | None = 1
    after: bool = False
    status: int | None = None
    delay: float = 1.0
    grant_type: str | None = None
    data_center: str | None = None
    code: str = "INVALID_TOKEN"
    hits: int = field(default=0, init=False)
    cleared: threading.Event = field(default_factory=threading.Event, init=False, repr=False)
    _came: threading.Event = field(default_factory=threading.Event, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what would never come."""
        for name, known in KNOWN.items():
            value = getattr(self, name)
            if value not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}, not {value!r}")

    def take(self, call: Call) -> bool:
        """Tell whether a call meets this fault; if so, count it."""
        met = (
            self.endpoint in ("*", call.endpoint, call.group)
            and self.grant_type in (None, call.grant_type)
            and self.data_center in (None, call.data_center)
            and (self.times is None or self.hits < self.times)
        )
        self.hits += met
        return met

    def wait(self, timeout: float = 10.0) -> bool:
        """
        Wait, *timeout* seconds at most, until a call has met the fault; tell whether so.

        With ``kind="hang"`` the client is then in the middle of its call; with ``after=True``
        the call has taken effect.
        """
        return self._came.wait(timeout)

    async def met(self, request: Request, right: Callable[[Request], Answer]) -> Answer | None:
        """Answer a request that meets it. None: the connection is to be closed."""
        late = right(request) if self.after else None
        self._came.set()
        if self.kind == "slow":
            stays = await request.stays(self.cleared, self.delay)
            return (late or right(request)) if stays else None
        if self.kind == "hang":
            await request.stays(self.cleared, math.inf)
        if self.kind == "status":
            return replace(_WRONG["garbage"], status=self.status or 503)
        if self.kind == "refused":
            said = {"code": self.code, "details": {}, "message": "on request", "status": "error"}
            return as_json(said, self.status or 401)
        return _WRONG.get(self.kind)


class Faults:
    """The faults in force; the oldest one that matches a call meets it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, **given: Any) -> Fault:
        """Make calls fail; arguments as for :class:`Fault`, of which ``kind`` is needed."""
        fault = Fault(**given)
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """End all faults; calls that hang are let go, their connections closed."""
        gone, self._faults = self._faults, []
        for fault in gone:
            fault.cleared.set()

    def take(self, call: Call) -> Fault | None:
        """The fault that meets this call, counted; None when it goes through."""
        return next((fault for fault in self._faults if fault.take(call)), None)
