"""
Logging people in with Zoho: the address to send them to, and their answer.

`AuthorizationRequest` makes the address and accepts the one answer to it
(RFC 6749 section 4.1); `sign_in` makes a stored token of that, which knows its
user. The command line and the sample application are made of these.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from tokenkeep.errors import (
    ConfigurationError,
    ProviderRefused,
    ProviderUnavailable,
    TokenKeepError,
    UnknownName,
    letting_go,
)
from tokenkeep.providers.zoho import USER_SCOPES, Zoho, authorization_endpoint, current_user
from tokenkeep.renewal.outcomes import expiry
from tokenkeep.token import Token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from tokenkeep.keeper import Keeper
    from tokenkeep.providers import Answer
    from tokenkeep.providers.zoho_data_centers import DataCenter, DataCenters

__all__ = [
    "DEFAULT_SCOPES",
    "AuthorizationRequest",
    "Code",
    "Kept",
    "NotThisLogin",
    "Wanted",
    "check_environment",
    "sign_in",
    "state_of",
    "with_user_scopes",
    "zoho_of",
]

PROVIDER = "zoho"

DEFAULT_SCOPES = ("ZohoCRM.modules.ALL", "ZohoCRM.settings.ALL")
"""What is asked for if nobody says: what the official SDK needs to read and write records."""

_NOT_ALLOWED_TO_ASK = ("OAUTH_SCOPE_MISMATCH", "NO_PERMISSION")
"""With these the token is good, but may not ask whose it is."""

_ERROR = re.compile(r"[a-z0-9_]{1,64}")
_MOST_FIELDS = 30


class NotThisLogin(Exception):
    """An answer to a login that nobody started here, or that is over."""


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
        self._table = table
        self._data_center = data_center
        self._kept: Kept | None = kept

    @classmethod
    def resumed(cls, table: DataCenters, kept: Kept) -> Self:
        """
        Return a request as it was when it was kept, without its address.

        Raises:
            UnknownName: Its data centre is not in the table any more.
        """
        self = cls.__new__(cls)
        self.url = ""
        self._table = table
        self._data_center = table.by_name(kept.data_center)
        self._kept = kept
        return self

    def kept(self) -> Kept:
        """
        Return what it takes to accept the answer in another process.

        Raises:
            NotThisLogin: The answer was accepted already.
        """
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
            UnknownName: It names an accounts server that is not in the table.
        """
        outcome = self._accepted(_fields(answer))
        # Raised here, where no local variable has the code or the state any more.
        del answer
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _accepted(self, fields: Mapping[str, str]) -> Code | TokenKeepError | NotThisLogin:
        kept, given = self._kept, fields.get("state", "").encode(errors="replace")
        if kept is None or not hmac.compare_digest(given, kept.state.encode()):
            return NotThisLogin()
        self._kept = None
        if "error" in fields:
            return _refusal(fields["error"])
        if not fields.get("code"):
            return ProviderUnavailable("The answer to the login has no code in it")
        server = fields.get("accounts-server")
        try:
            center = self._table.by_accounts_server(server) if server else self._data_center
        except UnknownName as exc:
            return exc.with_traceback(None)
        return Code(
            value=fields["code"],
            data_center=center,
            redirect_uri=kept.redirect_uri,
            verifier=kept.verifier,
        )


