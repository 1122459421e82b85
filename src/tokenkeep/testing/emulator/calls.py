"""The calls that came: how many there were, and what trouble meets them on request."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

KINDS = (
    *("status", "garbage", "empty", "list", "huge", "no_access_token"),
    *("refused", "drop", "hang", "slow"),
)
ACCOUNTS_ENDPOINTS = ("auth", "token", "revoke")
CRM_ENDPOINTS = ("users", "org", "settings", "records")
ENDPOINTS = ("*", "accounts", "crm", *ACCOUNTS_ENDPOINTS, *CRM_ENDPOINTS)


class Counters:
    """
    The running counts.

    Attributes:
        mints: Access tokens made, by the id of the refresh token (never the secret itself).
        errors: Error answers, by their name (``"invalid_code"``, ``"INVALID_TOKEN"``...).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Start from zero."""
        with self._lock:
            self._calls: Counter[tuple[str, str | None, str]] = Counter()
            self.mints: Counter[str] = Counter()
            self.errors: Counter[str] = Counter()

    def add_call(self, endpoint: str, grant_type: str | None, data_center: str) -> None:
        """Count a request."""
        with self._lock:
            self._calls[endpoint, grant_type, data_center] += 1

    def calls(
        self,
        endpoint: str | None = None,
        *,
        grant_type: str | None = None,
        data_center: str | None = None,
    ) -> int:
        """
        Count requests, those that met a fault among them.

        Args:
            endpoint: As in the faults (``"token"``, ``"records"``...); None means all.
            grant_type: Only calls with this grant type; None means any.
            data_center: Only calls to this data centre; None means any.
        """
        wanted = (endpoint, grant_type, data_center)
        with self._lock:
            return sum(
                count
                for call, count in self._calls.items()
                if all(each in (None, its) for each, its in zip(wanted, call, strict=True))
            )

    def token_calls(self, grant_type: str | None = None, *, data_center: str | None = None) -> int:
        """Count requests to the token endpoint; None means any grant type."""
        return self.calls("token", grant_type=grant_type, data_center=data_center)

    def as_dict(self) -> dict[str, Any]:
        """Mints and errors, ready for JSON; calls are asked for one by one."""
        return {"mints": dict(self.mints), "errors": dict(self.errors)}


@dataclass(eq=False, kw_only=True)
class Fault:
    """
    One kind of trouble, for the calls it matches.

    Args:
        id: Number within the emulator.
        kind: One of :data:`KINDS`.
        endpoint: One of :data:`ENDPOINTS`; ``"accounts"`` and ``"crm"`` are
            all of a kind, ``"*"`` is everything.
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
        ValueError: There is no such endpoint or kind, or it is not of the CRM's.
    """

    id: int
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
    _hit: threading.Condition = field(default_factory=threading.Condition, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what would never come."""
        for name, known in (("endpoint", ENDPOINTS), ("kind", KINDS)):
            value = getattr(self, name)
            if value not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}, not {value!r}")
        if self.kind == "refused" and self.endpoint not in ("crm", *CRM_ENDPOINTS):
            raise ValueError("it is the CRM that answers refused: name an endpoint of it, or crm")

    def matches(self, endpoint: str, grant_type: str | None, data_center: str) -> bool:
        """Tell whether a call to *endpoint* meets this fault."""
        group = "accounts" if endpoint in ACCOUNTS_ENDPOINTS else "crm"
        return (
            self.endpoint in ("*", group, endpoint)
            and self.grant_type in (None, grant_type)
            and self.data_center in (None, data_center)
            and (self.times is None or self.hits < self.times)
        )

    def hit(self) -> None:
        """Count a call and wake whoever waits for it."""
        with self._hit:
            self.hits += 1
            self._hit.notify_all()

    def wait(self, timeout: float = 10.0, *, hits: int = 1) -> bool:
        """
        Wait until calls have met the fault.

        With ``kind="hang"`` this is how a test knows that a client is in the
        middle of its call.

        Args:
            timeout: Seconds to wait at most.
            hits: How many calls to wait for.

        Returns:
            Whether they came in time.
        """
        with self._hit:
            return self._hit.wait_for(lambda: self.hits >= hits, timeout)

    def as_dict(self) -> dict[str, Any]:
        """The fault, ready for JSON."""
        told = [each.name for each in fields(self) if each.repr]
        return {name: getattr(self, name) for name in told}


class Faults:
    """The faults in force; the oldest one that matches a call meets it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._faults: list[Fault] = []

    def add(self, **given: Any) -> Fault:
        """Make calls fail; arguments as for :class:`Fault`, of which ``kind`` is needed."""
        with self._lock:
            self._faults.append(Fault(id=next(self._numbers), **given))
            return self._faults[-1]

    def clear(self) -> None:
        """End all faults; calls that hang are let go, their connections closed."""
        with self._lock:
            gone, self._faults = self._faults, []
        for fault in gone:
            fault.cleared.set()

    def take(self, endpoint: str, grant_type: str | None, data_center: str) -> Fault | None:
        """The fault that meets this call, counted; None when it goes through."""
        with self._lock:
            for fault in self._faults:
                if fault.matches(endpoint, grant_type, data_center):
                    fault.hit()
                    return fault
        return None

    def as_list(self) -> list[dict[str, Any]]:
        """All faults since the last :meth:`clear`, ready for JSON."""
        with self._lock:
            return [fault.as_dict() for fault in self._faults]
