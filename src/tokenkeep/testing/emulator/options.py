"""Every limit and every disputed behaviour of the emulator, as one table."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

ROTATIONS = ("none", "rotate", "rotate_reuse_kills", "rotate_grace")
EXPIRY_UNITS = ("seconds", "milliseconds_with_sec", "milliseconds", "text", "missing")
DIALECTS = ("zoho", "rfc6749")
WINDOWS = ("fixed", "sliding")
_CHOICES = {
    "rotation": ROTATIONS,
    "expires_in": EXPIRY_UNITS,
    "dialect": DIALECTS,
    "throttle_window_kind": WINDOWS,
}


@dataclass
class Options:
    """
    What the emulator does, assignable at any time; defaults are Zoho's.

    A mistyped name or value raises at once. Where Zoho's documents disagree,
    the attribute's comment in ``docs/emulator.md`` names the sides.

    Attributes:
        access_token_life: Seconds an access token is good for.
        code_life: Seconds a grant code is good for, unless its maker said otherwise.
        active_access_tokens: Live access tokens per refresh token; the oldest is
            invalidated silently. None means no limit.
        mints_per_window: Access tokens per refresh token and window; None means no limit.
        exchange_counts_as_mint: Whether the token that comes with an exchanged
            code is one of *mints_per_window*.
        logins_per_window: Refresh tokens per user, client and window made by
            exchanging codes; None means no limit.
        throttle_window: Seconds of the window of the two limits above.
        throttle_window_kind: ``"fixed"`` starts at the first mint and ends as a
            whole; ``"sliding"`` forgets mint by mint.
        throttle_extends: Whether a refused call starts the block anew.
        throttle_status: HTTP status of the throttle answer.
        refresh_tokens: Refresh tokens per user and client; None means no limit.
        refresh_token_limit_is_error: Refuse one too many, instead of killing the oldest.
        error_status: HTTP status of errors at the token endpoint.
        dialect: ``"zoho"``, or ``"rfc6749"`` for error names and statuses as the RFC has them.
        expires_in: How an answer tells the life: ``"seconds"``, ``"milliseconds_with_sec"``
            (with ``expires_in_sec``), ``"milliseconds"`` alone, ``"text"``, ``"missing"``.
        api_domain: ``"environment"``, ``"production"``, ``"omit"``, or a URL to answer.
        scope_in_answer: Whether token answers hold ``scope``, separated by spaces.
        code_at_wrong_data_center: Error for a code of another data centre.
        refresh_token_at_wrong_data_center: Error for a refresh token of another data centre.
        code_reuse_kills: Whether a code used twice kills the tokens it made.
        rotation: ``"none"``, ``"rotate"`` (the old one is refused), ``"rotate_reuse_kills"``
            (the old one kills its family), ``"rotate_grace"`` (one generation
            back is accepted, and answered with the same successor).
        rotation_kills_access_tokens: Whether older access tokens die at a rotation.
        early_refresh_window: Refuse to renew when more than this many seconds are
            left, as Exact Online does; None means always renew.
        loopback_any_port: Whether a loopback redirect URI matches with any port
            (RFC 8252, section 7.3).
        auto_consent: Whether ``auto=accept`` or ``auto=reject`` in the authorize
            URL answers for the person.
        accept_bearer: Whether the CRM takes ``Bearer`` beside ``Zoho-oauthtoken``.
        rejected_token_code: The CRM's code for an access token that is no good.
        rejected_token_status: HTTP status of that answer.
        scope_mismatch_status: HTTP status of ``OAUTH_SCOPE_MISMATCH``.
        enforce_scopes: Whether the CRM looks at scopes at all.
        no_api_access: Names of users who get ``NO_PERMISSION``.
        fields_required: Whether a list of records must name its fields, as from v3 on.
        api_credits: CRM calls per organisation in 24 hours; None means no limit.
        api_concurrency: CRM calls at once per organisation; None means no limit.
        api_latency: Seconds of real time that a CRM call takes, at least.
    """

    access_token_life: float = 3600
    code_life: float = 60
    active_access_tokens: int | None = 15
    mints_per_window: int | None = 10
    exchange_counts_as_mint: bool = True
    logins_per_window: int | None = 10
    throttle_window: float = 600
    throttle_window_kind: str = "fixed"
    throttle_extends: bool = False
    throttle_status: int = 400
    refresh_tokens: int | None = 20
    refresh_token_limit_is_error: bool = False
    error_status: int = 200
    dialect: str = "zoho"
    expires_in: str = "seconds"
    api_domain: str = "environment"
    scope_in_answer: bool = True
    code_at_wrong_data_center: str = "invalid_client"
    refresh_token_at_wrong_data_center: str = "invalid_code"  # noqa: S105 - an error's name
    code_reuse_kills: bool = False
    rotation: str = "none"
    rotation_kills_access_tokens: bool = False
    early_refresh_window: float | None = None
    loopback_any_port: bool = True
    auto_consent: bool = False
    accept_bearer: bool = False
    rejected_token_code: str = "INVALID_TOKEN"  # noqa: S105 - an error's name
    rejected_token_status: int = 401
    scope_mismatch_status: int = 401
    enforce_scopes: bool = True
    no_api_access: tuple[str, ...] = ()
    fields_required: bool = True
    api_credits: int | None = 50_000
    api_concurrency: int | None = None
    api_latency: float = 0

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse names and values that would be ignored in silence."""
        if name not in self.__dataclass_fields__:
            known = ", ".join(self.__dataclass_fields__)
            raise AttributeError(f"no option {name!r}; there are {known}")
        allowed = _CHOICES.get(name)
        if allowed and value not in allowed:
            raise ValueError(f"{name} is one of {', '.join(allowed)}, not {value!r}")
        _check_type(name, value, self.__dataclass_fields__[name].default)
        # JSON has no tuples: options that arrive over HTTP come as lists.
        object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)

    def as_dict(self) -> dict[str, Any]:
        """All options and their values, ready for JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {"no_api_access": list(self.no_api_access)}

    def reset(self) -> None:
        """Go back to Zoho's values."""
        for field in fields(self):
            setattr(self, field.name, field.default)


def _check_type(name: str, value: Any, default: Any) -> None:
    """Raise TypeError unless *value* is of the kind of *default*."""
    if default is None or (value is None and name in _NULLABLE):
        ok = value is None or _is_number(value)
    elif isinstance(default, bool):
        ok = isinstance(value, bool)
    elif isinstance(default, tuple):
        ok = isinstance(value, (tuple, list)) and all(isinstance(each, str) for each in value)
    elif isinstance(default, str):
        ok = isinstance(value, str)
    else:
        ok = _is_number(value)
    if not ok:
        raise TypeError(f"{name} can't be {value!r}; an example of a value is {default!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_NULLABLE = {
    field.name for field in fields(Options) if isinstance(field.type, str) and "None" in field.type
}
