"""Leads in memory, apart for each organisation and environment."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .accounts import User
    from .options import EmulatorClock

    Table = dict[str, dict[str, Any]]
    """Records by id."""

_SEED = {
    "production": (("Boyle", "Ada"), ("Castro", "Lin"), ("Dietz", "Max")),
    "sandbox": (("Sandbox", "Sam"),),
    "developer": (("Developer", "Dev"),),
}


class Refused(Exception):
    """
    An error of the CRM, of a call or of one record.

    Args:
        code: Zoho's error code.
        message: Its text.
        details: What it is about, such as the field's API name; None means nothing.
        status: HTTP status, of a call.
    """

    def __init__(
        self,
        code: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        *,
        status: int = 400,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.envelope: dict[str, Any] = envelope("error", code, message, details or {})


def envelope(status: str, code: str, message: str, details: Mapping[str, Any]) -> dict[str, Any]:
    """What each answer about a call or a record looks like."""
    return {"code": code, "details": details, "message": message, "status": status}


class Records:
    """
    Tables of leads; a new one starts with a few.

    Whoever calls it holds the emulator's lock.
    """

    def __init__(self, clock: EmulatorClock) -> None:
        self._clock = clock
        self._ids = itertools.count(4_150_868_000_000_001)
        self._tables: dict[tuple[str, str], Table] = {}

    def table(self, user: User, environment: str) -> Table:
        """The leads that *user* sees."""
        key = (user.zgid, environment)
        if key not in self._tables:
            self._tables[key] = {}
            for last, first in _SEED[environment]:
                values = {
                    "Last_Name": last,
                    "First_Name": first,
                    "Company": f"{last} Ltd",
                    "Email": f"{first}.{last}@example.com".lower(),
                }
                self.create(self._tables[key], values, user)
        return self._tables[key]

    def create(self, table: Table, values: Mapping[str, Any], user: User) -> dict[str, Any]:
        """Add a record and return it."""
        if not values.get("Last_Name"):
            raise Refused(
                "MANDATORY_NOT_FOUND",
                "required field not found",
                {"api_name": "Last_Name", "json_path": "$.data[0].Last_Name"},
            )
        record_id = str(next(self._ids))
        owner, now = _owner(user), self._now()
        table[record_id] = {
            **values,
            "id": record_id,
            "Owner": owner | {"email": user.email},
            "Full_Name": _full_name(values),
            "Created_By": owner,
            "Modified_By": owner,
            "Created_Time": now,
            "Modified_Time": now,
        }
        return table[record_id]

    def update(
        self, table: Table, record_id: str, values: Mapping[str, Any], user: User
    ) -> dict[str, Any]:
        """Change fields of a record, and return it."""
        record = self._get(table, record_id)
        record.update(values, id=record_id, Modified_By=_owner(user), Modified_Time=self._now())
        record["Full_Name"] = _full_name(record)
        return record

    def delete(self, table: Table, record_id: str) -> dict[str, Any]:
        """Remove a record, and return what it was."""
        self._get(table, record_id)
        return table.pop(record_id)

    def _get(self, table: Table, record_id: str) -> dict[str, Any]:
        if record_id not in table:
            raise Refused("INVALID_DATA", "the id given seems to be invalid", {"id": record_id})
        return table[record_id]

    def _now(self) -> str:
        """The emulator's time as the CRM writes it."""
        return datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="seconds")


def _owner(user: User) -> dict[str, str]:
    return {"name": user.full_name, "id": user.zuid}


def _full_name(values: Mapping[str, Any]) -> str:
    return " ".join(values[name] for name in ("First_Name", "Last_Name") if values.get(name))
