"""Zoho: OAuth 2.0 with error answers, lifetimes and limits of its own."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from tokenkeep.errors import (
    ConfigurationError,
    CoolingDown,
    GrantRejected,
    ProviderRefused,
    ProviderUnavailable,
    RenewalError,
    UnknownName,
)
from tokenkeep.providers import answers
from tokenkeep.providers.base import Place, Profile
from tokenkeep.providers.checks import expect
from tokenkeep.providers.http import Form, send
from tokenkeep.providers.oauth2 import OAuth2
from tokenkeep.providers.zoho_data_centers import DATA_CENTERS, ENVIRONMENTS, DataCenters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokenkeep.providers.base import Reply
    from tokenkeep.token import Token

PROFILE = Profile(mint_limit=10, mint_window=600.0, rotates=False, revokes_grant=False)
"""
Zoho's habits: 10 access tokens per refresh token in 10 minutes, then blocked
for the rest of them (https://zoho.com/accounts/protocol/oauth/token-limits.html);
refresh tokens never change, and each is revoked for itself.
"""

LIFETIME = 3600.0
"""What every page of Zoho's says an access token lives, in seconds."""

USER_SCOPES = ("ZohoCRM.users.READ", "ZohoCRM.org.READ")
"""What `current_user` has to be allowed to read."""

_LONGEST_IN_SECONDS = 86_400.0
_BAD_REQUEST = 400

_CRM_CODES = frozenset(
    {"INVALID_TOKEN", "INVALID_OAUTHTOKEN", "AUTHENTICATION_FAILURE"}
    | {"OAUTH_SCOPE_MISMATCH", "NO_PERMISSION"}
)
"""What Zoho CRM refuses a token with. No other code is shown: it may repeat what was sent."""


class Zoho(OAuth2):
    """
    Speak to Zoho's accounts servers.

    What each of its answers means is in docs/providers.md, row by row.

    Args:
        table: The data centres. None means `DATA_CENTERS`.
        profile: None means `PROFILE`.
        clock: Our time, in epoch seconds.
    """

    # Zoho CRM takes its own prefix only, whatever its token answers call the type.
    authorization_scheme = "Zoho-oauthtoken"
    profile: Profile = PROFILE

    # Zoho answers most errors with status 200, and writes one of them
    # "Access Denied" on the token endpoint and "access_denied" elsewhere.
    errors: ClassVar[Mapping[str | int, type[RenewalError]]] = {
        **OAuth2.errors,
        "invalid_code": GrantRejected,
        "invalid_client_secret": ProviderRefused,
        "invalid_redirect_uri": ProviderRefused,
        "missing_org_info": ProviderRefused,
        "access denied": CoolingDown,
        "access_denied": CoolingDown,
        "general_error": ProviderUnavailable,
    }

    gone: ClassVar[frozenset[str]] = frozenset(
        {"invalid_token", "invalid_code", "invalid_oauthtoken"}
    )

    hints: ClassVar[Mapping[str, str]] = {
        **OAuth2.hints,
        "invalid_client": "Check the client id and the data centre: Zoho answers this, too, "
        "when a token is renewed at another data centre than its own",
        "invalid_client_secret": "Check the client secret: it can differ from one data centre "
        "to the other",
        "invalid_redirect_uri": "Use the redirect URI that is registered for the client, "
        "letter for letter",
        "missing_org_info": "Name the organisation (soid)",
    }

    def __init__(
        self,
        table: DataCenters | None = None,
        *,
        profile: Profile | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        is_one = isinstance(table, DataCenters | None)
        expect("table", table, "a table of data centres", so=is_one)
        super().__init__("zoho", profile=profile, lifetime=LIFETIME, clock=clock)
        self.table: DataCenters = DATA_CENTERS if table is None else table

    def place(self, api_domain: str | None) -> Place | None:
        if not api_domain:
            return None
        return self.table.place(api_domain) or super().place(api_domain)

    def issuer(self, place: Place | None) -> str | None:
        if place is None:
            return None
        center = self.table.get(place.data_center)
        return center.token_endpoint if center else None

    def revocation_endpoint(self, token: Token) -> str:
        return f"{_stem(self._token_endpoint(token))}/token/revoke"

    def lifetime(self, fields: Mapping[str, object]) -> float | None:
        # With expires_in_sec in the answer expires_in is milliseconds, and without it seconds;
        # but some answers have milliseconds and no expires_in_sec. No token of Zoho's lives
        # longer than a day, so what is more can't be seconds.
        for name in ("expires_in_sec", "expires_in"):
            number = answers.seconds(fields.get(name)) or math.inf
            number /= 1000 if number > _LONGEST_IN_SECONDS else 1
            if number <= _LONGEST_IN_SECONDS:
                return number
        return LIFETIME

    def meaning(self, status: int, fields: Mapping[str, object]) -> type[RenewalError] | None:
        # "too many requests" is throttling, whatever the code.
        texts = (fields.get(name) for name in ("error", "error_description", "message"))
        if any("too many requests" in text.lower() for text in texts if isinstance(text, str)):
            return CoolingDown
        return super().meaning(status, fields)

    def confirms_revocation(self, status: int, fields: Mapping[str, object] | None) -> bool:
        # Or 400, as it says of a token that it does not know.
        return fields is not None and (fields.get("status") == "success" or status == _BAD_REQUEST)

    def wait(self, reply: Reply) -> float | None:
        # Zoho names no time; its block lasts to the end of the window.
        return reply.retry_after or self.profile.mint_window

    def home_issuer(self) -> str | None:
        return self.table.by_name("us").token_endpoint

    def tenant(self, token: Token) -> str | None:
        _, _, zgid = (token.user or "").rpartition(":")  # as the SDK names a user: email:zgid
        return zgid if zgid.isdecimal() else None

    def expect_known(self, data_center: str | None, environment: str | None) -> None:
        # What has one of these in it is a host, which is a place of its own.
        if data_center and not {".", ":"} & set(data_center):
            self.table.by_name(data_center)
        if environment and not {".", ":"} & set(environment) and environment not in ENVIRONMENTS:
            raise UnknownName(
                f"There is no environment {environment!r}",
                hint=f"Known are {', '.join(ENVIRONMENTS)}",
            )

    def _revocation_form(self, token: Token) -> Form:
        return Form(token=token.refresh_token or token.access_token)


def authorization_endpoint(issuer: str) -> str:
    """Return the authorization endpoint beside a token endpoint."""
    return f"{_stem(issuer)}/auth"


def _stem(issuer: str) -> str:
    """Return a token endpoint without its ``/token``; portals have other paths before it."""
    stem, found, rest = issuer.rstrip("/").rpartition("/token")
    if not found or rest:
        raise ConfigurationError(
            "This issuer is not a token endpoint of Zoho's",
            hint="It ends in /oauth/v2/token, or /token for a portal",
        )
    return stem


def current_user(token: Token, *, timeout: float = 10.0) -> str:
    """
    Ask Zoho CRM whose access token it is; *timeout*, in seconds, bounds each of the two calls.

    Returns ``email:zgid``, as the official SDK names its users (``crm/api/util/utility.py``,
    ``get_user_name``). `ConfigurationError` where nothing may be sent to its api_domain,
    `ProviderRefused` where the token is not accepted, or not for this, else `ProviderUnavailable`.
    """
    base = str(token.api_domain).rstrip("/")
    # A form's repr shows no value: crash reports show the locals of each frame.
    form = Form({"Authorization": f"{Zoho.authorization_scheme} {token.access_token}"})
    found = []
    for path, name, key in _WHOSE:
        reply = send("GET", f"{base}/crm/v8/{path}", form, timeout)
        value, code = _first(reply, name, key)
        if code:
            raise ProviderRefused(
                f'Zoho CRM answered "{code}" when asked for {name} (status {reply.status})',
                error=code,
                hint=f"The access token needs the scopes {' and '.join(USER_SCOPES)}",
            )
        if not value:
            what = f"Zoho CRM did not say {key} of {name} (status {reply.status})"
            raise ProviderUnavailable(what)
        found.append(value)
    return ":".join(found)


_WHOSE = (("users?type=CurrentUser", "users", "email"), ("org", "org", "zgid"))
"""What to ask, and what of the answer names the user."""


def _first(reply: Reply, name: str, key: str) -> tuple[str, str]:
    """Return *key* of the first entry of the list *name*, and a code of an error that is known."""
    document: Any = {}
    with suppress(answers.Unreadable):
        document = answers.fields_of(reply)
    with suppress(LookupError, TypeError):
        return str(document[name][0][key] or ""), ""
    code = str(document.get("code"))
    return "", code if code in _CRM_CODES else ""