def state_of(answer: str) -> str:
    """
    Return the state that an answer carries, as for `accept`, to look up what was `Kept` by it.

    Raises:
        NotThisLogin: It carries none.
    """
    state = _fields(answer).get("state")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    What is to be logged in.

    Args:
        client_id: The client.
        client_secret: None for a public client.
        environment: None means the one that was consented to, where the
            provider says, else production.
        scopes: What was asked for. None if that is not known, for a self
            client's code.
        user: Whose token it will be. None means that the provider is asked.
    """

    client_id: str
    client_secret: str | None = field(repr=False)
    environment: str | None = None
    scopes: Sequence[str] | None = None
    user: str | None = None


def zoho_of(keeper: Keeper) -> Zoho:
    """Return the configured Zoho, which knows the data centres; else `ConfigurationError`."""
    provider = keeper.providers.of(Token(provider=PROVIDER))
    if not isinstance(provider, Zoho):
        raise ConfigurationError(f"The provider {PROVIDER!r} of the configuration is not Zoho's")
    return provider


def check_environment(data_center: DataCenter, environment: str | None) -> None:
    """Raise `UnknownName` where there is no such environment. None is fine."""
    if environment is not None:
        data_center.api_domain(environment)


def with_user_scopes(scopes: Sequence[str]) -> list[str]:
    """Return the scopes and those it takes to name the user, none of them twice."""
    wanted = list(scopes)
    for scope in USER_SCOPES:
        if scope not in wanted and f"{scope.rpartition('.')[0]}.ALL" not in wanted:
            wanted.append(scope)
    return wanted


def sign_in(keeper: Keeper, wanted: Wanted, code: Code, note: Callable[[str], None]) -> Token:
    """
    Exchange a code, ask whose token it is, and store that.

    Stored whole or not at all: what can't be stored is revoked again.

    *wanted* is what the code was asked for with; *note* is called with what the person should
    know besides.

    Raises:
        GrantRejected: The provider rejects the code.
        RenewalError: The provider refuses, or can't be reached.
        StoreError: The token can't be stored.
    """
    provider, center = zoho_of(keeper), code.data_center
    asked = Token(
        provider=PROVIDER,
        client_id=wanted.client_id,
        client_secret=wanted.client_secret,
        grant_token=code.value,
        redirect_uri=code.redirect_uri,
        issuer=center.token_endpoint,
    )
    sent_at = time.time()
    answer = provider.exchange(asked, code_verifier=code.verifier)
    fresh = asked.but(
        access_token=answer.access_token,
        refresh_token=answer.refresh_token,
        expires_at=expiry(answer, sent_at),
        refresh_expires_at=answer.refresh_expires_in and sent_at + answer.refresh_expires_in,
        extra=answer.extra,
        scope=answer.scope or (",".join(wanted.scopes) if wanted.scopes else None),
    )
    try:
        environment = _environment(provider, center, answer, wanted.environment)
        fresh = fresh.but(api_domain=center.api_domain(environment))
        user = wanted.user or _whose(fresh, note)
        stored = keeper.save(fresh.but(user=user))
    except BaseException:
        # Also for Ctrl-C: nobody would ever use or revoke it again.
        with letting_go():  # what went wrong before is what is said
            provider.revoke(fresh)
        raise
    if stored.refresh_token is None:
        note("The provider gave no refresh token: this one ends for good when it expires")
    return stored


def _environment(
    provider: Zoho, center: DataCenter, answer: Answer, environment: str | None
) -> str:
    """Return the environment of a new token: the one named, else the one the provider names."""
    place = provider.table.place(answer.api_domain) if answer.api_domain else None
    told = place.environment if place and place.data_center == center.name else "production"
    # Zoho may answer production's address for every environment; any other is meant.
    if environment is not None and told not in ("production", environment):
        raise ConfigurationError(
            f"Access was granted to {told}, not to {environment}",
            hint=f"Choose {environment} on the consent page, or say --environment {told}",
        )
    return environment or told


def _whose(token: Token, note: Callable[[str], None]) -> str | None:
    """Ask the provider whose token it is. None if that can't be learned now."""
    try:
        return current_user(token)
    except ProviderUnavailable as exc:
        reason = exc.what
    except ProviderRefused as exc:
        if exc.error not in _NOT_ALLOWED_TO_ASK:
            exc.hint = "Was another environment chosen on the consent page? See --environment"
            raise
        reason = exc.what
    note(f"{reason}. The token is stored without its user; --user EMAIL:ZGID names one")
    return None
