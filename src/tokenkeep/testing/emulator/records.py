"""CRM records in memory, apart for each organisation, environment and module."""

from __future__ import annotations

import base64
import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .model import User
    from .options import EmulatorClock

    Table = dict[str, dict[str, Any]]
    """Records by id."""

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
    """
    Tables of records; a new one starts with a few leads.

    Whoever calls it holds the emulator's lock.
    """

    def __init__(self, clock: EmulatorClock) -> None:
        self._clock = clock
        self._ids = itertools.count(4_150_868_000_000_001)
        self._tables: dict[tuple[str, str, str], Table] = {}

    def table(self, user: User, environment: str, module: str) -> Table:
        """The records of a module that *user* sees."""
        key = (user.zgid, environment, module)
        if key not in self._tables:
            self._tables[key] = {}
            for last, first in _SEED[environment] if module == "Leads" else ():
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
            raise RecordError(
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

    def page(
        self, table: Table, *, page: int, per_page: int, token: str | None
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
        ids = sorted(table, key=int, reverse=True)
        begin = (page - 1) * per_page
        rows = [table[each] for each in ids[begin : begin + per_page]]
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

    def _get(self, table: Table, record_id: str) -> dict[str, Any]:
        if record_id not in table:
            raise RecordError(
                "INVALID_DATA", "the id given seems to be invalid", {"id": record_id}
            )
        return table[record_id]

    def _now(self) -> str:
        """The emulator's time as the CRM writes it."""
        return datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="seconds")


def _owner(user: User) -> dict[str, str]:
    return {"name": user.full_name, "id": user.zuid}


def _full_name(values: Mapping[str, Any]) -> str:
    return " ".join(values[name] for name in ("First_Name", "Last_Name") if values.get(name))
