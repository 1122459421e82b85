"""The CRM calls: users, organisation, settings and records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .crm_access import CrmAccess
from .crm_fields import fields_of, layouts_of, module_of
from .records import MODULES, RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from .model import AccessToken
    from .world import World

_BASE = "/crm/v{version:int}"
_PER_PAGE = 200
# The last version of the API that lists records without being told which fields.
_FIELDS_OPTIONAL = 2


class CrmApi:
    """The routes of an API server."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._access = CrmAccess(world)
        module, guard = "modules.{module}", self._access.guard
        self.routes: list[Route] = [
            Route(f"{_BASE}/users", guard("users", self._users)),
            Route(f"{_BASE}/users/{{id}}", guard("users", self._users)),
            Route(f"{_BASE}/org", guard("org", self._org)),
            Route(f"{_BASE}/settings/fields", guard("settings.fields", self._fields)),
            Route(f"{_BASE}/settings/modules", guard("settings.modules", self._modules)),
            Route(f"{_BASE}/settings/modules/{{name}}", guard("settings.modules", self._modules)),
            Route(f"{_BASE}/settings/layouts", guard("settings.layouts", self._layouts)),
            Route(
                f"{_BASE}/settings/related_lists", guard("settings.related_lists", self._related)
            ),
            Route(f"{_BASE}/{{module}}/upsert", guard(module, self._upsert), methods=["POST"]),
            Route(f"{_BASE}/{{module}}/search", guard(module, self._search)),
            Route(f"{_BASE}/{{module}}/actions/count", guard(module, self._count)),
            Route(
                f"{_BASE}/{{module}}",
                guard(module, self._many),
                methods=["GET", "POST", "PUT", "DELETE"],
            ),
            Route(
                f"{_BASE}/{{module}}/{{id}}",
                guard(module, self._one),
                methods=["GET", "PUT", "DELETE"],
            ),
        ]

    async def _users(self, request: Request, token: AccessToken) -> Response:
        users = [token.user]
        if request.query_params.get("type") != "CurrentUser":
            users = [
                each
                for each in self._world.registry.users.values()
                if each.zgid == token.user.zgid
                and request.path_params.get("id") in (None, each.zuid)
            ]
        rows = [
            {
                "id": each.zuid,
                "zuid": each.zuid,
                "email": each.email,
                "first_name": each.first_name,
                "last_name": each.last_name,
                "full_name": f"{each.first_name} {each.last_name}",
                "status": "active",
                "confirm": True,
                "role": {"name": "CEO", "id": "4150868000000026005"},
                "profile": {"name": "Administrator", "id": "4150868000000026011"},
            }
            for each in users
        ]
        info = {"per_page": _PER_PAGE, "count": len(rows), "page": 1, "more_records": False}
        return JSONResponse({"users": rows, "info": info})

    async def _org(self, _request: Request, token: AccessToken) -> Response:
        zgid = token.user.zgid
        org = {
            "id": f"41508680{zgid.zfill(11)}",
            "zgid": zgid,
            "company_name": f"Organisation {zgid}",
            "primary_email": token.user.email,
            "country_code": "US",
            "iso_code": "USD",
            "time_zone": "UTC",
        }
        return JSONResponse({"org": [org]})

    async def _fields(self, request: Request, _token: AccessToken) -> Response:
        return self._settings(request, "fields", fields_of)

    async def _layouts(self, request: Request, _token: AccessToken) -> Response:
        return self._settings(request, "layouts", layouts_of)

    async def _related(self, request: Request, _token: AccessToken) -> Response:
        return self._settings(request, "related_lists", lambda _module: [])

    def _settings(
        self, request: Request, name: str, rows_of: Callable[[str], list[dict[str, Any]]]
    ) -> Response:
        module = _module(request.query_params.get("module", ""))
        if module is None:
            return self._invalid_module()
        rows = rows_of(module)
        return JSONResponse({name: rows}) if rows else Response(status_code=204)

    async def _modules(self, request: Request, _token: AccessToken) -> Response:
        wanted = request.path_params.get("name")
        names = MODULES if wanted is None else [name for name in [_module(wanted)] if name]
        if not names:
            return self._invalid_module()
        return JSONResponse({"modules": [module_of(name) for name in names]})

    async def _many(self, request: Request, token: AccessToken) -> Response:
        table = self._table(request, token)
        if isinstance(table, Response):
            return table
        if request.method == "GET":
            return self._list(request, table)
        if request.method == "DELETE":
            ids = [each for each in request.query_params.get("ids", "").split(",") if each]
            rows: list[Any] = [{"id": each} for each in ids]
        else:
            parsed = await self._data(request)
            if isinstance(parsed, Response):
                return parsed
            rows = parsed["data"]
        return self._write(request.method, table, rows, token)

    async def _one(self, request: Request, token: AccessToken) -> Response:
        table = self._table(request, token)
        if isinstance(table, Response):
            return table
        record_id = request.path_params["id"]
        if request.method == "GET":
            record = table.get(record_id)
            return JSONResponse({"data": [record]}) if record else Response(status_code=204)
        if request.method == "DELETE":
            return self._write("DELETE", table, [{"id": record_id}], token)
        parsed = await self._data(request)
        if isinstance(parsed, Response):
            return parsed
        return self._write("PUT", table, [parsed["data"][0] | {"id": record_id}], token)

    async def _upsert(self, request: Request, token: AccessToken) -> Response:
        table = self._table(request, token)
        parsed = await self._data(request)
        if isinstance(table, Response):
            return table
        if isinstance(parsed, Response):
            return parsed
        keys = parsed.get("duplicate_check_fields") or ["Email"]
        return self._write("UPSERT", table, parsed["data"], token, keys)

    async def _search(self, request: Request, token: AccessToken) -> Response:
        table = self._table(request, token)
        if isinstance(table, Response):
            return table
        asked = request.query_params
        email, word = asked.get("email"), asked.get("word", "").lower()
        found = [
            record
            for record in table.values()
            if (email is not None and record.get("Email") == email)
            or (word and word in record["Full_Name"].lower())
        ]
        if not found:
            return Response(status_code=204)
        info = {"per_page": _PER_PAGE, "count": len(found), "page": 1, "more_records": False}
        return JSONResponse({"data": found, "info": info})

    async def _count(self, request: Request, token: AccessToken) -> Response:
        table = self._table(request, token)
        return table if isinstance(table, Response) else JSONResponse({"count": len(table)})

    def _list(self, request: Request, table: dict[str, dict[str, Any]]) -> Response:
        asked = request.query_params
        recent = request.path_params["version"] > _FIELDS_OPTIONAL
        if recent and "fields" not in asked:
            return self._access.error(
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
            return self._access.error(400, "INVALID_DATA", "invalid page or per_page")
        try:
            rows, info = self._world.records.page(
                table, page=page, per_page=per_page, token=asked.get("page_token")
            )
        except RecordError as error:
            return self._access.error(400, error.code, error.message, error.details)
        if not rows:
            return Response(status_code=204)
        wanted = {"id", *asked["fields"].split(",")} if "fields" in asked else None
        data = [
            {name: value for name, value in row.items() if wanted is None or name in wanted}
            for row in rows
        ]
        return JSONResponse({"data": data, "info": info})

    def _write(
        self,
        method: str,
        table: dict[str, dict[str, Any]],
        rows: list[dict[str, Any]],
        token: AccessToken,
        keys: list[str] | None = None,
    ) -> Response:
        """Create, change or remove records one by one; each has an answer of its own."""
        records, user, answers, failed = self._world.records, token.user, [], False
        for row in rows:
            try:
                record_id = str(row.get("id", ""))
                duplicate = records.duplicate(table, row, keys) if keys else None
                if method == "DELETE":
                    records.delete(table, record_id)
                    answers.append(_done("record deleted", {"id": record_id}))
                    continue
                if method == "PUT" or duplicate:
                    record_id = duplicate or record_id
                    records.update(table, record_id, row, user)
                    message, action = "record updated", "update"
                else:
                    record_id = records.create(table, row, user)
                    message, action = "record added", "insert"
            except RecordError as error:
                failed = True
                self._world.counters.add("errors", error.code)
                answers.append(
                    {
                        "code": error.code,
                        "details": error.details,
                        "message": error.message,
                        "status": "error",
                    }
                )
                continue
            names = ("Modified_Time", "Modified_By", "Created_Time", "id", "Created_By")
            answer = _done(message, {name: table[record_id][name] for name in names})
            if keys:
                answer |= {"action": action, "duplicate_field": keys[0] if duplicate else None}
            answers.append(answer)
        created = 201 if method == "POST" else 200
        return JSONResponse({"data": answers}, status_code=202 if failed else created)

    def _table(self, request: Request, token: AccessToken) -> dict[str, dict[str, Any]] | Response:
        module = _module(request.path_params["module"])
        if module is None:
            return self._invalid_module()
        return self._world.records.table(token.user.zgid, token.environment, module)

    async def _data(self, request: Request) -> dict[str, Any] | Response:
        """The JSON body, checked to hold a list of objects as ``data``."""
        try:
            body = json.loads(await request.body())
        except ValueError:
            body = None
        if isinstance(body, dict):
            rows = body.get("data")
            if isinstance(rows, list) and rows and all(isinstance(each, dict) for each in rows):
                return body
        return self._access.error(400, "INVALID_DATA", "body", {"expected_data_type": "jsonarray"})

    def _invalid_module(self) -> Response:
        return self._access.error(
            400, "INVALID_MODULE", "the module name given seems to be invalid"
        )


def _module(name: str) -> str | None:
    """The API name of a module, whatever its case; None if there is no such module."""
    return next((each for each in MODULES if each.lower() == name.lower()), None)


def _done(message: str, details: dict[str, Any]) -> dict[str, Any]:
    return {"code": "SUCCESS", "details": details, "message": message, "status": "success"}
