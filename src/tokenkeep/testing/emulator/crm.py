"""The CRM: who is let in; users, organisation, fields, and leads apart for each organisation."""

from __future__ import annotations

import itertools
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .server import Answer, as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .accounts import AccessToken, Accounts, User
    from .server import Request

    Path = re.Match[str]
    Record = dict[str, Any]
    Table = dict[str, Record]
    """Records by id."""

_PER_PAGE = 200
_MAX_PAGED = 2000
# The last version of the API that lists records without being told which fields.
_FIELDS_OPTIONAL = 2
_OPERATIONS = {"GET": "READ", "POST": "CREATE", "PUT": "UPDATE", "DELETE": "DELETE"}
_PATH = re.compile(r"/crm/v(?P<version>\d+)/(?P<first>\w+)(?:/(?P<second>\w+))?")
_READ_ONLY = {
    "Full_Name": "text",
    "Created_By": "ownerlookup",
    "Modified_By": "ownerlookup",
    "Created_Time": "datetime",
    "Modified_Time": "datetime",
}
_FIELDS = {
    "Owner": "ownerlookup",
    **dict.fromkeys(("Company", "First_Name", "Last_Name"), "text"),
    "Email": "email",
    "Phone": "phone",
    "Description": "textarea",
    **_READ_ONLY,
}
"""Data types by API names."""

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
        status: HTTP status, of a call.
        details: What it is about, such as the field's API name.
    """

    def __init__(self, code: str, message: str, status: int = 400, **details: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.envelope: Record = _envelope("error", code, message, details)


class Crm:
    """Keep leads, and answer calls to the API servers; under the emulator's lock."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._ids = itertools.count(4_150_868_000_000_001)
        self._tables: dict[tuple[str, str], Table] = {}

    def table(self, user: User, environment: str) -> Table:
        """The leads that *user* sees; at first there are a few."""
        key = (user.zgid, environment)
        if key not in self._tables:
            self._tables[key] = {}
            for last, first in _SEED[environment]:
                email = f"{first}.{last}@example.com".lower()
                lead = {"Last_Name": last, "First_Name": first, "Email": email}
                self.create(self._tables[key], lead | {"Company": f"{last} Ltd"}, user)
        return self._tables[key]

    def create(self, table: Table, values: Record, user: User) -> Record:
        """Add a record and return it."""
        if not values.get("Last_Name"):
            about: Any = {"api_name": "Last_Name", "json_path": "$.data[0].Last_Name"}
            raise Refused("MANDATORY_NOT_FOUND", "required field not found", **about)
        changed = self._changed(user)
        record = {
            **values,
            "id": str(next(self._ids)),
            "Owner": changed["Modified_By"] | {"email": user.email},
            "Full_Name": _full_name(values),
            "Created_By": changed["Modified_By"],
            "Created_Time": changed["Modified_Time"],
            **changed,
        }
        table[record["id"]] = record
        return record

    def answer(self, request: Request) -> Answer:
        """Answer one call."""
        try:
            path = _path(request)
            token = self._let_in(request, path)
            places = {"users": self._users, "org": _organisation, "settings": _settings}
            return places.get(path["first"], self._called)(request, token, path)
        except Refused as refused:
            self._accounts.counters.errors[refused.code] += 1
            return as_json(refused.envelope, refused.status)

    def _let_in(self, request: Request, path: Path) -> AccessToken:
        if request.refused is not None:
            status, code = request.refused
            raise Refused(code, "a fault was asked for", status)
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if not value:
            raise Refused("AUTHENTICATION_FAILURE", "Authentication failed", 401)
        token = self._accounts.access_tokens.get(value)
        if (
            token is None
            or scheme.lower() != "zoho-oauthtoken"
            or not self._accounts.is_live(token)
            or token.access.user.data_center != request.site.data_center
            or token.access.environment != request.site.environment
        ):
            raise Refused("INVALID_TOKEN", "invalid oauth token", 401)
        first = path["first"]
        resources = {"users": first, "org": first, "settings": f"settings.{path['second']}"}
        resource = resources.get(first, f"modules.{first}")
        if not covers(token.access.scope, resource, _OPERATIONS[request.method]):
            raise Refused("OAUTH_SCOPE_MISMATCH", "Unauthorized", 401)
        return token

    # What can be asked

    def _called(self, request: Request, token: AccessToken, path: Path) -> Answer:
        _check_module(path["first"])
        user, record_id = token.access.user, path["second"]
        table = self.table(user, token.access.environment)
        if request.method == "GET":
            if record_id is None:
                return _listed(request, table, int(path["version"]))
            record = table.get(record_id)
            return as_json({"data": [record]}) if record else Answer(204)
        if request.method == "DELETE":
            ids = [record_id] if record_id else request.query.get("ids", "").split(",")
            rows = [{"id": each} for each in ids]
            return self._written(rows, "deleted", lambda row: table.pop(_known(table, row)["id"]))
        rows = _rows(request)
        if record_id is not None:
            rows = [rows[0] | {"id": record_id}]
        if request.method == "PUT":
            return self._written(rows, "updated", lambda row: self._updated(table, row, user))
        return self._written(rows, "added", lambda row: self.create(table, row, user), 201)

    def _updated(self, table: Table, row: Record, user: User) -> Record:
        record = _known(table, row)
        record.update(row, id=record["id"], **self._changed(user))
        record["Full_Name"] = _full_name(record)
        return record

    def _changed(self, user: User) -> Record:
        """Who changes a record, and when, as the CRM writes it."""
        now = datetime.fromtimestamp(self._accounts.clock.now(), UTC)
        return {
            "Modified_By": {"name": user.full_name, "id": user.zuid},
            "Modified_Time": now.isoformat(timespec="seconds"),
        }

    def _written(
        self, rows: list[Record], did: str, write: Callable[[Record], Record], status: int = 200
    ) -> Answer:
        """Write records one by one; each has an answer of its own."""
        answers = []
        for row in rows:
            try:
                record = write(row)
            except Refused as refused:
                status = 202
                self._accounts.counters.errors[refused.code] += 1
                answers.append(refused.envelope)
                continue
            told = ("id", "Created_Time", "Created_By", "Modified_Time", "Modified_By")
            details = {name: record[name] for name in told}
            answers.append(_envelope("success", "SUCCESS", f"record {did}", details))
        return as_json({"data": answers}, status)

    def _users(self, request: Request, token: AccessToken, _path: Path) -> Answer:
        users = [token.access.user]
        if request.query.get("type") != "CurrentUser":
            everybody = self._accounts.users.values()
            users = [each for each in everybody if each.zgid == token.access.user.zgid]
        rows = [
            {
                "id": each.zuid,
                "zuid": each.zuid,
                "email": each.email,
                "first_name": each.first_name,
                "last_name": each.last_name,
                "full_name": each.full_name,
                "status": "active",
                "confirm": True,
                "role": {"name": "CEO", "id": "4150868000000026005"},
                "profile": {"name": "Administrator", "id": "4150868000000026011"},
            }
            for each in users
        ]
        return as_json({"users": rows, "info": _info(rows)})


