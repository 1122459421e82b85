"""The device flow: a code shown on one screen, granted on another."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from .model import ENVIRONMENTS, Grant, OAuthError, new_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .accounts import Accounts
    from .model import Client, User
    from .tokens import TokenEndpoint

_LIFE = 300
_INTERVAL = 30
_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"


@dataclass(eq=False)
class DeviceRequest:
    """
    One device that waits.

    Attributes:
        polled_at: Epoch seconds of the last poll.
        decision: None as long as nobody has decided, else whether access was granted.
        grant: What was granted.
    """

    device_code: str = field(repr=False)
    user_code: str
    client: Client
    scope: str
    offline: bool
    data_center: str
    expires_at: float
    polled_at: float = 0.0
    decision: bool | None = None
    grant: Grant | None = None


class Devices:
    """
    Requests of devices; https://www.zoho.com/accounts/protocol/oauth/devices.html.

    Args:
        accounts: Who may ask and grant.
        tokens: Makes the tokens.
    """

    def __init__(self, accounts: Accounts, tokens: TokenEndpoint) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._requests: dict[str, DeviceRequest] = {}

    def begin(self, form: Mapping[str, str], data_center: str, page_url: str) -> dict[str, Any]:
        """Answer the initiation request; lives and intervals are in milliseconds."""
        client = self._accounts.registry.clients.get(form.get("client_id", ""))
        if client is None or data_center not in client.secrets:
            raise OAuthError("invalid_client")
        if form.get("grant_type") != "device_request" or not form.get("scope"):
            raise OAuthError("invalid_request", status=400)
        request = DeviceRequest(
            new_secret(),
            "".join(secrets.choice(_ALPHABET) for _ in range(8)),
            client,
            form["scope"],
            form.get("access_type") == "offline",
            data_center,
            self._accounts.clock.now() + _LIFE,
        )
        self._requests[request.device_code] = request
        return {
            "user_code": request.user_code,
            "device_code": request.device_code,
            "interval": _INTERVAL * 1000,
            "expires_in": _LIFE * 1000,
            "verification_url": page_url,
        }

    def poll(self, form: Mapping[str, str], data_center: str) -> dict[str, Any]:
        """Answer a polling request."""
        with self._accounts.lock:
            client = self._accounts.registry.authenticate(
                form.get("client_id", ""), form.get("client_secret"), data_center
            )
            request = self._requests.get(form.get("code", ""))
            if request is None or request.client != client:
                raise OAuthError("invalid_code")
            now, before = self._accounts.clock.now(), request.polled_at
            request.polled_at = now
            if now >= request.expires_at:
                raise OAuthError("expired")
            if request.decision is None:
                raise OAuthError(
                    "slow_down" if now - before < _INTERVAL else "authorization_pending"
                )
            if request.grant is None:
                raise OAuthError("access_denied")
            home = request.grant.user.data_center
            if home != data_center:
                raise OAuthError("other_dc", details={"user_location": home})
            del self._requests[request.device_code]
            return self._tokens.login(request.grant)

    def decide(
        self, user_code: str, user: User, *, accept: bool, environment: str = "production"
    ) -> None:
        """
        Grant or refuse what a device asked for.

        Raises:
            LookupError: No device waits with this code.
        """
        with self._accounts.lock:
            request = self.find(user_code)
            request.decision = accept
            if accept:
                request.grant = self._accounts.make_grant(
                    user,
                    request.client,
                    scope=request.scope,
                    environment=environment,
                    offline=request.offline,
                )

    def find(self, user_code: str) -> DeviceRequest:
        """The request that waits with *user_code*, whatever its case; LookupError if none."""
        wanted = user_code.strip().upper()
        for request in self._requests.values():
            if request.user_code == wanted and request.decision is None:
                return request
        raise LookupError(f"no device waits with the code {user_code!r}")


def device_form(users: list[User], user_code: str) -> str:
    """The form in which a person types the code of a device, as HTML."""
    people = "".join(f"<option>{escape(each.name)}</option>" for each in users)
    kinds = "".join(f"<option>{each}</option>" for each in ENVIRONMENTS)
    return f"""<form method="post" action="/oauth/device">
<label for="user_code">Code</label>
<input id="user_code" name="user_code" value="{escape(user_code)}" required autocomplete="off">
<label for="user">Account</label>
<select id="user" name="user">{people}</select>
<label for="environment">Environment</label>
<select id="environment" name="environment">{kinds}</select>
<p><button name="decision" value="accept">Accept</button>
<button name="decision" value="reject">Reject</button></p>
</form>"""
