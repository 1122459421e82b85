"""
Logging people in with Zoho through their own browsers: for web applications.

    url = logins.begin(browser)                     # send the browser there
    token = logins.finish(request.query, browser)   # when it comes back, to whichever process

What is under way is kept in the token store, sealed, until the answer comes:
no application needs a table for it. (RFC 6749 section 4.1, with PKCE, RFC 7636.)
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from tokenkeep import holder
from tokenkeep.errors import NotThisLogin, ProviderRefused, ProviderUnavailable
from tokenkeep.events import logger
from tokenkeep.login.sign_in import DEFAULT_SCOPES, sign_in, zoho_of
from tokenkeep.providers.checks import Hidden
from tokenkeep.providers.zoho import USER_SCOPES, authorization_endpoint
from tokenkeep.token import Claim, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokenkeep.keeper import Keeper

LIFE = 600.0
"""How long a person may take to consent, in seconds."""

_ERROR = re.compile(r"[a-z0-9_]{1,64}")
_MOST_FIELDS = 30


class WebLogin:
    """
    Log people in, in any number of processes that share a store.

    Args:
        keeper: Where the tokens go.
        client_id: The client, of the type "Server-based Applications".
        client_secret: Its secret.
        redirect_uri: Where Zoho sends the browser back to, as registered, letter for letter.
        data_center: Where the client is registered.
        scopes: What to ask for. What it takes to know whose login it is comes to that. None
            means what the official SDK needs.
        environment: ``production``, ``sandbox`` or ``developer``. None means the one that
            was consented to, where Zoho says it, else production.

    Raises:
        UnknownName: There is no such data centre.
        ConfigurationError: The configured provider ``zoho`` is not Zoho's.
    """

    def __init__(
        self,
        keeper: Keeper,
        *,
        client_id: str,
        client_secret: str | None,
        redirect_uri: str,
        data_center: str = "us",
        scopes: Sequence[str] | None = None,
        environment: str | None = None,
    ) -> None:
        self._keeper = keeper
        self._home = zoho_of(keeper.providers).table.by_name(data_center)
        self._scopes = DEFAULT_SCOPES if scopes is None else scopes
        self._client = Token(
            client_id=client_id,
            client_secret=client_secret,
            redirect_uri=redirect_uri,
            environment=environment,
        )

    def begin(
        self, browser: str, *, data_center: str | None = None, user: str | None = None
    ) -> str:
        """
        Begin a login, and return where to send the browser.

        Args:
            browser: What only this browser can show again, as a random value in its session:
                the answer counts only with it.
            data_center: Where its user's account is; beside an emulator one of those that it
                has, the others are Zoho's own. None lets Zoho find out.
            user: Whose login it will be; then no scope is added to learn that. None means that
                Zoho is asked.

        Raises:
            ValueError: *browser* is blank: any browser could show that.
            UnknownName: There is no such data centre.
            StoreError: What is under way can't be kept.
        """
        given = Hidden(browser=browser or "")  # some sessions return None
        del browser  # crash reports show the locals of each frame
        if not given["browser"].strip():
            raise ValueError(
                "Any browser can show a blank: put secrets.token_urlsafe(32) into this one's "
                "session, and give that to begin() and to finish()"
            )
        table = zoho_of(self._keeper.providers).table
        center = table.by_name(data_center) if data_center else self._home
        now = self._keeper.clock.now()
        facts = Hidden(
            state=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(64),
            data_center=center.name,
            scope=",".join(dict.fromkeys([*self._scopes, *(() if user else USER_SCOPES)])),
            user=user or "",
            until=str(now + LIFE),
        )
        nonce = secrets.token_hex(16)
        claim = Claim(nonce=nonce, holder=holder.me(), taken_at=now, length=LIFE)
        self._keeper.store.hold(_name(given["browser"], facts["state"]), claim, facts)
        query = Hidden(
            response_type="code",
            client_id=self._client.client_id,
            redirect_uri=self._client.redirect_uri,
            scope=facts["scope"],
            state=facts["state"],
            # Without these two Zoho gives no refresh token, or only the first time.
            access_type="offline",
            prompt="consent",
            code_challenge=_challenge(facts["verifier"]),
            code_challenge_method="S256",
        )
        return f"{authorization_endpoint(center.token_endpoint)}?{urlencode(query)}"

    def finish(
        self, answer: str, browser: str, *, note: Callable[[str], None] = logger.warning
    ) -> Token:
        """
        Take the answer that a browser brings, exchange its code, and store the token.

        It counts once, in whichever process, and for the browser that has begun.

        Args:
            answer: The address the browser was sent to, or its query.
            browser: As for `begin`.
            note: Called with what whoever runs the application should know besides.

        Returns:
            The token as stored, with id and, unless that can't be learned, user.

        Raises:
            NotThisLogin: Nobody has begun it with this browser, or it is over.
            ProviderRefused: The person or Zoho refused; `GrantRejected`: the code.
            ProviderUnavailable: Zoho can't be reached, or there is no code.
            UnknownName: The answer names an accounts server that is not in the table; or its
                data centre is not there any more.
            StoreError: The store can't be read, or the token not be stored.
        """
        given = Hidden(_fields(answer), browser=browser or "")
        del answer, browser  # as above
        if not (given["browser"].strip() and given.get("state")):
            raise NotThisLogin
        name = _name(given["browser"], given["state"])
        facts = Hidden(self._keeper.store.let_go(name) or {})
        if float(facts.get("until", 0.0)) < self._keeper.clock.now():
            raise NotThisLogin
        if "error" in given:
            raise _refusal(given["error"])
        if not given.get("code"):
            raise ProviderUnavailable(
                "The answer to the login has no code in it",
                hint="Begin again; what counts is the address of the page after the consent",
            )
        table, server = zoho_of(self._keeper.providers).table, given.get("accounts-server")
        # Only where its user lives a code can be exchanged.
        center = (
            table.by_accounts_server(server) if server else table.by_name(facts["data_center"])
        )
        asked = self._client.but(
            grant_token=given["code"],
            data_center=center.name,
            scope=facts["scope"],
            user=facts["user"] or None,
        )
        return sign_in(self._keeper, asked, note, Hidden(code_verifier=facts["verifier"]))


def _name(browser: str, state: str) -> str:
    """Return what a login is kept by; a digest, since frames of the store show it."""
    both = f"{browser}\n{state}".encode(errors="surrogatepass")  # never fails
    return hashlib.sha256(both).hexdigest()


def _challenge(verifier: str) -> str:
    """Return the S256 code challenge of a verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _fields(answer: str) -> Hidden:
    """Return the fields of a query; none where that is no query, or one of them comes twice."""
    try:
        query = urlsplit(answer).query or answer.rpartition("?")[2]
        pairs = parse_qsl(query.strip(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except (TypeError, ValueError):  # bytes, too
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
