"""
The official SDK, for many users in one process.

The SDK keeps whom it works for on the thread, and is not made to wait
elsewhere: it is called in a pool of threads, and each call switches to its
user, does its work and leaves nothing of the user behind, in one function.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.api.logger import Logger
from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.exception import SDKException
from zohocrmsdk.src.com.zoho.crm.api.initializer import Initializer
from zohocrmsdk.src.com.zoho.crm.api.sdk_config import SDKConfig

from crm_desk.sdk_limits import limit_changes
from tokenkeep import Status
from tokenkeep.errors import LoginNeeded, StoreUnavailable, TokenKeepError, TokenNotFound
from tokenkeep.integrations.zoho_sdk import REFUSED, NoToken, SDKStore
from tokenkeep.login import zoho_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from crm_desk.ledger import Ledger
    from crm_desk.sessions import Login
    from crm_desk.settings import Settings
    from tokenkeep.events import Event as TokenEvent
    from tokenkeep.token import Token

Answer = TypeVar("Answer")

logger = logging.getLogger("crm_desk")

DESK_BUSY = "DESK_BUSY"
"""The desk's own: a login has too many calls under way."""

_CONNECTING = 5.0
"""How long connecting to the CRM may take, in seconds."""

_READING = 15.0
"""How long the CRM may be silent when something is read, in seconds."""

_CHANGING = 50.0
"""How long it may be silent when something is changed, in seconds: given up, nobody knows."""

_LONGEST_PAUSE = 10.0
"""How long at most nobody tries to open a store after that failed, in seconds."""

_COUNTED = {
    "renewed": "renewals",
    "unsaved": "renewals",
    "superseded": "renewals",
    "renewal_failed": "refusals",
    "login_needed": "refusals",
}
"""Events behind which there was a call to the token endpoint, and what it counts as."""

_IN_WORDS = {
    "renewed": "Access token renewed",
    "renewal_failed": "Renewal failed; the stored token is unchanged",
    "login_needed": "Zoho rejects the refresh token: a login is needed",
    "unsaved": "Renewed, but the store can't be written; the answer is kept",
    "revoked": "Revoked",
    "revocation_pending": "Zoho has not confirmed the revocation yet",
}

_NO_CONTENT = 204


class CrmRefused(Exception):
    """
    Zoho CRM answered no.

    Args:
        code: Zoho's.
        message: Zoho's.
        details: Zoho's, such as the name of a field.
    """

    def __init__(self, code: str, message: str = "", details: dict[str, Any] | None = None):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = details or {}


class CrmSilent(Exception):
    """Zoho CRM gave no answer that means anything; what was asked may have been done."""


