"""
Logging people in with Zoho: the address to send them to, and their answer.

`AuthorizationRequest` makes the address and accepts the one answer to it;
`sign_in` makes a stored token of that. The command line and the sample
application are made of these.
"""

from tokenkeep.login.authorization import (
    AuthorizationRequest,
    Code,
    Kept,
    NotThisLogin,
    state_of,
)
from tokenkeep.login.signing_in import (
    DEFAULT_SCOPES,
    Wanted,
    check_environment,
    sign_in,
    with_user_scopes,
    zoho_of,
)

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
