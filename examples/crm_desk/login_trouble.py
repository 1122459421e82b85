"""What went wrong while a person logged in: nothing is lost by it, and logging in again helps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from crm_desk.trouble import trouble_of
from tokenkeep.errors import ProviderUnavailable

if TYPE_CHECKING:
    from crm_desk.trouble import Trouble

_NOT_STORED = (
    "Your login could not be stored",
    "You are not logged in yet: this desk can't write what it has to keep of a login.",
    "Log in again in a moment. If it stays, tell whoever runs this desk.",
)
_WORDS = {
    "rate-limit": (
        "Zoho takes no more logins now",
        "You are not logged in yet: Zoho takes a limited number of logins in a while.",
        "Log in again when that time is over.",
    ),
    "client-refused": (
        "Zoho refuses this application",
        "You are not logged in yet: the client is not registered with Zoho as it is used here.",
        "Only whoever runs this desk can change that; log in again then.",
    ),
    "provider-down": (
        "Zoho's login server does not answer",
        "You are not logged in yet: the login could not be completed.",
        "Log in again in a moment.",
    ),
    "store-unavailable": _NOT_STORED,
    "store-broken": _NOT_STORED,
}
"""Title, text and advice, by the trouble's name."""


def login_trouble(error: Exception) -> Trouble:
    """
    Say in plain words what an error means that came up while a person was logging in.

    Args:
        error: One of `trouble.KNOWN`.
    """
    if isinstance(error, TimeoutError):
        error = ProviderUnavailable("The login took too long; nobody waits for it any more")
    trouble = trouble_of(error)
    if trouble.login:
        return trouble
    other = trouble.title, "You are not logged in yet.", "Log in again in a moment."
    title, text, advice = _WORDS.get(trouble.name, other)
    # Trying again would open the answer again, which is used up.
    return replace(trouble, title=title, text=text, advice=advice, retry=False, login=True)
