"""The CRM calls: who is let in; users, organisation, settings and records."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from .http import Answer, as_json
from .records import MODULES, RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .accounts import Accounts
    from .http import Request
    from .model import AccessToken
    from .records import Records, Table

    Path = re.Match[str]

_PER_PAGE = 200
# The last version of the API that lists records without being told which fields.
_FIELDS_OPTIONAL = 2
_OPERATIONS = {"GET": "READ", "POST": "CREATE", "PUT": "UPDATE", "DELETE": "DELETE"}
_PATH = re.compile(
    r"/crm/v(?P<version>\d+)/(?P<first>\w+)(?:/(?P<second>\w+))?(?:/(?P<third>\w+))?"
)
_FIELDS = (
    # API name, data type, JSON type, read-only
    ("Owner", "ownerlookup", "jsonobject", False),
    ("Company", "text", "string", False),
    ("First_Name", "text", "string", False),
    ("Last_Name", "text", "string", False),
    ("Full_Name", "text", "string", True),
    ("Email", "email", "string", False),
    ("Phone", "phone", "string", False),
    ("Lead_Source", "picklist", "string", False),
    ("Description", "textarea", "string", False),
    ("Annual_Revenue", "currency", "double", False),
    ("No_of_Employees", "integer", "integer", False),
    ("Email_Opt_Out", "boolean", "boolean", False),
    ("Created_By", "ownerlookup", "jsonobject", True),
    ("Modified_By", "ownerlookup", "jsonobject", True),
    ("Created_Time", "datetime", "string", True),
    ("Modified_Time", "datetime", "string", True),
)
_TOLD = ("id", "Created_Time", "Created_By", "Modified_Time", "Modified_By")
_SOURCES = ("-None-", "Advertisement", "Cold Call", "Web Research")


class Refused(Exception):
    """
    An error answer of the CRM.

    Args:
        status: HTTP status.
        code: Zoho's error code.
        message: Its text.
        details: What it is about; None means nothing.
    """

    def __init__(
        self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.answer = as_json(_envelope("error", code, message, details or {}), status)


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
            self._accounts.counters.add("errors", refused.code)
            return refused.answer

    # Who is let in

    def _token(self, request: Request) -> AccessToken:
        if request.refused is not None:
            raise Refused(*request.refused, "a fault was asked for")
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if not value:
            raise Refused(401, "AUTHENTICATION_FAILURE", "Authentication failed")
        token = self._accounts.access_tokens.get(value)
        if (
            token is None
            or scheme.lower() != "zoho-oauthtoken"
            or not self._accounts.is_live(token)
            or token.access.user.data_center != request.site.data_center
            or token.access.environment != request.site.environment
        ):
            raise Refused(401, "INVALID_TOKEN", "invalid oauth token")
        return token

    def _permit(self, request: Request, token: AccessToken, path: Path) -> None:
        first = path["first"]
        resources = {"users": first, "org": first, "settings": f"settings.{path['second']}"}
        resource = resources.get(first, f"modules.{first}")
        if not covers(token.access.scope, resource, _OPERATIONS[request.method]):
            raise Refused(401, "OAUTH_SCOPE_MISMATCH", "Unauthorized")

    # What can be asked

    def _called(self, request: Request, token: AccessToken, path: Path) -> Answer:
        module = _module(path["first"])
        table = self._records.table(token.access.user, token.access.environment, module)
        record_id = path["second"]
        if request.method == "GET" and record_id is None:
            return self._list(request, table, int(path["version"]))
        if request.method == "GET":
            record = table.get(str(record_id))
            return as_json({"data": [record]}) if record else Answer(204)
        if request.method == "DELETE":
            ids = [record_id] if record_id else request.query.get("ids", "").split(",")
            return self._write("DELETE", table, [{"id": each} for each in ids], token)
        rows = _body(request)["data"]
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
        info = {"per_page": _PER_PAGE, "count": len(rows), "page": 1, "more_records": False}
        return as_json({"users": rows, "info": info})

    def _list(self, request: Request, table: Table, version: int) -> Answer:
        asked = request.query
        if version > _FIELDS_OPTIONAL and "fields" not in asked:
            raise Refused(
                400,
                "REQUIRED_PARAM_MISSING",
                "One of the expected parameter is missing",
                {"param_names": ["fields"]},
            )
        try:
            page, per_page = int(asked.get("page", 1)), int(asked.get("per_page", _PER_PAGE))
        except ValueError:
            page = per_page = 0
        if page < 1 or not 1 <= per_page <= _PER_PAGE:
            raise Refused(400, "INVALID_DATA", "invalid page or per_page")
        try:
            rows, info = self._records.page(
                table, page=page, per_page=per_page, token=asked.get("page_token")
            )
        except RecordError as error:
            raise Refused(400, error.code, error.message, error.details) from error
        if not rows:
            return Answer(204)
        if "fields" in asked:
            wanted = {"id", *asked["fields"].split(",")}
            rows = [{name: row[name] for name in row if name in wanted} for row in rows]
        return as_json({"data": rows, "info": info})

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
            except RecordError as error:
                status = 202
                self._accounts.counters.add("errors", error.code)
                answers.append(_envelope("error", error.code, error.message, error.details))
                continue
            details = {name: details[name] for name in _TOLD}
            answers.append(_envelope("success", "SUCCESS", f"record {did}", details))
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


def _envelope(status: str, code: str, message: str, details: Mapping[str, Any]) -> dict[str, Any]:
    return {"code": code, "details": details, "message": message, "status": status}


def _path(request: Request) -> Path:
    match = _PATH.fullmatch(request.path)
    if match is None or request.method not in _OPERATIONS:
        raise Refused(404, "INVALID_URL_PATTERN", "Please check if the URL is correct")
    return match


def _module(name: str | None) -> str:
    """The API name of a module, whatever its case."""
    for each in MODULES:
        if each.lower() == (name or "").lower():
            return each
    raise Refused(400, "INVALID_MODULE", "the module name given seems to be invalid")


def _body(request: Request) -> dict[str, Any]:
    """The JSON body, checked to hold a list of objects as ``data``."""
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    if isinstance(body, dict):
        rows = body.get("data")
        if isinstance(rows, list) and rows and all(isinstance(each, dict) for each in rows):
            return body
    raise Refused(400, "INVALID_DATA", "body", {"expected_data_type": "jsonarray"})


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
    """What the CRM says about its modules; there are no related lists."""
    what, module = path["second"], path["third"] or request.query.get("module")
    names = MODULES if what == "modules" and module is None else (_module(module),)
    if what == "modules":
        return as_json({"modules": [_described(name) for name in names]})
    if what == "fields":
        return as_json({"fields": _fields(names[0])})
    return Answer(204)


def _described(module: str) -> dict[str, Any]:
    return {
        "api_name": module,
        "module_name": module,
        "id": str(4_150_868_000_000_000_100 + MODULES.index(module)),
        "singular_label": module.removesuffix("s"),
        "plural_label": module,
        "api_supported": True,
        "generated_type": "default",
    }


def _fields(module: str) -> list[dict[str, Any]]:
    begin = 4_150_868_000_000_001_000 + 100 * MODULES.index(module)
    return [
        {
            "api_name": name,
            "id": str(begin + number),
            "field_label": name.replace("_", " "),
            "display_label": name.replace("_", " "),
            "data_type": data_type,
            "json_type": json_type,
            "system_mandatory": name == "Last_Name",
            "custom_field": False,
            "read_only": read_only,
            "visible": True,
            "length": 255,
            "pick_list_values": [
                {"display_value": each, "actual_value": each}
                for each in (_SOURCES if data_type == "picklist" else ())
            ],
        }
        for number, (name, data_type, json_type, read_only) in enumerate(_FIELDS)
    ]
