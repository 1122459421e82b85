"""The address to send a person to, and the one answer to it (RFC 6749 section 4.1, RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from tokenkeep.errors import NotThisLogin, ProviderRefused, ProviderUnavailable
from tokenkeep.providers.checks import Hidden
from tokenkeep.providers.zoho import authorization_endpoint

if TYPE_CHECKING:
    from tokenkeep.providers.zoho_data_centers import DataCenters
    from tokenkeep.token import Token

_ERROR = re.compile(r"[a-z0-9_]{1,64}")
_MOST_FIELDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """
    Ask a person for access (RFC 6749 section 4.1.1, RFC 7636 section 4.3).

    Whoever keeps one until its answer comes, perhaps to another process, does so where the browser
    can't read it; and lets it accept one answer only.

    Args:
        data_center: The name of the one to ask: where the client is registered.
        redirect_uri: As registered for it, letter for letter.
        state: What the answer will carry. A random one if not given.
        verifier: Of PKCE; likewise.
    """

    data_center: str
    redirect_uri: str
    state: str = field(default_factory=partial(secrets.token_urlsafe, 32), repr=False)
    verifier: str = field(default_factory=partial(secrets.token_urlsafe, 64), repr=False)

    def url(self, table: DataCenters, wanted: Token) -> str:
        """Return where to send the browser, for a token of this client and scope."""
        query = {
            "response_type": "code",
            "client_id": wanted.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": wanted.scope,
            "state": self.state,
            # Without these two Zoho gives no refresh token, or only the first time.
            "access_type": "offline",
            "prompt": "consent",
            "code_challenge": challenge(self.verifier),
            "code_challenge_method": "S256",
        }
        endpoint = authorization_endpoint(table.by_name(self.data_center).token_endpoint)
        return f"{endpoint}?{urlencode(query)}"

    def accept(self, table: DataCenters, wanted: Token, answer: str) -> Token:
        """
        Take the answer that the browser brings: return *wanted* with the code that is in it.

        Args:
            table: The data centres that it may name.
            wanted: As for `url`.
            answer: The address the browser was sent to, or its query.

        Raises:
            NotThisLogin: It has another state; the right one can still come.
            ProviderRefused: The person or the provider refused.
            ProviderUnavailable: There is no code in it.
            UnknownName: It names an accounts server that is not in the table; or its data
                centre is not there any more.
        """
        fields = _fields(answer)
        del answer  # there may be a code in it, and crash reports show the locals of each frame
        given = Hidden(state=fields.get("state", "").encode(errors="replace"))
        if not hmac.compare_digest(given["state"], self.state.encode()):
            raise NotThisLogin
        if "error" in fields:
            raise _refusal(fields["error"])
        if not fields.get("code"):
            raise ProviderUnavailable("The answer to the login has no code in it")
        server = fields.get("accounts-server")
        center = table.by_accounts_server(server) if server else table.by_name(self.data_center)
        # Only where its user lives a code can be exchanged.
        return wanted.but(
            grant_token=fields["code"], redirect_uri=self.redirect_uri, data_center=center.name
        )


def state_of(answer: str) -> str:
    """Return the state that an answer carries, to look up its request by it."""
    state: str | None = _fields(answer).get("state")
    del answer  # there may be a code in it
    if not state:
        raise NotThisLogin
    return state


def challenge(verifier: str) -> str:
    """Return the S256 code challenge of a verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _fields(answer: str) -> Hidden:
    """Return the fields of a query; none where that is no query, or one of them comes twice."""
    try:
        query = urlsplit(answer).query or answer.rpartition("?")[2]
        pairs = parse_qsl(query.strip(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return Hidden()
    fields = Hidden(pairs)
    return fields if len(fields) == len(pairs) else Hidden()


def _refusal(error: str) -> ProviderRefused:
    # Anybody can write an address: only what looks like an error code is repeated.
    code = error if _ERROR.fullmatch(error) else "an error"
    what = f"The provider refused the login: {code}"
    hint = "Check client id, scopes and redirect URI against the API console"
    if code == "access_denied":
        what, hint = "The user refused access", "Log in again if that was not meant"
    return ProviderRefused(what, error=code, hint=hint)
