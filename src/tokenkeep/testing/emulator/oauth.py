"""The token endpoint and revocation: codes, renewals, limits and rotation."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from .server import Answer, as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .accounts import AccessToken, Accounts, Client, Grant, RefreshToken
    from .server import Request

_TOO_MANY = "You have made too many requests continuously. Please try again after some time."
_NO_STORE = {"Cache-Control": "no-store"}


class OAuthError(Exception):
    """An error answer of the accounts server; most have the HTTP status 200, as Zoho's."""

    def __init__(self, name: str, description: str | None = None, *, status: int = 200) -> None:
        super().__init__(name)
        self.name = name
        self.description = description
        self.status = status


class TokenEndpoint:
    """Answer token requests as Zoho does, or as the options say other providers do."""

    def __init__(self, accounts: Accounts, api_url: Callable[[str, str], str]) -> None:
        self._accounts = accounts
        self._api_url = api_url

    def token(self, request: Request) -> Answer:
        """Answer one request for a token."""
        try:
            return as_json(self._tokens(request), headers=_NO_STORE)
        except OAuthError as error:
            self._accounts.counters.errors[error.name] += 1
            body = {"error": error.name}
            if error.description is not None:
                body |= {"error_description": error.description, "status": "failure"}
            return as_json(body, error.status, _NO_STORE)

    def revoke(self, request: Request) -> Answer:
        """Answer one request to revoke a token."""
        value = request.form.get("token", "")
        if self._accounts.revoke_value(value, request.site.data_center):
            return as_json({"status": "success"})
        # RFC 7009, section 2.2, answers 200 for an unknown token; Zoho does not.
        self._accounts.counters.errors["invalid_token"] += 1
        return as_json({"status": "failure", "error": "invalid_token"}, 400)

    def _tokens(self, request: Request) -> dict[str, Any]:
        if request.method != "POST":
            raise OAuthError("invalid_request", status=400)
        form = request.form
        kinds = {"authorization_code": self._exchange, "refresh_token": self._refresh}
        kind = form.get("grant_type", "")
        if kind not in kinds:
            # Zoho's documents list a bad grant type under this name.
            raise OAuthError("invalid_client", status=200 if kind else 400)
        client = self._accounts.clients.get(form.get("client_id", ""))
        if client is None:
            raise OAuthError("invalid_client")
        if not client.public and form.get("client_secret") != client.client_secret:
            raise OAuthError("invalid_client_secret")
        return kinds[kind](form, client, request.site.data_center)

    def _exchange(
        self, form: Mapping[str, str], client: Client, data_center: str
    ) -> dict[str, Any]:
        accounts = self._accounts
        grant, now = accounts.grants.get(form.get("code", "")), accounts.clock.now()
        if grant is not None and grant.access.user.data_center != data_center:
            raise OAuthError("invalid_client")
        if grant is None or grant.access.client != client:
            raise OAuthError("invalid_code")
        if grant.exchanged_at is not None or now >= grant.expires_at:
            raise OAuthError("invalid_code")
        if grant.redirect_uri is not None and form.get("redirect_uri") != grant.redirect_uri:
            raise OAuthError("invalid_redirect_uri")
        if not _verifies(grant, form.get("code_verifier", "")):
            raise OAuthError("invalid_code")
        login = None
        if grant.offline:
            most, window = accounts.options.logins_per_window, accounts.options.throttle_window
            if most is not None and accounts.logins_since(now - window, grant.access) >= most:
                raise _throttled()
            login = accounts.make_refresh_token(grant.access)
            login.mints.append(now)
            accounts.counters.mints[login.id] += 1
        grant.exchanged_at = now
        token = accounts.make_access_token(grant.access, login)
        return self._success(token, login.value if login else None)

    def _refresh(
        self, form: Mapping[str, str], client: Client, data_center: str
    ) -> dict[str, Any]:
        accounts, rotation = self._accounts, self._accounts.options.rotation
        value = form.get("refresh_token", "")
        login = accounts.refresh_tokens.get(value)
        if login is None or login.access.user.data_center != data_center:
            raise OAuthError("invalid_code")
        if login.access.client != client or login.status != "active":
            raise OAuthError("invalid_code")
        in_grace = rotation == "rotate_grace" and login.previous[-1:] == [value]
        if value != login.value and not in_grace:
            if rotation == "rotate_reuse_kills":
                accounts.end(login)
            raise OAuthError("invalid_code")
        self._limit_mints(login)
        if rotation != "none" and not in_grace:
            accounts.rotate(login)
        token = accounts.make_access_token(login.access, login)
        accounts.counters.mints[login.id] += 1
        return self._success(token, None if rotation == "none" else login.value)

    def _limit_mints(self, login: RefreshToken) -> None:
        """Count a mint, or raise the throttle answer."""
        options, now = self._accounts.options, self._accounts.clock.now()
        most, window = options.mints_per_window, options.throttle_window
        if most is not None:
            if now < login.blocked_until:
                raise _throttled()
            if login.mints and now - login.mints[0] >= window:
                login.mints = []
            if len(login.mints) >= most:
                login.blocked_until = (login.mints[0] if login.mints else now) + window
                raise _throttled()
        login.mints.append(now)

    def _success(self, token: AccessToken, refresh_token: str | None) -> dict[str, Any]:
        access, options = token.access, self._accounts.options
        production = options.api_domain == "production"
        environment = "production" if production else access.environment
        return {
            "access_token": token.value,
            **({"refresh_token": refresh_token} if refresh_token else {}),
            "scope": " ".join(access.scope.replace(",", " ").split()),
            "api_domain": self._api_url(access.user.data_center, environment),
            "token_type": "Bearer",
            "expires_in": options.access_token_life,
        }


def _throttled() -> OAuthError:
    return OAuthError("Access Denied", _TOO_MANY, status=400)


def _verifies(grant: Grant, verifier: str) -> bool:
    """Check a PKCE code verifier (RFC 7636, section 4.6)."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    return grant.challenge in (None, digest.rstrip(b"=").decode())