def covers(granted: str, resource: str, operation: str) -> bool:
    """Tell whether scopes, separated by commas or spaces, allow to READ, CREATE... a resource."""
    wanted = ["zohocrm", *resource.lower().split(".")]
    allowed = {operation, "ALL"} | ({"WRITE"} if operation in ("CREATE", "UPDATE") else set())
    for scope in granted.replace(",", " ").split():
        *path, last = scope.split(".")
        if last.upper() in allowed and wanted[: len(path)] == [each.lower() for each in path]:
            return True
    return False


def _envelope(status: str, code: str, message: str, details: Mapping[str, Any]) -> Record:
    """What each answer about a call or a record looks like."""
    return {"code": code, "details": details, "message": message, "status": status}


def _full_name(values: Record) -> str:
    return " ".join(values[name] for name in ("First_Name", "Last_Name") if values.get(name))


def _known(table: Table, row: Record) -> Record:
    record_id = str(row.get("id", ""))
    if record_id not in table:
        raise Refused("INVALID_DATA", "the id given seems to be invalid", id=record_id)
    return table[record_id]


def _path(request: Request) -> Path:
    match = _PATH.fullmatch(request.path)
    # A record is read, changed and deleted; under its id nothing is made.
    if (
        match is None
        or request.method not in _OPERATIONS
        or (request.method == "POST" and match["second"])
    ):
        raise _no_such_call()
    return match


