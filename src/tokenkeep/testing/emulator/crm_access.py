"""The HTTP face of the CRM: who may call, and the envelope of its errors."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
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
        self._running: Counter[tuple[str, str]] = Counter()

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
        options, accounts = self._world.options, self._world.accounts
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if not value:
            return self.error(401, "AUTHENTICATION_FAILURE", "Authentication failed")
        schemes = {"zoho-oauthtoken"} | ({"bearer"} if options.accept_bearer else set())
        token = accounts.find_access_token(value) if scheme.lower() in schemes else None
        site = request.scope["site"]
        if (
            token is None
            or not accounts.is_live(token)
            or (token.user.data_center, token.environment) != (site.data_center, site.environment)
        ):
            text = {"AUTHENTICATION_FAILURE": "Authentication failed"}
            code = options.rejected_token_code
            message = text.get(code, "invalid oauth token")
            return self.error(options.rejected_token_status, code, message)
        return token

    def _permitted(
        self, request: Request, token: AccessToken, resource: str
    ) -> AccessToken | Response:
        options = self._world.options
        if token.user.name in options.no_api_access:
            details = {"permissions": ["Crm_Implied_Api_Access"]}
            return self.error(403, "NO_PERMISSION", "permission denied", details)
        if options.enforce_scopes and not covers(
            token.scope, resource, _OPERATIONS[request.method]
        ):
            return self.error(
                options.scope_mismatch_status, "OAUTH_SCOPE_MISMATCH", "Unauthorized"
            )
        return token

    async def _spend(self, request: Request, token: AccessToken, handler: Handler) -> Response:
        options = self._world.options
        payer = (token.user.zgid, token.environment)
        spent = self._spent.setdefault(payer, deque())
        now = self._world.clock.now()
        while spent and now - spent[0] >= _DAY:
            spent.popleft()
        busy = options.api_concurrency is not None and self._running[payer] >= (
            options.api_concurrency
        )
        if busy or (options.api_credits is not None and len(spent) >= options.api_credits):
            return self.error(429, "TOO_MANY_REQUESTS", "too many requests, please try later")
        spent.append(now)
        self._running[payer] += 1
        try:
            if options.api_latency:
                await asyncio.sleep(options.api_latency)
            response = await handler(request, token)
        finally:
            self._running[payer] -= 1
        if options.api_credits is not None:
            left = options.api_credits - len(spent)
            # Zoho shows what is left only once half is spent.
            if left <= options.api_credits / 2:
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
