"""The CRM: who is let in; the user, the organisation, and leads apart for each organisation."""

from __future__ import annotations

import itertools
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from zlib import crc32

from .server import Answer, Refused, as_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .accounts import Access, Accounts, User
    from .server import Request

    Record = dict[str, Any]
    Table = dict[str, Record]
    """Records by id."""

_PATH = re.compile(r"/crm/v\d+/(\w+)(?:/(\w+))?")
_FIELDS = ("Company", "Description", "Email", "First_Name", "Last_Name", "Phone")


def refused(code: str, message: str, status: int = 400, **details: Any) -> Refused:
    """An error of the CRM, with its code, a text, an HTTP status and what it is about."""
    return Refused(code, as_json(_envelope("error", code, message, details), status))


class Crm:
    """Keep leads, and answer calls to the API servers; under the emulator's lock."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._ids = itertools.count(4_150_868_000_000_001)
        self._tables: dict[tuple[str, str, str], Table] = {}

    def table(self, user: User, environment: str) -> Table:
        """The leads that *user* sees; at first there are a few."""
        key = (user.data_center, user.zgid, environment)
        if key not in self._tables:
            self._tables[key] = {}
            names = ("Boyle", "Castro", "Dietz") if environment == "production" else (environment,)
            for name in names:
                self.create(self._tables[key], {"Last_Name": name, "First_Name": "Ada"})
        return self._tables[key]

    def create(self, table: Table, values: Record) -> str:
        """Add a record and return its id."""
        if not values.get("Last_Name"):
            about: Any = {"api_name": "Last_Name", "json_path": "$.data[0].Last_Name"}
            raise refused("MANDATORY_NOT_FOUND", "required field not found", **about)
        record_id = str(next(self._ids))
        table[record_id] = values | {"id": record_id}
        return record_id

    def answer(self, request: Request) -> Answer:
        """Answer one call."""
        access = self._let_in(request)
        user, table = access.user, self.table(access.user, access.environment)
        path = _PATH.fullmatch(request.path)
        place, which = (path[1].lower(), path[2]) if path else ("", None)
        if place == "leads":
            return self._leads(request, table, which)
        match request.method, place, which, request.query.get("module", "").lower():
            case "GET", "users", None, _:
                person_id = str(4_150_868_000_000 + crc32(user.name.encode()))
                person = {"id": person_id, "email": user.email, "full_name": user.full_name}
                return as_json({"users": [person]})
            case "GET", "org", None, _:
                return as_json({"org": [{"id": f"4{user.zgid.zfill(18)}", "zgid": user.zgid}]})
            case "GET", "settings", "fields", "leads":
                return as_json({"fields": [_field(*each) for each in enumerate(_FIELDS)]})
        raise _no_such_call()

    def _leads(self, request: Request, table: Table, which: str | None) -> Answer:
        if which and which not in table:
            if request.method == "GET":
                return Answer(204)
            raise refused("INVALID_DATA", "the id given seems to be invalid", id=which)
        match request.method, which:
            case "GET", None:
                return _listed(table, request.query)
            case "GET", str():
                return as_json({"data": [table[which]]})
            case "POST", None:
                return _done([self.create(table, each) for each in _rows(request)], 201)
            case "PUT", str():
                table[which].update(_rows(request)[0], id=which)
            case "DELETE", str():
                del table[which]
            case _:
                raise _no_such_call()
        return _done([which])

    def _let_in(self, request: Request) -> Access:
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        token = self._accounts.tokens.get(value)
        if (
            token is None
            or scheme.lower() != "zoho-oauthtoken"
            or not self._accounts.is_live(token)
            or request.site != (token.access.user.data_center, token.access.environment)
        ):
            raise refused("INVALID_TOKEN", "invalid oauth token", 401)
        return token.access


def _envelope(status: str, code: str, message: str, details: Mapping[str, Any]) -> Record:
    """What each answer about a call or a record looks like."""
    return {"code": code, "details": details, "message": message, "status": status}


def _no_such_call() -> Refused:
    return refused("INVALID_URL_PATTERN", "Please check if the URL is correct", 404)


def _done(ids: list[str], status: int = 200) -> Answer:
    rows = [_envelope("success", "SUCCESS", "record written", {"id": each}) for each in ids]
    return as_json({"data": rows}, status)


def _rows(request: Request) -> list[Record]:
    """What the JSON body holds, checked to be a list of objects as ``data``."""
    with suppress(ValueError, TypeError, KeyError):
        rows = json.loads(request.body)["data"]
        if rows and all(isinstance(each, dict) for each in rows):
            return list(rows)
    raise refused("INVALID_DATA", "body", expected_data_type="jsonarray")


def _listed(table: Table, asked: Mapping[str, str]) -> Answer:
    """One page of records, newest first."""
    page, per_page = int(asked.get("page", 1)), int(asked.get("per_page", 200))
    end = page * per_page
    if end > 2000:  # noqa: PLR2004 - what is beyond takes page tokens
        raise refused("DISCRETE_PAGINATION_LIMIT_EXCEEDED", "page_token is required")
    ids = sorted(table, key=int, reverse=True)
    rows = [table[each] for each in ids[end - per_page : end]]
    if not rows:
        return Answer(204)
    if "fields" in asked:
        wanted = {"id", *asked["fields"].split(",")}
        rows = [{name: row[name] for name in row if name in wanted} for row in rows]
    info = {"per_page": per_page, "count": len(rows), "page": page}
    return as_json({"data": rows, "info": info | {"more_records": len(ids) > end}})


def _field(number: int, name: str) -> Record:
    return {
        "api_name": name,
        "id": str(4_150_868_000_000_001_000 + number),
        "data_type": "text",
        "json_type": "string",
        "system_mandatory": name == "Last_Name",
        "custom_field": False,
        "read_only": False,
        "visible": True,
    }
