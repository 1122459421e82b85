"""The CRM calls: who is let in; users, organisation, settings and records."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from .records import Refused, envelope
from .server import Answer, as_json

if TYPE_CHECKING:
    from .accounts import AccessToken, Accounts
    from .records import Records, Table
    from .server import Request

    Path = re.Match[str]

_PER_PAGE = 200
_MAX_PAGED = 2000
# The last version of the API that lists records without being told which fields.
_FIELDS_OPTIONAL = 2
_OPERATIONS = {"GET": "READ", "POST": "CREATE", "PUT": "UPDATE", "DELETE": "DELETE"}
_PATH = re.compile(r"/crm/v(?P<version>\d+)/(?P<first>\w+)(?:/(?P<second>\w+))?")
_FIELDS = (
    # API name, data type, JSON type
    ("Owner", "ownerlookup", "jsonobject"),
    ("Company", "text", "string"),
    ("First_Name", "text", "string"),
    ("Last_Name", "text", "string"),
    ("Full_Name", "text", "string"),
    ("Email", "email", "string"),
    ("Phone", "phone", "string"),
    ("Description", "textarea", "string"),
    ("Created_By", "ownerlookup", "jsonobject"),
    ("Modified_By", "ownerlookup", "jsonobject"),
    ("Created_Time", "datetime", "string"),
    ("Modified_Time", "datetime", "string"),
)
_READ_ONLY = ("Full_Name", "Created_By", "Modified_By", "Created_Time", "Modified_Time")
_TOLD = ("id", "Created_Time", "Created_By", "Modified_Time", "Modified_By")


class Crm:
    """
    Answer calls to the API servers.

    Args:
        accounts: Know whose access token is good.
        records: What the CRM keeps.
    """

    def __init__(self, accounts: Accounts, records: Records) -> None:
        self._accounts = accounts
        self._records = records

    def answer(self, request: Request) -> Answer:
        """Answer one call."""
        try:
            path = _path(request)
            token = self._token(request)
            self._permit(request, token, path)
            places = {"users": self._users, "org": _organisation, "settings": _settings}
            return places.get(path["first"], self._called)(request, token, path)
        except Refused as refused:
            self._accounts.counters.errors[refused.code] += 1
            return as_json(refused.envelope, refused.status)

    # Who is let in

    def _token(self, request: Request) -> AccessToken:
        if request.refused is not None:
            status, code = request.refused
            raise Refused(code, "a fault was asked for", status=status)
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if not value:
            raise Refused("AUTHENTICATION_FAILURE", "Authentication failed", status=401)
        token = self._accounts.access_tokens.get(value)
        if (
            token is None
            or scheme.lower() != "zoho-oauthtoken"
            or not self._accounts.is_live(token)
            or token.access.user.data_center != request.site.data_center
            or token.access.environment != request.site.environment
        ):
            raise Refused("INVALID_TOKEN", "invalid oauth token", status=401)
        return token

    def _permit(self, request: Request, token: AccessToken, path: Path) -> None:
        first = path["first"]
        resources = {"users": first, "org": first, "settings": f"settings.{path['second']}"}
        resource = resources.get(first, f"modules.{first}")
        if not covers(token.access.scope, resource, _OPERATIONS[request.method]):
            raise Refused("OAUTH_SCOPE_MISMATCH", "Unauthorized", status=401)

    # What can be asked

    def _called(self, request: Request, token: AccessToken, path: Path) -> Answer:
        _check_module(path["first"])
        table = self._records.table(token.access.user, token.access.environment)
        record_id = path["second"]
        if request.method == "GET":
            if record_id is None:
                return _listed(request, table, int(path["version"]))
            record = table.get(record_id)
            return as_json({"data": [record]}) if record else Answer(204)
        if request.method == "DELETE":
            ids = [record_id] if record_id else request.query.get("ids", "").split(",")
            return self._write("DELETE", table, [{"id": each} for each in ids], token)
        rows = _rows(request)
        if record_id is not None:
            rows = [rows[0] | {"id": record_id}]
        return self._write(request.method, table, rows, token)

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

    def _write(
        self, method: str, table: Table, rows: list[dict[str, Any]], token: AccessToken
    ) -> Answer:
        """Create, change or remove records one by one; each has an answer of its own."""
        records, user = self._records, token.access.user
        answers, status = [], 201 if method == "POST" else 200
        for row in rows:
            record_id = str(row.get("id", ""))
            try:
                if method == "DELETE":
                    details, did = records.delete(table, record_id), "deleted"
                elif method == "PUT":
                    details, did = records.update(table, record_id, row, user), "updated"
                else:
                    details, did = records.create(table, row, user), "added"
            except Refused as refused:
                status = 202
                self._accounts.counters.errors[refused.code] += 1
                answers.append(refused.envelope)
                continue
            details = {name: details[name] for name in _TOLD}
            answers.append(envelope("success", "SUCCESS", f"record {did}", details))
        return as_json({"data": answers}, status)


def covers(granted: str, resource: str, operation: str) -> bool:
    """
    Tell whether a granted scope allows an operation.

    Args:
        granted: Scopes, separated by commas or spaces.
        resource: Such as ``"modules.leads"``, without ``ZohoCRM``.
        operation: READ, CREATE, UPDATE or DELETE.
    """
    wanted = ["zohocrm", *resource.lower().split(".")]
    allowed = {operation, "ALL"} | ({"WRITE"} if operation in ("CREATE", "UPDATE") else set())
    for scope in granted.replace(",", " ").split():
        *path, last = scope.split(".")
        if last.upper() in allowed and wanted[: len(path)] == [each.lower() for each in path]:
            return True
    return False


def _path(request: Request) -> Path:
    match = _PATH.fullmatch(request.path)
    if match is None or request.method not in _OPERATIONS:
        raise _no_such_call()
    # A record is read, changed and deleted; under its id nothing is made.
    if request.method == "POST" and match["second"]:
        raise _no_such_call()
    return match


def _no_such_call() -> Refused:
    return Refused("INVALID_URL_PATTERN", "Please check if the URL is correct", status=404)


def _check_module(name: str | None) -> None:
    if (name or "").lower() != "leads":
        raise Refused("INVALID_MODULE", "the module name given seems to be invalid")


def _rows(request: Request) -> list[dict[str, Any]]:
    """What the JSON body holds, checked to be a list of objects as ``data``."""
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    rows = body.get("data") if isinstance(body, dict) else None
    if isinstance(rows, list) and rows and all(isinstance(each, dict) for each in rows):
        return rows
    raise Refused("INVALID_DATA", "body", {"expected_data_type": "jsonarray"})


def _listed(request: Request, table: Table, version: int) -> Answer:
    """One page of records, newest first."""
    asked = request.query
    if version > _FIELDS_OPTIONAL and "fields" not in asked:
        raise Refused(
            "REQUIRED_PARAM_MISSING",
            "One of the expected parameter is missing",
            {"param_names": ["fields"]},
        )
    try:
        page, per_page = int(asked.get("page", 1)), int(asked.get("per_page", _PER_PAGE))
    except ValueError:
        page = per_page = 0
    if page < 1 or not 1 <= per_page <= _PER_PAGE:
        raise Refused("INVALID_DATA", "invalid page or per_page")
    end = page * per_page
    if end > _MAX_PAGED:
        message = "page_token is required to fetch the records beyond 2000"
        raise Refused("DISCRETE_PAGINATION_LIMIT_EXCEEDED", message, {"param_name": "page"})
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
) -> dict[str, Any]:
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
            "json_type": json_type,
            "system_mandatory": name == "Last_Name",
            "custom_field": False,
            "read_only": name in _READ_ONLY,
            "visible": True,
            "length": 255,
        }
        for number, (name, data_type, json_type) in enumerate(_FIELDS)
    ]
    return as_json({"fields": fields})
