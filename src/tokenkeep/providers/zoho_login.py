"""What a login at Zoho takes besides the exchange of its code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tokenkeep.errors import ProviderRefused, ProviderUnavailable
from tokenkeep.providers.http import get_json
from tokenkeep.providers.zoho import authorization_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokenkeep.providers.zoho_data_centers import DataCenter

USER_SCOPES = ("ZohoCRM.users.READ", "ZohoCRM.org.READ")
"""What `current_user` has to be allowed to read."""

_CODE = re.compile(r"[A-Za-z0-9_]{1,64}")


def authorization_url(
    data_center: DataCenter,
    *,
    client_id: str,
    redirect_uri: str,
    scope: str | Iterable[str],
    state: str,
    code_challenge: str | None,
    access_type: str = "offline",
    prompt: str | None = "consent",
) -> str:
    """
    Return where to send the user's browser (RFC 6749 section 4.1.1, RFC 7636 section 4.3).

    Args:
        data_center: Where the client is registered.
        client_id: The client.
        redirect_uri: As registered, letter for letter.
        scope: Several, or one string with spaces or commas between them.
        state: Unguessable and for one use (RFC 6749 section 10.12).
        code_challenge: S256 of the PKCE verifier. None leaves PKCE out.
        access_type: ``offline`` asks for a refresh token, ``online`` does not.
        prompt: ``consent`` asks the user again; without it Zoho gives a
            refresh token the first time only. None leaves it out.
    """
    scopes = re.split(r"[\s,]+", scope.strip()) if isinstance(scope, str) else list(scope)
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": ",".join(filter(None, scopes)),
        "state": state,
        "access_type": access_type,
    }
    if prompt:
        query["prompt"] = prompt
    if code_challenge:
        query |= {"code_challenge": code_challenge, "code_challenge_method": "S256"}
    return f"{authorization_endpoint(data_center.token_endpoint)}?{urlencode(query)}"


def current_user(api_domain: str, access_token: str, *, timeout: float = 10.0) -> str:
    """
    Ask Zoho CRM whose access token it is.

    Args:
        api_domain: Base URL for API calls.
        access_token: Allowed to read `USER_SCOPES`.
        timeout: Wall-clock bound of each of the two calls, in seconds.

    Returns:
        ``email:zgid``, as the official SDK names its users
        (``crm/api/util/utility.py``, ``get_user_name``).

    Raises:
        ConfigurationError: Nothing may be sent to *api_domain*.
        ProviderRefused: The access token is not accepted, or not for this.
        ProviderUnavailable: No definite answer.
    """
    base = api_domain.rstrip("/")
    authorization = f"Zoho-oauthtoken {access_token}"
    users = get_json(
        f"{base}/crm/v8/users?type=CurrentUser", timeout=timeout, authorization=authorization
    )
    email = _first(users, "users", "email")
    org = get_json(f"{base}/crm/v8/org", timeout=timeout, authorization=authorization)
    return f"{email}:{_first(org, 'org', 'zgid')}"


def _first(answer: tuple[int, object], name: str, key: str) -> str:
    """Return *key* of the first entry of the list *name*."""
    status, document = answer
    value: object = None
    if isinstance(document, dict):
        entries = document.get(name)
        if isinstance(entries, list) and entries and isinstance(entries[0], dict):
            value = entries[0].get(key)
        elif isinstance(code := document.get("code"), str) and _CODE.fullmatch(code):
            raise ProviderRefused(
                f'Zoho CRM answered "{code}" when asked for {name}',
                error=code,
                hint=f"The access token needs the scopes {' and '.join(USER_SCOPES)}",
            )
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ProviderUnavailable(f"Zoho CRM did not say {key} of {name} (status {status})")
    return str(value)