class Crm:
    """
    What the desk does with tokens and with the CRM.

    Args:
        settings: Where the client is registered.
        ledger: Where calls and renewals are counted.
    """

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._store: SDKStore | None = None
        self._starting = threading.Lock()
        self._away = ""
        self._again_at = 0.0
        # A folder for each process: the SDK truncates and writes its files
        # about modules while other processes would read them.
        self._folder = tempfile.TemporaryDirectory(
            prefix=f"crm-desk-{os.getpid()}-", dir=settings.scratch, ignore_cleanup_errors=True
        )

    @property
    def store(self) -> SDKStore:
        """
        The token store, opened when it is first needed, and again after that failed.

        Raises:
            TokenKeepError: It can't be opened.
        """
        if self._store is not None:
            return self._store
        # While it is away one at a time tries, and nobody waits in line for that.
        if not self._starting.acquire(blocking=not self._away):
            raise StoreUnavailable(self._away)
        try:
            if self._store is None:
                self._store = self._opened()
            return self._store
        finally:
            self._starting.release()

    def token(self, token_id: str) -> Token:
        """
        Return a login as it is stored, valid or not.

        Raises:
            TokenNotFound: There is none.
            StoreError: The store can't be read.
        """
        token = self.store.keeper.store.find_token_by_id(token_id)
        if token is None:
            raise TokenNotFound("There is no such token", token_id=token_id)
        return token

    def token_of(self, login: Login) -> Token:
        """
        Return the token of a session's login as it is stored, valid or not.

        Raises:
            LoginNeeded: The login is over, and what is stored is of one after it.
            TokenNotFound: There is none.
            StoreError: The store, or the desk's own file, can't be read.
        """
        stored = self.token(login.token_id)
        # What has ended says so itself; a login that could not be noted has replaced it.
        if stored.status is Status.OK and self._ledger.is_over(login.token_id, login.since):
            raise LoginNeeded(
                "This login has ended",
                token_id=stored.id,
                user=stored.user,
                hint="Log in again",
            )
        return stored

    def is_good(self, token_id: str) -> bool:
        """
        Tell whether a login is stored and not known to have ended, past any cache.

        Raises:
            StoreError: The store can't be read.
        """
        stored = self.store.keeper.store.reread(token_id)
        return stored is not None and stored.status is Status.OK

    def as_user(self, stored: Token, work: Callable[[], Answer]) -> Answer:
        """
        Do something with the SDK as one user, in this thread and in one go.

        Args:
            stored: Whose token is used, as of `token`.
            work: Calls the SDK by `answer_of`. Called again, once, if the
                access token is refused.

        Raises:
            CrmRefused: The CRM answered no.
            CrmSilent: The CRM did not answer.
            TokenKeepError: There is no valid token for it.
        """
        token_id = str(stored.id)
        environment = DataCenter.Environment(stored.api_domain, stored.issuer, stored.api_domain)
        token = OAuthToken(id=token_id)
        try:
            _ours(lambda: Initializer.switch_user(environment=environment, token=token))
            try:
                return self._counted(token_id, work)
            except CrmRefused as refused:
                if refused.code not in REFUSED:
                    raise
            # Zoho ended the access token before its time. The store renews it,
            # unless another thread or worker has done so meanwhile.
            self._ledger.note(token_id, "Zoho refused the access token; reported to tokenkeep")
            _ours(lambda: self.store.rejected(token))
            return self._counted(token_id, work)
        finally:
            # Also after a switch that failed: the SDK would leave that user on the thread.
            Initializer.LOCAL.init = None

    def close(self) -> None:
        """Let go of the store and the folder."""
        if self._store is not None:
            self._store.close()
        self._folder.cleanup()

    def _counted(self, token_id: str, work: Callable[[], Answer]) -> Answer:
        self._ledger.count(token_id, "calls")
        return work()

    def _opened(self) -> SDKStore:
        """Open the store, unless it has just failed: what took long would take long again."""
        began = time.monotonic()
        if began < self._again_at:
            raise StoreUnavailable(self._away)
        try:
            return self._start()
        except StoreUnavailable as exc:
            now = time.monotonic()
            self._away, self._again_at = str(exc), now + min(now - began, _LONGEST_PAUSE)
            raise

    def _start(self) -> SDKStore:
        """Open the store that TOKENKEEP_STORE names, and start the SDK with nobody logged in."""
        store = SDKStore(on_event=self._heard)
        limit_changes(_CONNECTING, _CHANGING)
        home = zoho_of(store.keeper).table.by_name(self._settings.data_center)
        Initializer.initialize(
            environment=DataCenter.Environment(
                home.api_domain(), home.token_endpoint, home.api_domain()
            ),
            token=NoToken(),
            store=store,
            resource_path=self._folder.name,
            sdk_config=SDKConfig(connect_timeout=_CONNECTING, read_timeout=_READING),
            # What goes wrong is said by whoever asked; the SDK would say it as well.
            logger=Logger.get_instance(level=Logger.Levels.CRITICAL),
        )
        return store

    def _heard(self, event: TokenEvent) -> None:
        """Note what tokenkeep did, for the panel."""
        # Without a call: the store could not be written before it.
        if event.name in _COUNTED and event.details.get("kind") != "store":
            self._ledger.count(event.token_id, _COUNTED[event.name])
        text = _IN_WORDS.get(event.name)
        if text:
            self._ledger.note(event.token_id, text)


def answer_of(call: Callable[[], Any]) -> Any:
    """
    Make one call of the SDK, and return the object in the answer.

    Returns:
        None if the CRM answered that there is nothing.

    Raises:
        CrmRefused: The CRM answered no.
        CrmSilent: There was no answer, or no sense in it.
        TokenKeepError: There is no valid token for it.
    """
    from zohocrmsdk.src.com.zoho.crm.api.record import APIException

    response = _ours(call)
    answer = None if response is None else response.get_object()
    if isinstance(answer, APIException):
        raise refusal(answer)
    if answer is None and (response is None or response.get_status_code() != _NO_CONTENT):
        raise CrmSilent("Zoho CRM sent something that is no answer")
    return answer


def refusal(answer: Any) -> CrmRefused:
    """Return an APIException of the SDK as an exception that can be raised."""
    message = answer.get_message()
    return CrmRefused(
        str(answer.get_code().get_value()),
        str(getattr(message, "get_value", lambda: message)() or ""),
        dict(answer.get_details() or {}),
    )


def _ours(call: Callable[[], Answer]) -> Answer:
    """Make a call of the SDK; raise what is wrong instead of the SDK's one exception for all."""
    try:
        return call()
    except SDKException as error:
        if isinstance(error.cause, TokenKeepError):
            raise error.cause from error
        if error.details and isinstance(error.details.get("code"), str):
            # Before its first request the SDK asks for the module's fields.
            raise CrmRefused(error.details["code"], str(error.details.get("message"))) from error
        if error.cause is None and error.details:
            raise CrmRefused(str(error.code), "", error.details) from error
        logger.warning("The CRM did not answer: %s", type(error.cause or error).__name__)
        raise CrmSilent("Zoho CRM did not answer") from error
