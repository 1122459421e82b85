"""The address to send a person to, and the one answer to it (RFC 6749 section 4.1, RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from tokenkeep.errors import (
    NotThisLogin,
    ProviderRefused,
    ProviderUnavailable,
    TokenKeepError,
    UnknownName,
)
from tokenkeep.providers.zoho import authorization_endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from tokenkeep.providers.zoho_data_centers import DataCenter, DataCenters

_ERROR = re.compile(r"[a-z0-9_]{1,64}")
_MOST_FIELDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """
    An authorization code, and what it takes to exchange it.

    Args:
        value: The code.
        data_center: Where its user lives: only there it can be exchanged.
        redirect_uri: The one it was sent to. None for a self client's.
        verifier: Of PKCE. None for a self client's.
    """

    value: str = field(repr=False)
    data_center: DataCenter
    redirect_uri: str | None = None
    verifier: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """
    What a server keeps of a request until its answer comes, perhaps to another process.

    Keep it where the browser can't read it, by its *state*, and delete it as
    the answer comes: that is what lets an answer count once.

    Args:
        state: What the answer will carry.
        verifier: Of PKCE.
        data_center: The name of the one that was asked.
        redirect_uri: Where the answer will be sent to.
    """

    state: str = field(repr=False)
    verifier: str = field(repr=False)
    data_center: str
    redirect_uri: str


class AuthorizationRequest:
    """
    Ask a person for access, once (RFC 6749 section 4.1.1, RFC 7636 section 4.3).

    Args:
        table: The data centres that an answer may name.
        data_center: Where to ask: where the client is registered.
        client_id: The client.
        redirect_uri: As registered for it, letter for letter.
        scopes: What to ask for.

    Attributes:
        url: Where to send the browser. Empty for one that was resumed.
    """

    def __init__(
        self,
        table: DataCenters,
        data_center: DataCenter,
        *,
        client_id: str,
        redirect_uri: str,
        scopes: Sequence[str],
    ) -> None:
        kept = Kept(
            state=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(64),
            data_center=data_center.name,
            redirect_uri=redirect_uri,
        )
        self._table = table
        self._kept: Kept | None = kept
        query = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": redirect_uri,
            "scope": ",".join(scopes),
            "state": kept.state,
            # Without these two Zoho gives no refresh token, or only the first time.
            "access_type": "offline",
            "prompt": "consent",
            "code_challenge": challenge(kept.verifier),
            "code_challenge_method": "S256",
        }
        endpoint = authorization_endpoint(data_center.token_endpoint)
        self.url: str = f"{endpoint}?{urlencode(query)}"

    @classmethod
    def resumed(cls, table: DataCenters, kept: Kept) -> Self:
        """Return a request as it was when it was kept, without its address."""
        self = cls.__new__(cls)
        self.url, self._table, self._kept = "", table, kept
        return self

    def kept(self) -> Kept:
        """Return what it takes to accept the answer in another process, until it was accepted."""
        if self._kept is None:
            raise NotThisLogin
        return self._kept

    def accept(self, answer: str) -> Code:
        """
        Take the answer that the browser brings; works once.

        Args:
            answer: The address the browser was sent to, or its query.

        Raises:
            NotThisLogin: It has another state; the right one can still come.
            ProviderRefused: The person or the provider refused.
            ProviderUnavailable: There is no code in it.
            UnknownName: It names an accounts server that is not in the table; or its data
                centre is not there any more.
        """
        outcome = self._accepted(_fields(answer))
        # Raised here, where no local variable has the code or the state any more.
        del answer
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _accepted(self, fields: Mapping[str, str]) -> Code | TokenKeepError:
        kept, given = self._kept, fields.get("state", "").encode(errors="replace")
        if kept is None or not hmac.compare_digest(given, kept.state.encode()):
            return NotThisLogin()
        self._kept = None
        if "error" in fields:
            return _refusal(fields["error"])
        if not fields.get("code"):
            return ProviderUnavailable("The answer to the login has no code in it")
        server, table = fields.get("accounts-server"), self._table
        try:
            center = (
                table.by_accounts_server(server) if server else table.by_name(kept.data_center)
            )
        except UnknownName as exc:
            return exc.with_traceback(None)
        code, uri, verifier = fields["code"], kept.redirect_uri, kept.verifier
        return Code(value=code, data_center=center, redirect_uri=uri, verifier=verifier)


def state_of(answer: str) -> str:
    """Return the state that an answer carries, to look up what was `Kept` by it."""
    state = _fields(answer).get("state")
    del answer  # there may be a code in it
    if not state:
        raise NotThisLogin
    return state


def challenge(verifier: str) -> str:
    """Return the S256 code challenge of a verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _fields(answer: str) -> dict[str, str]:
    """Return the fields of a query; none where that is no query, or one of them comes twice."""
    try:
        query = urlsplit(answer).query or answer.rpartition("?")[2]
        pairs = parse_qsl(query.strip(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return {}
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else {}


def _refusal(error: str) -> ProviderRefused:
    if error == "access_denied":
        return ProviderRefused(
            "The user refused access",
            error=error,
            hint="Nothing was stored. Log in again if that was not meant",
        )
    # Anybody can write an address: only what looks like an error code is repeated.
    code = error if _ERROR.fullmatch(error) else "an error"
    return ProviderRefused(
        f"The provider refused the login: {code}",
        error=code,
        hint="Check client id, scopes and redirect URI against the API console",
    )
