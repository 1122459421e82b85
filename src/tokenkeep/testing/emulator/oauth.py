"""The token endpoint and revocation: codes, renewals, limits and rotation."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from .accounts import RefreshToken
from .server import Answer, as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .accounts import Access, Accounts, Client, Grant
    from .server import Request

_TOO_MANY = "You have made too many requests continuously. Please try again after some time."
_NO_STORE = {"Cache-Control": "no-store"}


class OAuthError(Exception):
    """An error answer of the accounts server; most have the HTTP status 200, as Zoho's."""

    def __init__(self, error: str, http_status: int = 200, **more: str) -> None:
        super().__init__(error)
        self.error = error
        self.answer = as_json({"error": error, **more}, http_status, _NO_STORE)


class TokenEndpoint:
    """Answer token requests as Zoho does, or as the options say other providers do."""

    def __init__(self, accounts: Accounts, url: Callable[[str, str], str]) -> None:
        self._accounts = accounts
        self._url = url

    def token(self, request: Request) -> Answer:
        """Answer one request for a token."""
        try:
            return as_json(self._tokens(request), headers=_NO_STORE)
        except OAuthError as error:
            self._accounts.counters.errors[error.error] += 1
            return error.answer

    def revoke(self, request: Request) -> Answer:
        """Answer one request to revoke a token."""
        accounts = self._accounts
        token = accounts.tokens.get(request.form.get("token", ""))
        if (
            token is not None
            and token.access.user.data_center == request.site.data_center
            and accounts.is_live(token)
        ):
            accounts.end(token)
            return as_json({"status": "success"})
        # RFC 7009, section 2.2, answers 200 for an unknown token; Zoho does not.
        accounts.counters.errors["invalid_token"] += 1
        return as_json({"status": "failure", "error": "invalid_token"}, 400)

    def _tokens(self, request: Request) -> dict[str, Any]:
        if request.method != "POST":
            raise OAuthError("invalid_request", 400)
        form = request.form
        kinds = {"authorization_code": self._exchange, "refresh_token": self._refresh}
        kind = form.get("grant_type", "")
        if kind not in kinds:
            # Zoho's documents list a bad grant type under this name.
            raise OAuthError("invalid_client", 200 if kind else 400)
        client = self._accounts.clients.get(form.get("client_id", ""))
        if client is None:
            raise OAuthError("invalid_client")
        if form.get("client_secret", "") != client.client_secret:
            raise OAuthError("invalid_client_secret")
        return kinds[kind](form, client, request.site.data_center)

    def _exchange(
        self, form: Mapping[str, str], client: Client, data_center: str
    ) -> dict[str, Any]:
        accounts = self._accounts
        grant = accounts.grants.get(form.get("code", ""))
        if grant is None or grant.access.client != client:
            raise OAuthError("invalid_code")
        if grant.access.user.data_center != data_center:
            raise OAuthError("invalid_client")
        if grant.used or accounts.clock.now() >= grant.expires_at:
            raise OAuthError("invalid_code")
        if grant.redirect_uri not in (None, form.get("redirect_uri")):
            raise OAuthError("invalid_redirect_uri")
        if not _verifies(grant, form.get("code_verifier", "")):
            raise OAuthError("invalid_code")
        login = None
        if grant.offline:
            mints: list[float] = []
            if not accounts.may_mint(mints):
                raise _throttled()
            login = accounts.make_refresh_token(grant.access)
            login.mints = mints
        grant.used = True
        return self._success(grant.access, login, login)

    def _refresh(
        self, form: Mapping[str, str], client: Client, data_center: str
    ) -> dict[str, Any]:
        accounts, options = self._accounts, self._accounts.options
        value = form.get("refresh_token", "")
        login = accounts.tokens.get(value)
        if (
            not isinstance(login, RefreshToken)
            or login.access.user.data_center != data_center
            or login.access.client != client
            or not accounts.is_live(login)
        ):
            raise OAuthError("invalid_code")
        in_grace = options.rotation == "rotate_grace" and value == login.previous
        if value != login.value and not in_grace:
            if options.rotation == "rotate_reuse_kills":
                accounts.end(login)
            raise OAuthError("invalid_code")
        if not accounts.may_mint(login.mints):
            raise _throttled()
        if options.rotation == "none":
            return self._success(login.access, login, None)
        if not in_grace:
            accounts.rotate(login)
        return self._success(login.access, login, login)

    def _success(
        self, access: Access, login: RefreshToken | None, told: RefreshToken | None
    ) -> dict[str, Any]:
        accounts, options = self._accounts, self._accounts.options
        token = accounts.make_access_token(access, login)
        if login is not None:
            accounts.counters.mints[login.id] += 1
        environment = access.environment if options.api_domain == "environment" else "production"
        return {
            "access_token": token.value,
            **({"refresh_token": told.value} if told else {}),
            "scope": " ".join(access.scope.replace(",", " ").split()),
            "api_domain": self._url(access.user.data_center, environment),
            "token_type": "Bearer",
            "expires_in": options.access_token_life,
        }


def _throttled() -> OAuthError:
    return OAuthError("Access Denied", 400, error_description=_TOO_MANY, status="failure")


def _verifies(grant: Grant, verifier: str) -> bool:
    """Check a PKCE code verifier (RFC 7636, section 4.6)."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    return grant.challenge in (None, digest.rstrip(b"=").decode())
