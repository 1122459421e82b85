"""What the emulator has been asked, for tests to count."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any


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
