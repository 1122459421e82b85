"""What the emulator has been asked, for tests to count."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class CountersView:
    """What can be read of counts, wherever they are kept."""

    as_dict: Callable[[], dict[str, Any]]
    """All counts as they are now, ready for JSON."""

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
        return sum(
            row["count"]
            for row in self.as_dict()["calls"]
            if endpoint in (None, row["endpoint"])
            and grant_type in (None, row["grant_type"])
            and data_center in (None, row["data_center"])
        )

    def token_calls(self, grant_type: str | None = None, *, data_center: str | None = None) -> int:
        """Count requests to the token endpoint; None means any grant type."""
        return self.calls("token", grant_type=grant_type, data_center=data_center)

    @property
    def mints(self) -> dict[str, int]:
        """Access tokens made, by the id of the refresh token (never the secret itself)."""
        return dict(self.as_dict()["mints"])

    @property
    def errors(self) -> dict[str, int]:
        """Error answers, by their name (``"invalid_code"``, ``"INVALID_TOKEN"``...)."""
        return dict(self.as_dict()["errors"])

    @property
    def evictions(self) -> dict[str, int]:
        """Tokens that fell to a limit: ``"access_token"`` and ``"refresh_token"``."""
        return dict(self.as_dict()["evictions"])


class Counters(CountersView):
    """The running counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[tuple[str, str | None, str]] = Counter()
        self._tallies: dict[str, Counter[str]] = {}
        self.reset()

    def reset(self) -> None:
        """Start from zero."""
        with self._lock:
            self._calls = Counter()
            self._tallies = {name: Counter() for name in ("mints", "errors", "evictions")}

    def add_call(self, endpoint: str, grant_type: str | None, data_center: str) -> None:
        """Count a request."""
        with self._lock:
            self._calls[endpoint, grant_type, data_center] += 1

    def add(self, tally: str, name: str) -> None:
        """Count one of the ``"mints"``, ``"errors"`` or ``"evictions"``."""
        with self._lock:
            self._tallies[tally][name] += 1

    def as_dict(self) -> dict[str, Any]:
        """All counts, ready for JSON."""
        with self._lock:
            calls = [
                {
                    "endpoint": endpoint,
                    "grant_type": grant_type,
                    "data_center": data_center,
                    "count": count,
                }
                for (endpoint, grant_type, data_center), count in self._calls.items()
            ]
            return {"calls": calls, **{name: dict(each) for name, each in self._tallies.items()}}