def _no_such_call() -> Refused:
    return Refused("INVALID_URL_PATTERN", "Please check if the URL is correct", 404)


def _check_module(name: str | None) -> None:
    if (name or "").lower() != "leads":
        raise Refused("INVALID_MODULE", "the module name given seems to be invalid")


def _rows(request: Request) -> list[Record]:
    """What the JSON body holds, checked to be a list of objects as ``data``."""
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    rows = body.get("data") if isinstance(body, dict) else None
    if isinstance(rows, list) and rows and all(isinstance(each, dict) for each in rows):
        return rows
    raise Refused("INVALID_DATA", "body", expected_data_type="jsonarray")


def _listed(request: Request, table: Table, version: int) -> Answer:
    """One page of records, newest first."""
    asked = request.query
    if version > _FIELDS_OPTIONAL and "fields" not in asked:
        message = "One of the expected parameter is missing"
        raise Refused("REQUIRED_PARAM_MISSING", message, param_names=["fields"])
    try:
        page, per_page = int(asked.get("page", 1)), int(asked.get("per_page", _PER_PAGE))
    except ValueError:
        page = per_page = 0
    if page < 1 or not 1 <= per_page <= _PER_PAGE:
        raise Refused("INVALID_DATA", "invalid page or per_page")
    end = page * per_page
    if end > _MAX_PAGED:
        message = "page_token is required to fetch the records beyond 2000"
        raise Refused("DISCRETE_PAGINATION_LIMIT_EXCEEDED", message, param_name="page")
    ids = sorted(table, key=int, reverse=True)
    rows = [table[each] for each in ids[end - per_page : end]]
    if not rows:
        return Answer(204)
    if "fields" in asked:
        wanted = {"id", *asked["fields"].split(",")}
        rows = [{name: row[name] for name in row if name in wanted} for row in rows]
    return as_json({"data": rows, "info": _info(rows, page, per_page, more=len(ids) > end)})


def _info(
    rows: list[Any], page: int = 1, per_page: int = _PER_PAGE, *, more: bool = False
) -> Record:
    return {"per_page": per_page, "count": len(rows), "page": page, "more_records": more}


def _organisation(_request: Request, token: AccessToken, _path: Path) -> Answer:
    user = token.access.user
    org = {
        "id": f"41508680{user.zgid.zfill(11)}",
        "zgid": user.zgid,
        "company_name": f"Organisation {user.zgid}",
        "primary_email": user.email,
        "country_code": "US",
        "iso_code": "USD",
        "time_zone": "UTC",
    }
    return as_json({"org": [org]})


def _settings(request: Request, _token: AccessToken, path: Path) -> Answer:
    """The fields of a module: of all settings it is what the SDK asks for."""
    if path["second"] != "fields":
        raise _no_such_call()
    _check_module(request.query.get("module"))
    fields = [
        {
            "api_name": name,
            "id": str(4_150_868_000_000_001_000 + number),
            "field_label": name.replace("_", " "),
            "display_label": name.replace("_", " "),
            "data_type": data_type,
            "json_type": "jsonobject" if data_type == "ownerlookup" else "string",
            "system_mandatory": name == "Last_Name",
            "custom_field": False,
            "read_only": name in _READ_ONLY,
            "visible": True,
            "length": 255,
        }
        for number, (name, data_type) in enumerate(_FIELDS.items())
    ]
    return as_json({"fields": fields})
