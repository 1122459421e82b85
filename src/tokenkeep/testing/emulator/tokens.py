"""The rules of the token endpoint: codes, renewals, limits and rotation."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from .model import OAuthError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .accounts import Accounts
    from .model import AccessToken, Client, Grant, RefreshToken

_TOO_MANY = "You have made too many requests continuously. Please try again after some time."


class TokenEndpoint:
    """
    Answer token requests as Zoho does, or as the options say other providers do.

    Args:
        accounts: The state, changed by every answer.
        api_url: The API address of a data centre and environment.
    """

    def __init__(self, accounts: Accounts, api_url: Callable[[str, str], str]) -> None:
        self._accounts = accounts
        self._api_url = api_url

    def answer(self, form: Mapping[str, str], data_center: str) -> dict[str, Any]:
        """
        Answer one request.

        Args:
            form: Its parameters, client credentials among them.
            data_center: Where it came in.

        Returns:
            The JSON object of a success.

        Raises:
            OAuthError: Anything else.
        """
        handlers = {
            "authorization_code": self._exchange,
            "refresh_token": self._refresh,
            "client_credentials": self._client_credentials,
        }
        handler = handlers.get(form.get("grant_type", ""))
        if handler is None:
            # Zoho's documents list a bad grant type under this name.
            raise OAuthError("invalid_client", status=None if form.get("grant_type") else 400)
        with self._accounts.lock:
            client = self._accounts.registry.authenticate(
                form.get("client_id", ""), form.get("client_secret"), data_center
            )
            return handler(form, client, data_center)

    def login(self, grant: Grant) -> dict[str, Any]:
        """Answer a code or device code that was found good."""
        accounts = self._accounts
        login = None
        if grant.offline:
            self._limit_logins(grant)
            login = accounts.make_refresh_token(
                grant.user, grant.client, grant.scope, grant.environment
            )
            grant.made = login
            login.mints.append(accounts.clock.now())
        token = accounts.make_access_token(
            grant.user, grant.client, grant.scope, grant.environment, login
        )
        if login is not None:
            accounts.counters.add("mints", login.id)
        return self._success(token, None if login is None else login.value)

    def _exchange(
        self, form: Mapping[str, str], client: Client, data_center: str
    ) -> dict[str, Any]:
        accounts = self._accounts
        grant = accounts.grants.get(form.get("code", ""))
        if grant is not None and grant.user.data_center != data_center:
            raise OAuthError("invalid_client")
        if grant is None or grant.client != client:
            raise OAuthError("invalid_code")
        if grant.used or accounts.clock.now() >= grant.expires_at:
            raise OAuthError("invalid_code")
        if grant.redirect_uri is not None and form.get("redirect_uri") != grant.redirect_uri:
            raise OAuthError("invalid_redirect_uri")
        if not _verifies(grant, form.get("code_verifier")):
            raise OAuthError("invalid_code")
        answer = self.login(grant)
        grant.used = True
        return answer

    def _refresh(
        self, form: Mapping[str, str], client: Client, data_center: str
    ) -> dict[str, Any]:
        accounts, options = self._accounts, self._accounts.options
        value = form.get("refresh_token", "")
        login = accounts.find_refresh_token(value)
        if login is not None and login.user.data_center != data_center:
            raise OAuthError("invalid_code")
        if login is None or login.client != client or login.status != "active":
            raise OAuthError("invalid_code")
        if value != login.value and not self._in_grace(login, value):
            if options.rotation == "rotate_reuse_kills":
                accounts.end(login)
            raise OAuthError("invalid_code")
        self._limit_mints(login)

        rotated = None
        if options.rotation != "none":
            rotated = accounts.rotate(login) if value == login.value else login.value
        token = accounts.make_access_token(
            login.user, login.client, login.scope, login.environment, login
        )
        accounts.counters.add("mints", login.id)
        return self._success(token, rotated)

    def _client_credentials(
        self, form: Mapping[str, str], client: Client, data_center: str
    ) -> dict[str, Any]:
        zgid = form.get("soid", "").partition(".")[2]
        users = [
            each
            for each in self._accounts.registry.users.values()
            if (each.zgid, each.data_center) == (zgid, data_center)
        ]
        if not users:
            raise OAuthError("missing_org_info")
        token = self._accounts.make_access_token(
            users[0], client, form.get("scope", ""), "production"
        )
        return self._success(token, None)

    def _in_grace(self, login: RefreshToken, value: str) -> bool:
        """Tell whether *value* is the previous one, where that is still accepted."""
        return self._accounts.options.rotation == "rotate_grace" and login.previous[-1:] == [value]

    def _limit_mints(self, login: RefreshToken) -> None:
        """Count a mint, or raise the throttle answer."""
        options, now = self._accounts.options, self._accounts.clock.now()
        window = options.throttle_window
        if options.mints_per_window is None:
            login.mints.append(now)
            return
        if now < login.blocked_until:
            raise _throttled()
        if login.mints and now - login.mints[0] >= window:
            login.mints = []
        if len(login.mints) >= options.mints_per_window:
            login.blocked_until = (login.mints[0] if login.mints else now) + window
            raise _throttled()
        login.mints.append(now)

    def _limit_logins(self, grant: Grant) -> None:
        """Raise the throttle answer if this user and client made too many logins."""
        accounts, options = self._accounts, self._accounts.options
        since = accounts.clock.now() - options.throttle_window
        recent = [
            each
            for each in accounts.grants.values()
            if each.made is not None
            and each.made.issued_at > since
            and (each.user, each.client) == (grant.user, grant.client)
        ]
        if options.logins_per_window is not None and len(recent) >= options.logins_per_window:
            raise _throttled()

    def _success(self, token: AccessToken, refresh_token: str | None) -> dict[str, Any]:
        options = self._accounts.options
        life = token.expires_at - token.issued_at
        seconds = int(life) if life == int(life) else life
        answer: dict[str, Any] = {"access_token": token.value}
        if refresh_token is not None:
            answer["refresh_token"] = refresh_token
        answer["scope"] = " ".join(token.scope.replace(",", " ").split())
        if options.api_domain != "omit":
            production = options.api_domain == "production"
            environment = "production" if production else token.environment
            answer["api_domain"] = self._api_url(token.user.data_center, environment)
        answer["token_type"] = "Bearer"  # noqa: S105 - not a secret
        lives: dict[str, dict[str, Any]] = {
            "seconds": {"expires_in": seconds},
            "milliseconds_with_sec": {"expires_in": int(life * 1000), "expires_in_sec": seconds},
            "milliseconds": {"expires_in": int(life * 1000)},
            "text": {"expires_in": str(seconds)},
            "missing": {},
        }
        return answer | lives[options.expires_in]


def _throttled() -> OAuthError:
    return OAuthError("Access Denied", _TOO_MANY, status=400)


def _verifies(grant: Grant, verifier: str | None) -> bool:
    """Check a PKCE code verifier (RFC 7636, section 4.6)."""
    if grant.challenge is None:
        return True
    if verifier is None:
        return False
    if grant.challenge_method == "plain":
        return verifier == grant.challenge
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == grant.challenge
