"""
Logging people in with Zoho.

`WebLogin` is for web applications. It and the command line are made of
`AuthorizationRequest`, which makes the address to send a browser to and
accepts the one answer, and `sign_in`, which makes a stored token of that.
"""

from tokenkeep.errors import NotThisLogin
from tokenkeep.login.request import AuthorizationRequest
from tokenkeep.login.sign_in import DEFAULT_SCOPES, sign_in, with_user_scopes, zoho_of
from tokenkeep.login.web import WebLogin

__all__ = [
    "DEFAULT_SCOPES",
    "AuthorizationRequest",
    "NotThisLogin",
    "WebLogin",
    "sign_in",
    "with_user_scopes",
    "zoho_of",
]
