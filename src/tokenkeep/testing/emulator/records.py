"""CRM records in memory, apart for each organisation, environment and module."""

from __future__ import annotations

import base64
import itertools
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .clock import EmulatorClock
    from .model import User

MODULES = ("Leads", "Contacts")
_MAX_PAGED = 2000
_SEED = {
    "production": (("Boyle", "Ada"), ("Castro", "Lin"), ("Dietz", "Max")),
    "sandbox": (("Sandbox", "Sam"),),
    "developer": (("Developer", "Dev"),),
}


class RecordError(Exception):
    """
    A record that can't be written or found.

    Args:
        code: Zoho's error code.
        message: Its text.
        details: What it is about, such as the field's API name.
    """

    def __init__(self, code: str, message: str, details: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details: dict[str, Any] = dict(details)


class Records:
    """Tables of records; a new one starts with a few leads."""

    def __init__(self, clock: EmulatorClock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._ids = itertools.count(4_150_868_000_000_001)
        self._tables: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}

    def table(
        self, zgid: str, environment: str = "production", module: str = "Leads"
    ) -> dict[str, dict[str, Any]]:
        """The records of one organisation, environment and module, by id."""
        with self._lock:
            key = (zgid, environment, module)
            if key not in self._tables:
                self._tables[key] = {}
                if module == "Leads":
                    self._seed(key)
            return self._tables[key]

    def now(self) -> str:
        """The emulator's time as the CRM writes it."""
        return datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="seconds")

    def create(self, table: dict[str, dict[str, Any]], values: dict[str, Any], user: User) -> str:
        """Add a record and return its id."""
        if not values.get("Last_Name"):
            raise RecordError(
                "MANDATORY_NOT_FOUND",
                "required field not found",
                {"api_name": "Last_Name", "json_path": "$.data[0].Last_Name"},
            )
        with self._lock:
            record_id = str(next(self._ids))
            owner = {"name": f"{user.first_name} {user.last_name}", "id": user.zuid}
            table[record_id] = values | {
                "id": record_id,
                "Owner": owner | {"email": user.email},
                "Full_Name": _full_name(values),
                "Created_By": owner,
                "Modified_By": owner,
                "Created_Time": self.now(),
                "Modified_Time": self.now(),
            }
            return record_id

    def update(
        self, table: dict[str, dict[str, Any]], record_id: str, values: dict[str, Any], user: User
    ) -> None:
        """Change fields of a record."""
        with self._lock:
            record = self.get(table, record_id)
            record.update({name: value for name, value in values.items() if name != "id"})
            record["Full_Name"] = _full_name(record)
            record["Modified_By"] = {
                "name": f"{user.first_name} {user.last_name}",
                "id": user.zuid,
            }
            record["Modified_Time"] = self.now()

    def delete(self, table: dict[str, dict[str, Any]], record_id: str) -> None:
        """Remove a record."""
        with self._lock:
            self.get(table, record_id)
            del table[record_id]

    def get(self, table: dict[str, dict[str, Any]], record_id: str) -> dict[str, Any]:
        """A record by id, or RecordError."""
        with self._lock:
            if record_id not in table:
                raise RecordError(
                    "INVALID_DATA", "the id given seems to be invalid", {"id": record_id}
                )
            return table[record_id]

    def duplicate(
        self, table: dict[str, dict[str, Any]], values: dict[str, Any], fields: list[str]
    ) -> str | None:
        """The id of a record that agrees with *values* in one of *fields*."""
        with self._lock:
            for record_id, record in table.items():
                if any(values.get(name) and values[name] == record.get(name) for name in fields):
                    return record_id
        return None

    def page(
        self, table: dict[str, dict[str, Any]], *, page: int, per_page: int, token: str | None
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """
        One page of records, newest first, and its ``info``.

        Args:
            table: What to read.
            page: Number from 1, unless *token* is given.
            per_page: Records on a page, 1 to 200.
            token: ``next_page_token`` of an earlier answer.

        Raises:
            RecordError: The token is no good, or the page lies beyond the first
                2000 records and needs one.
        """
        if token is not None:
            try:
                page = int(base64.urlsafe_b64decode(token).decode().partition(":")[2])
            except ValueError as exc:
                raise RecordError(
                    "INVALID_DATA", "invalid page_token", {"param_name": "page_token"}
                ) from exc
        elif page * per_page > _MAX_PAGED:
            raise RecordError(
                "DISCRETE_PAGINATION_LIMIT_EXCEEDED",
                "page_token is required to fetch the records beyond 2000",
                {"param_name": "page"},
            )
        with self._lock:
            ids = sorted(table, key=int, reverse=True)
            begin = (page - 1) * per_page
            rows = [dict(table[each]) for each in ids[begin : begin + per_page]]
            more = len(ids) > begin + per_page
        following = base64.urlsafe_b64encode(f"page:{page + 1}".encode()).decode()
        return rows, {
            "per_page": per_page,
            "count": len(rows),
            "page": page,
            "sort_by": "id",
            "sort_order": "desc",
            "more_records": more,
            "next_page_token": following if more else None,
            "previous_page_token": None,
            "page_token_expiry": None,
        }

    def _seed(self, key: tuple[str, str, str]) -> None:
        owner = {"name": "Zoho Setup", "id": "70000000", "email": "setup@example.com"}
        for last, first in _SEED[key[1]]:
            record_id = str(next(self._ids))
            self._tables[key][record_id] = {
                "id": record_id,
                "Last_Name": last,
                "First_Name": first,
                "Full_Name": f"{first} {last}",
                "Company": f"{last} Ltd",
                "Email": f"{first}.{last}@example.com".lower(),
                "Phone": None,
                "Lead_Source": None,
                "Owner": owner,
                "Created_By": owner,
                "Modified_By": owner,
                "Created_Time": self.now(),
                "Modified_Time": self.now(),
            }


def _full_name(values: Mapping[str, Any]) -> str:
    return " ".join(values[name] for name in ("First_Name", "Last_Name") if values.get(name))
