"""Whether the CRM has refused an access token: the SDK tells nobody but its caller."""

from __future__ import annotations

from typing import Any

from zohocrmsdk.src.com.zoho.crm.api.exception.sdk_exception import SDKException

REFUSED = frozenset({"INVALID_TOKEN", "AUTHENTICATION_FAILURE", "INVALID_OAUTHTOKEN"})
"""The CRM's codes for an access token that it does not take, or not any more."""

_UNAUTHORIZED = 401
_SCOPE = "OAUTH_SCOPE_MISMATCH"
"""What the CRM answers with the same status where a new access token would not help."""


def is_refused(answer: Any) -> bool:
    """
    Tell whether the CRM has refused the access token of a call: then report it, see `SDKStore`.

    Args:
        answer: What the call has returned, the object in that, or the
            `SDKException` it has raised: the SDK asks for a module's fields
            before its first request, and raises what is answered then.
    """
    code, status = _said(answer)
    return str(code) in REFUSED or (status == _UNAUTHORIZED and code != _SCOPE)


def _said(answer: Any) -> tuple[object, object]:
    """Return the CRM's code in an answer, and the HTTP status; None for what is not known."""
    if isinstance(answer, SDKException):
        if isinstance(answer.cause, SDKException):
            return _said(answer.cause)
        code = (answer.details or {}).get("code")
        return code, code  # where the SDK makes no sense of what came, it has the status there
    said = getattr(answer, "get_object", lambda: answer)()
    code = getattr(said, "get_code", lambda: None)()
    status = getattr(answer, "get_status_code", lambda: None)()
    return getattr(code, "get_value", lambda: code)(), status
