"""The emulator's limits and the behaviour of other providers, as one table."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

ROTATIONS = ("none", "rotate", "rotate_reuse_kills", "rotate_grace")
EXPIRY_UNITS = ("seconds", "milliseconds_with_sec", "milliseconds", "text", "missing")
API_DOMAINS = ("environment", "production", "omit")
_CHOICES = {"rotation": ROTATIONS, "expires_in": EXPIRY_UNITS, "api_domain": API_DOMAINS}


@dataclass
class Options:
    """
    What the emulator does, assignable at any time; defaults are Zoho's.

    A mistyped name or value raises at once.

    Attributes:
        access_token_life: Seconds an access token is good for.
        active_access_tokens: Live access tokens per refresh token; the oldest is
            invalidated silently. None means no limit.
        mints_per_window: Access tokens per refresh token and window, that of the
            exchange among them; None means no limit.
        logins_per_window: Refresh tokens per user, client and window made by
            exchanging codes; None means no limit.
        throttle_window: Seconds of the window of the two limits above; it starts at
            the first one and ends as a whole.
        refresh_tokens: Refresh tokens per user and client, one more kills the
            oldest; None means no limit.
        expires_in: How an answer tells the life: ``"seconds"``, ``"milliseconds_with_sec"``
            (with ``expires_in_sec``), ``"milliseconds"`` alone, ``"text"``, ``"missing"``.
        api_domain: Whose API server a token answer names: that of the grant's
            ``"environment"``, always ``"production"``'s; or ``"omit"``.
        rotation: ``"none"``, ``"rotate"`` (the old one is refused), ``"rotate_reuse_kills"``
            (the old one kills its family), ``"rotate_grace"`` (one generation
            back is accepted, and answered with the same successor).
        auto_consent: Whether ``auto=accept`` or ``auto=reject`` in the authorize
            URL answers for the person.
        no_api_access: Names of users who get ``NO_PERMISSION``.
        api_credits: CRM calls per organisation in 24 hours; None means no limit.
    """

    access_token_life: float = 3600
    active_access_tokens: int | None = 15
    mints_per_window: int | None = 10
    logins_per_window: int | None = 10
    throttle_window: float = 600
    refresh_tokens: int | None = 20
    expires_in: str = "seconds"
    api_domain: str = "environment"
    rotation: str = "none"
    auto_consent: bool = False
    no_api_access: tuple[str, ...] = ()
    api_credits: int | None = 50_000

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
