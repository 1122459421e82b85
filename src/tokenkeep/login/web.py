"""
Logging people in with Zoho through their own browsers: for web applications.

    url = logins.begin(browser)                     # send the browser there
    token = logins.finish(request.query, browser)   # when it comes back, to whichever process

What is under way is kept in the token store, sealed, until the answer comes:
no application needs a table for it.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import asdict
from typing import TYPE_CHECKING

from tokenkeep import holder
from tokenkeep.errors import NotThisLogin
from tokenkeep.events import logger
from tokenkeep.login.request import AuthorizationRequest, state_of
from tokenkeep.login.sign_in import DEFAULT_SCOPES, sign_in, with_user_scopes, zoho_of
from tokenkeep.providers.checks import Hidden
from tokenkeep.token import Claim, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokenkeep.keeper import Keeper

LIFE = 600.0
"""How long a person may take to consent, in seconds."""


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
        self._redirect_uri = redirect_uri
        self._home = zoho_of(keeper.providers).table.by_name(data_center)
        self._wanted = Token(
            client_id=client_id,
            client_secret=client_secret,
            environment=environment,
            scope=",".join(with_user_scopes(DEFAULT_SCOPES if scopes is None else scopes)),
        )

    def begin(self, browser: str, *, data_center: str | None = None) -> str:
        """
        Begin a login, and return where to send the browser.

        Args:
            browser: What only this browser can show again, as a random value in its session:
                the answer counts only with it.
            data_center: Where its user's account is; beside an emulator one of those that it
                has, the others are Zoho's own. None lets Zoho find out.

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
        going = AuthorizationRequest(data_center=center.name, redirect_uri=self._redirect_uri)
        now, nonce = self._keeper.clock.now(), secrets.token_hex(16)
        claim = Claim(nonce=nonce, holder=holder.me(), taken_at=now, length=LIFE)
        facts = Hidden(asdict(going), until=str(now + LIFE))
        self._keeper.store.hold(_name(given["browser"], going.state), claim, facts)
        return going.url(table, self._wanted)

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
            StoreError: The store can't be read, or the token not be stored.
        """
        given = Hidden(answer=answer, browser=browser or "")
        del answer, browser  # as above
        if not given["browser"].strip():
            raise NotThisLogin
        name = _name(given["browser"], state_of(given["answer"]))
        facts = Hidden(self._keeper.store.let_go(name) or {})
        if float(facts.pop("until", 0.0)) < self._keeper.clock.now():
            raise NotThisLogin
        table = zoho_of(self._keeper.providers).table
        request = AuthorizationRequest(**facts)
        asked = request.accept(table, self._wanted, given["answer"])
        return sign_in(self._keeper, asked, note, request)


def _name(browser: str, state: str) -> str:
    """Return what a login is kept by; a digest, since frames of the store show it."""
    both = f"{browser}\n{state}".encode(errors="surrogatepass")  # never fails
    return hashlib.sha256(both).hexdigest()
