"""The HTTP face of an accounts server: tokens, revocation and the small lookups."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .model import OAuthError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from .model import Client
    from .world import Site, World

# What RFC 6749, section 5.2, calls Zoho's errors.


class OAuthEndpoints:
    """The routes of an accounts server but for the pages people see."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.routes: list[Route] = [
            Route("/oauth/v2/token", self._token, methods=["GET", "POST"]),
            Route("/oauth/v3/device/code", self._device_code, methods=["POST"]),
            Route("/oauth/v3/device/token", self._device_token, methods=["POST"]),
            Route("/oauth/v2/token/revoke", self._revoke, methods=["POST"]),
            Route("/oauth/v2/revoke/token", self._revoke_with_client, methods=["POST"]),
            Route("/oauth/v2/introspect", self._introspect, methods=["POST"]),
            Route("/oauth/user/info", self._user_info, methods=["GET"]),
            Route("/oauth/v2/userinfo", self._user_info, methods=["GET"]),
            Route("/oauth/serverinfo", self._server_info, methods=["GET"]),
            Route("/.well-known/openid-configuration", self._openid, methods=["GET"]),
        ]

    async def _token(self, request: Request) -> Response:
        if request.method != "POST":
            return self.failure(OAuthError("invalid_request", status=400))
        return await self._answer(request, self._world.tokens.answer)

    async def _device_code(self, request: Request) -> Response:
        page = f"{self._world.accounts_url(site_of(request).data_center)}/oauth/device"
        return await self._answer(
            request, lambda form, home: self._world.devices.begin(form, home, page)
        )

    async def _device_token(self, request: Request) -> Response:
        return await self._answer(request, self._world.devices.poll)

    async def _answer(
        self, request: Request, handle: Callable[[dict[str, str], str], dict[str, Any]]
    ) -> Response:
        form = await parameters(request)
        try:
            answer = handle(form, site_of(request).data_center)
        except OAuthError as error:
            return self.failure(error)
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    async def _revoke(self, request: Request) -> Response:
        form = await parameters(request)
        return self._revoked(form, request, None)

    async def _revoke_with_client(self, request: Request) -> Response:
        form = await parameters(request)
        try:
            client = self._client(form, request)
        except OAuthError as error:
            return self.failure(error)
        return self._revoked(form, request, client)

    def _revoked(self, form: dict[str, str], request: Request, client: Client | None) -> Response:
        data_center = site_of(request).data_center
        done = self._world.accounts.revoke_value(form.get("token", ""), data_center, client)
        # RFC 7009, section 2.2, answers 200 for an unknown token; Zoho does not.
        if done:
            return JSONResponse({"status": "success"})
        self._world.counters.add("errors", "invalid_token")
        return JSONResponse({"status": "failure", "error": "invalid_token"}, status_code=400)

    async def _introspect(self, request: Request) -> Response:
        form = await parameters(request)
        try:
            client = self._client(form, request)
        except OAuthError as error:
            return self.failure(error)
        accounts = self._world.accounts
        token = accounts.find_access_token(form.get("token", ""))
        if token is None or token.client != client or not accounts.is_live(token):
            return JSONResponse({"active": False})
        return JSONResponse(
            {
                "active": True,
                "scope": token.scope.replace(",", " "),
                "client_id": token.client.client_id,
                "username": token.user.email,
                "token_type": "Bearer",
                "exp": int(token.expires_at),
                "iat": int(token.issued_at),
            }
        )

    async def _user_info(self, request: Request) -> Response:
        _, _, value = request.headers.get("authorization", "").partition(" ")
        accounts = self._world.accounts
        token = accounts.find_access_token(value)
        if token is None or not accounts.is_live(token):
            self._world.counters.add("errors", "INVALID_OAUTHTOKEN")
            return JSONResponse(
                {"response": "error", "cause": "INVALID_OAUTHTOKEN"}, status_code=401
            )
        scopes = token.scope.lower().replace(",", " ").split()
        if "aaaserver.profile.read" not in scopes:
            self._world.counters.add("errors", "INVALID_OAUTHSCOPE")
            return JSONResponse(
                {"response": "error", "cause": "INVALID_OAUTHSCOPE"}, status_code=401
            )
        user = token.user
        return JSONResponse(
            {
                "First_Name": user.first_name,
                "Last_Name": user.last_name,
                "Email": user.email,
                "Display_Name": f"{user.first_name} {user.last_name}",
                "ZUID": int(user.zuid),
            }
        )

    async def _server_info(self, _request: Request) -> Response:
        world = self._world
        locations = {name: world.accounts_url(name) for name in world.registry.data_centers}
        return JSONResponse({"result": "success", "locations": locations})

    async def _openid(self, request: Request) -> Response:
        base = self._world.accounts_url(site_of(request).data_center)
        return JSONResponse(
            {
                "issuer": base,
                "authorization_endpoint": f"{base}/oauth/v2/auth",
                "token_endpoint": f"{base}/oauth/v2/token",
                "revocation_endpoint": f"{base}/oauth/v2/token/revoke",
                "introspection_endpoint": f"{base}/oauth/v2/introspect",
                "userinfo_endpoint": f"{base}/oauth/v2/userinfo",
                "device_authorization_endpoint": f"{base}/oauth/v3/device/code",
                "dc_info": f"{base}/oauth/serverinfo",
                "response_types_supported": ["code"],
                "grant_types_supported": [
                    "authorization_code",
                    "refresh_token",
                    "client_credentials",
                ],
                "token_endpoint_auth_methods_supported": [
                    "client_secret_basic",
                    "client_secret_post",
                ],
                "code_challenge_methods_supported": ["plain", "S256"],
            }
        )

    def _client(self, form: dict[str, str], request: Request) -> Client:
        return self._world.registry.authenticate(
            form.get("client_id", ""), form.get("client_secret"), site_of(request).data_center
        )

    def failure(self, error: OAuthError) -> Response:
        """Answer an error; those without a status of their own have 200, as Zoho's."""
        self._world.counters.add("errors", error.name)
        body: dict[str, Any] = {"error": error.name, **error.details}
        if error.description is not None:
            body |= {"error_description": error.description, "status": "failure"}
        headers = {"Cache-Control": "no-store"}
        return JSONResponse(body, status_code=error.status or 200, headers=headers)


def site_of(request: Request) -> Site:
    """Which server a request came in at."""
    site: Site = request.scope["site"]
    return site


async def parameters(request: Request) -> dict[str, str]:
    """The parameters of a request: its query, its form and HTTP Basic, the later winning."""
    found = dict(request.query_params)
    form = await request.form()
    found.update({name: value for name, value in form.items() if isinstance(value, str)})
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return found
        # RFC 6749, section 2.3.1: both halves are form-encoded first.
        client_id, _, secret = pair.partition(":")
        found |= {"client_id": unquote_plus(client_id), "client_secret": unquote_plus(secret)}
    return found
