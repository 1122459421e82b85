"""The HTTP face of the CRM: who may call, and the envelope of its errors."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from .model import AccessToken
    from .world import World

    Handler = Callable[[Request, AccessToken], Awaitable[Response]]

_DAY = 24 * 3600
_OPERATIONS = {"GET": "READ", "POST": "CREATE", "PUT": "UPDATE", "DELETE": "DELETE"}


class CrmAccess:
    """Let requests with a good token in, and count what an organisation spends."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._spent: dict[tuple[str, str], deque[float]] = {}

    def guard(self, resource: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """
        Wrap a handler.

        Args:
            resource: What its scope is called, such as ``"users"``; parts in
                braces are taken from the path.
            handler: Called with the request and its access token.
        """

        async def guarded(request: Request) -> Response:
            token = self._token(request)
            if not isinstance(token, Response):
                token = self._permitted(request, token, resource.format(**request.path_params))
            if isinstance(token, Response):
                return token
            return await self._spend(request, token, handler)

        return guarded

    def _token(self, request: Request) -> AccessToken | Response:
        accounts = self._world.accounts
        if "refused" in request.scope:
            return self.error(401, request.scope["refused"], "invalid oauth token")
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if not value:
            return self.error(401, "AUTHENTICATION_FAILURE", "Authentication failed")
        known = scheme.lower() == "zoho-oauthtoken"
        token = accounts.find_access_token(value) if known else None
        site = request.scope["site"]
        if (
            token is None
            or not accounts.is_live(token)
            or (token.user.data_center, token.environment) != (site.data_center, site.environment)
        ):
            return self.error(401, "INVALID_TOKEN", "invalid oauth token")
        return token

    def _permitted(
        self, request: Request, token: AccessToken, resource: str
    ) -> AccessToken | Response:
        if token.user.name in self._world.options.no_api_access:
            details = {"permissions": ["Crm_Implied_Api_Access"]}
            return self.error(403, "NO_PERMISSION", "permission denied", details)
        if not covers(token.scope, resource, _OPERATIONS[request.method]):
            return self.error(401, "OAUTH_SCOPE_MISMATCH", "Unauthorized")
        return token

    async def _spend(self, request: Request, token: AccessToken, handler: Handler) -> Response:
        credit = self._world.options.api_credits
        payer = (token.user.zgid, token.environment)
        spent = self._spent.setdefault(payer, deque())
        now = self._world.clock.now()
        while spent and now - spent[0] >= _DAY:
            spent.popleft()
        if credit is not None and len(spent) >= credit:
            return self.error(429, "TOO_MANY_REQUESTS", "too many requests, please try later")
        spent.append(now)
        response = await handler(request, token)
        if credit is not None:
            left = credit - len(spent)
            # Zoho shows what is left only once half is spent.
            if left <= credit / 2:
                response.headers["X-API-CREDITS-REMAINING"] = str(int(left))
        return response

    def error(
        self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None
    ) -> Response:
        """Answer an error of the CRM."""
        self._world.counters.add("errors", code)
        body = {"code": code, "details": details or {}, "message": message, "status": "error"}
        return JSONResponse(body, status_code=status)


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
