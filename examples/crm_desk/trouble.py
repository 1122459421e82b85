"""What went wrong, in plain words, and what to do about it."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace

from crm_desk.crm import DESK_BUSY, CrmRefused, CrmSilent
from crm_desk.disconnecting import NotNoted
from crm_desk.sessions import CannotTell
from crm_desk.threads import Ending
from tokenkeep.errors import (
    ConfigurationError,
    CoolingDown,
    GrantRejected,
    LoginNeeded,
    ProviderRefused,
    ProviderUnavailable,
    RenewalTimeout,
    StoreError,
    StoreUnavailable,
    TokenKeepError,
    TokenNotFound,
    TokenRevoked,
    UnknownName,
)
from tokenkeep.integrations.zoho_sdk import REFUSED
from tokenkeep.login import NotThisLogin

logger = logging.getLogger("crm_desk")


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """
    One thing that went wrong.

    Args:
        status: The HTTP status.
        name: For programs and tests.
        title: What happened, in a few words.
        text: What happened.
        advice: What to do.
        until: Before this time it is no use trying again, in epoch seconds.
            None if that is not known.
        retry: Whether trying again may help.
        login: Whether logging in again helps.
        bare: Whether its page does without the stores: one is what failed, or may be.
    """

    status: int
    name: str
    title: str
    text: str
    advice: str
    until: float | None = None
    retry: bool = True
    login: bool = False
    bare: bool = False


STALE_FORM = Trouble(
    status=403,
    name="stale-form",
    title="This form is from before",
    text="You logged in, logged out or changed the login since this page was opened. To be sure "
    "that this goes where you want it, nothing was sent.",
    advice="Look at what is in the form, and send it once more.",
    retry=False,
)
STALE_PAGE = replace(
    STALE_FORM,
    title="This page is from before",
    text="You logged in, logged out or changed the login since it was opened. To be sure that "
    "this is what you want, nothing was done.",
    advice="Look who is logged in now, above, and do it from here or from the leads.",
)
STALE_LOGIN = replace(
    STALE_FORM,
    text="You logged in, logged out or changed the login since this page was opened.",
    advice="Log in from here.",
    login=True,
)
NOT_HERE = Trouble(
    status=404,
    name="not-here",
    title="There is nothing here",
    text="This address leads nowhere.",
    advice="Check the address, or go on from the leads.",
    retry=False,
)
NO_SUCH_LEAD = replace(
    NOT_HERE,
    name="no-such-lead",
    title="This lead is not there",
    text="Your organisation has no lead of this number. It may have been deleted meanwhile.",
    advice="Look for it among the leads.",
)
NOT_LOGGED_IN = Trouble(
    status=401,
    name="not-logged-in",
    title="You are not logged in",
    text="This browser has no login here, or it has ended.",
    advice="Log in with Zoho to go on.",
    retry=False,
    login=True,
)
OURS = Trouble(
    status=500,
    name="ours",
    title="Something is wrong with this desk",
    text="It is not your fault, and not Zoho's. The details are in the server's log.",
    advice="Try again. If it stays, tell whoever runs this desk.",
    bare=True,
)
_REFUSED_LOGIN = Trouble(
    status=403,
    name="login-refused",
    title="You did not give access",
    text="On Zoho's page the request was refused, so this desk has no access to your CRM and has "
    "stored nothing.",
    advice="If that was not meant, log in again and accept.",
    retry=False,
    login=True,
)
_NOT_THIS_LOGIN = Trouble(
    status=400,
    name="not-this-login",
    title="This answer belongs to no login of this browser",
    text="Either it was used before (the address was opened a second time), it took longer than "
    "ten minutes, or the login was begun in another browser. It was not used for anything.",
    advice="Start the login again from here.",
    retry=False,
    login=True,
)
_UNKNOWN_SERVER = Trouble(
    status=400,
    name="unknown-server",
    title="The answer came from a server nobody knows",
    text="It names an accounts server that is none of Zoho's. Nothing was sent there.",
    advice="Start the login again from here. If it happens again, tell whoever runs this desk.",
    retry=False,
    login=True,
)
NO_SUCH_PLACE = Trouble(
    status=400,
    name="no-such-place",
    title="There is no such data centre here",
    text="This desk does not know the place that you wanted to log in at. Nothing was sent there.",
    advice="Choose one from the list.",
    retry=False,
    login=True,
)
_SPENT_CODE = Trouble(
    status=400,
    name="code-rejected",
    title="Zoho did not accept this login",
    text="The code it sent with you was used before, or is older than a minute.",
    advice="Log in again.",
    retry=False,
    login=True,
)
_CLIENT_REFUSED = Trouble(
    status=502,
    name="client-refused",
    title="Zoho refuses this application",
    text="The client id, its secret, or the redirect address are not as registered with Zoho.",
    advice="Only whoever runs this desk can change that; the server's log says which it is.",
)
_LOGIN_NEEDED = Trouble(
    status=401,
    name="login-needed",
    title="Zoho has ended your login",
    text="Your consent was withdrawn, the login was revoked, or newer logins of yours took its "
    "place. Nothing is wrong with your data.",
    advice="Log in again to go on.",
    retry=False,
    login=True,
)
_TOKEN_REFUSED = Trouble(
    status=503,
    name="token-refused",
    title="Zoho CRM does not take your access token",
    text="It was made a moment ago, or renewed and refused again. Zoho may have ended it once "
    "more in between.",
    advice="Try again in a minute. If it stays, log out and log in again.",
)
_REVOKED = replace(
    _LOGIN_NEEDED,
    name="revoked",
    title="This login was revoked",
    text="Somebody who may do so revoked it for this application, for all browsers at once.",
)
_GONE = replace(
    _LOGIN_NEEDED,
    name="disconnected",
    title="This login is not there any more",
    text="It was disconnected, perhaps in another browser, and its tokens are deleted.",
)
_PROVIDER_DOWN = Trouble(
    status=503,
    name="provider-down",
    title="Zoho's login server does not answer",
    text="Your access token has ended and a new one can't be had at the moment. Your login is "
    "safe; nothing was lost.",
    advice="Try again in a moment. You don't have to log in again.",
)
_RATE_LIMIT = Trouble(
    status=429,
    name="rate-limit",
    title="Zoho asks us to wait",
    text="It gives out a limited number of access tokens for one login in a while, and those "
    "are used up.",
    advice="You don't have to log in again, only to wait.",
)
_CRM_BUSY = Trouble(
    status=429,
    name="crm-busy",
    title="Zoho CRM takes no more calls now",
    text="Your organisation has used up what Zoho allows it, for a moment or for the day. Zoho "
    "does not say which.",
    advice="Try again in a minute. If that does not help, in a few hours.",
)
_CRM_SILENT = Trouble(
    status=502,
    name="crm-silent",
    title="Zoho CRM does not answer",
    text="It was asked, but did not answer in time, or nothing that makes sense.",
    advice="Try again in a moment. You don't have to log in again.",
)
_CRM_SILENT_WRITING = replace(
    _CRM_SILENT,
    name="crm-silent-writing",
    text="It was asked, but did not answer in time, or nothing that makes sense. So it is not "
    "known whether what you sent was done.",
    advice="Look at the list in another tab before you send it again.",
)
_ENDING = Trouble(
    status=503,
    name="ending",
    title="This desk is being stopped",
    text="It did not go on waiting for an answer.",
    advice="Try again in a minute: if it is being restarted, it is back then.",
    bare=True,
)
_ENDING_UNSENT = replace(_ENDING, text="Nothing was sent any more.")
_ENDING_WRITING = replace(
    _ENDING,
    text="It did not go on waiting for Zoho CRM. So it is not known whether what you sent was "
    "done.",
    advice="Once it is back, look at the list in another tab before you send it again.",
)
CANT_TELL = Trouble(
    status=503,
    name="cannot-tell",
    title="This desk can't tell who you are",
    text="Its own file, where it looks up which logins have ended, can't be read just now.",
    advice="Try again in a moment.",
    bare=True,
)
_NOT_NOTED = replace(
    CANT_TELL,
    name="not-noted",
    title="Disconnected, but not noted",
    text="The access was revoked. The desk's own file can't be written just now: other browsers "
    "that were logged in would be so again after your next login.",
    advice="Disconnect once more in a moment, before you log in again.",
)
_STORE = Trouble(
    status=503,
    name="store-unavailable",
    title="The token store can't be reached",
    text="This desk can't look up your login at the moment. It is safe where it is.",
    advice="Try again in a moment. If it stays, tell whoever runs this desk.",
    bare=True,
)
_STORE_BROKEN = replace(
    _STORE,
    status=500,
    name="store-broken",
    title="The token store can't be used",
    advice="Tell whoever runs this desk; the server's log says what it is.",
)
_NOT_COVERED = Trouble(
    status=403,
    name="not-covered",
    title="Your consent does not cover this",
    text="Zoho knows you, but this application was not given access to these records.",
    advice="Log in again and accept what is asked for.",
    retry=False,
    login=True,
)
_NO_PERMISSION = replace(
    _NOT_COVERED,
    name="no-permission",
    title="You may not do this in Zoho CRM",
    text="Your profile in Zoho CRM does not allow it.",
    advice="Ask the administrator of your Zoho CRM.",
    login=False,
)
_CRM_REFUSED = Trouble(
    status=422,
    name="crm-refused",
    title="Zoho CRM did not take this",
    text="",
    advice="Change it and send it again.",
    retry=False,
)
_CRM_REFUSED_READING = replace(
    _CRM_REFUSED,
    status=400,
    name="crm-refused-reading",
    title="Zoho CRM does not show this",
    advice="Check the address, or go on from the leads.",
)

_OF_CODE = {
    "TOO_MANY_REQUESTS": _CRM_BUSY,
    DESK_BUSY: replace(
        _CRM_BUSY,
        name="desk-busy",
        title="Too many calls at a time",
        text="Many are under way here already, so this one was not made: nothing was sent.",
        advice="Try again in a moment.",
    ),
    "OAUTH_SCOPE_MISMATCH": _NOT_COVERED,
    "NO_PERMISSION": _NO_PERMISSION,
    **dict.fromkeys(REFUSED, _TOKEN_REFUSED),
}

# The first that fits: what is more special comes first.
_OF_ERROR: tuple[tuple[type[Exception], Trouble], ...] = (
    (TokenRevoked, _REVOKED),
    (LoginNeeded, _LOGIN_NEEDED),
    (TokenNotFound, _GONE),
    (CoolingDown, _RATE_LIMIT),
    (GrantRejected, _SPENT_CODE),
    (ProviderRefused, _CLIENT_REFUSED),
    (ProviderUnavailable, _PROVIDER_DOWN),
    (RenewalTimeout, _PROVIDER_DOWN),
    (CannotTell, CANT_TELL),
    (NotNoted, _NOT_NOTED),
    (StoreUnavailable, _STORE),
    (StoreError, _STORE_BROKEN),
    (NotThisLogin, _NOT_THIS_LOGIN),
    (UnknownName, _UNKNOWN_SERVER),
    (ConfigurationError, _STORE_BROKEN),
    (TokenKeepError, OURS),
)

_A_WHILE = 60.0

KNOWN = (TokenKeepError, CrmRefused, CrmSilent, NotThisLogin, TimeoutError, Ending)
"""What `trouble_of` has words for."""


def trouble_of(error: Exception, *, writing: bool = False) -> Trouble:
    """
    Say in plain words what an error means to the person at the browser.

    Args:
        error: One of `KNOWN`.
        writing: Whether something was being changed in the CRM.
    """
    # On one line, whatever Zoho or a person has written.
    text = "".join(each if each.isprintable() else " " for each in str(error))
    logger.warning("%s: %s", type(error).__name__, text)
    if isinstance(error, CrmRefused):
        return _OF_CODE.get(error.code) or _refused(error, writing=writing)
    if isinstance(error, Ending):
        return _ended(error, writing=writing)
    if isinstance(error, CrmSilent | TimeoutError):
        return _CRM_SILENT_WRITING if writing else _CRM_SILENT
    if isinstance(error, ProviderRefused) and error.error == "access_denied":
        return _REFUSED_LOGIN
    found = next(trouble for kind, trouble in _OF_ERROR if isinstance(error, kind))
    if isinstance(error, CoolingDown):
        return replace(found, until=error.until or time.time() + _A_WHILE)
    return found


def _ended(error: Ending, *, writing: bool) -> Trouble:
    if not error.begun:
        return _ENDING_UNSENT
    return _ENDING_WRITING if writing else _ENDING


def _refused(error: CrmRefused, *, writing: bool) -> Trouble:
    said = error.message or error.code
    field = error.details.get("api_name") or error.details.get("field")
    about = f" It is about the field {field}." if isinstance(field, str) else ""
    trouble = _CRM_REFUSED if writing else _CRM_REFUSED_READING
    return replace(trouble, text=f"It says: {said}.{about}")
