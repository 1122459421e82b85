"""
Every error tokenkeep raises, cut by what the caller can do about it.

    TokenKeepError
    ├── ConfigurationError          change the configuration
    │   ├── UnknownName             a scheme, provider, data centre or environment nobody knows
    │   ├── DriverMissing           install the extra that is named
    │   ├── KeyMissing              bring back the key that sealed the tokens
    │   └── KeyUnsafe               protect the key file, or put it where it survives
    ├── LookupFailed                change the question
    │   ├── EmptyLookup             nothing in it to look for
    │   ├── AmbiguousLookup         several tokens answer; say more
    │   └── TokenNotFound           no token answers
    ├── StoreError
    │   ├── StoreUnavailable        try again: it can't be reached, is full or read-only
    │   ├── StoreConflict           read again: somebody else wrote first
    │   │   └── StaleToken          this refresh token was replaced in its row
    │   ├── DuplicateRefreshToken   name the row that has it: a refresh token is in one row
    │   ├── StoreForeign            not ours: import it, or name another file
    │   ├── StoreTooNew             upgrade tokenkeep
    │   └── StoreTampered           stop: what is stored was changed outside tokenkeep
    ├── LoginNeeded                 send the user through the login again
    │   └── TokenRevoked            revoked here, on purpose
    │       └── PolicyEnded         its session is over, by a policy of this store
    ├── NotThisLogin                begin the login anew
    └── RenewalError
        ├── ProviderUnavailable     try again: no definite answer from the provider
        ├── ProviderRefused         client id, secret, redirect URI or data centre is wrong
        │   └── GrantRejected       the provider rejects this grant or refresh token
        ├── CoolingDown             wait until the time that is named
        └── RenewalTimeout          somebody else is renewing and did not finish in time
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tokenkeep.clock import moment

LOGIN_AGAIN = "Let the user log in again; at Zoho with: tokenkeep login"
"""What to do where nothing else helps, and the provider may be any."""

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "AmbiguousLookup", "ConfigurationError", "CoolingDown", "DriverMissing",
    "DuplicateRefreshToken", "EmptyLookup", "GrantRejected", "KeyMissing", "KeyUnsafe",
    "LoginNeeded", "LookupFailed", "NotThisLogin", "PolicyEnded", "ProviderRefused",
    "ProviderUnavailable", "RenewalError", "RenewalTimeout", "StaleToken", "StoreConflict",
    "StoreError", "StoreForeign", "StoreTampered", "StoreTooNew", "StoreUnavailable",
    "TokenKeepError", "TokenNotFound", "TokenRevoked", "UnknownName",
]  # fmt: skip


def visible(text: str) -> str:
    r"""
    Return a text on one line, without anything that a terminal or a log would act on.

    Names come from providers and databases: line breaks and control characters
    in them are shown as ``\n``, ``\x1b`` and the like.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class TokenKeepError(Exception):
    """
    Something went wrong; the text says what, to which token, and what to do.

    Args:
        what: What happened, as a sentence without a secret in it.
        token_id: The id of the token it happened to. None if no token is meant.
        user: The user the token belongs to. None if unknown.
        hint: What to do next, as a sentence. None if *what* says it already.
    """

    def __init__(
        self,
        what: str,
        *,
        token_id: str | None = None,
        user: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.token_id = token_id
        self.user = user
        self.hint = hint

    def __str__(self) -> str:
        about = [
            f"{name} {value}"
            for name, value in (("token", self.token_id), ("user", self.user))
            if value
        ]
        text = f"{self.what} ({', '.join(about)})" if about else self.what
        return visible(f"{text}. {self.hint}" if self.hint else text)


class ConfigurationError(TokenKeepError):
    """A setting is missing or wrong."""


class UnknownName(ConfigurationError):
    """A scheme, provider, data centre or environment that is not known."""


class DriverMissing(ConfigurationError):
    """An optional dependency is not installed."""


class KeyMissing(ConfigurationError):
    """No key of the ring opens what is stored, or there is no key at all."""


class KeyUnsafe(ConfigurationError):
    """A key lies where others can read it, or where it won't survive."""


class LookupFailed(TokenKeepError):
    """The question has no single answer."""


class EmptyLookup(LookupFailed):
    """A partial token with nothing in it that could be looked for."""


class AmbiguousLookup(LookupFailed):
    """Several tokens answer equally well."""


class TokenNotFound(LookupFailed):
    """No token answers."""


class StoreError(TokenKeepError):
    """The store can't do what was asked."""


class StoreUnavailable(StoreError):
    """
    The store can't be reached, is busy, full or read-only.

    After a *write*, the outcome is unknown: read again before going on.
    """


class StoreConflict(StoreError):
    """The record is gone, has another version, or what it is for has another record."""


class StaleToken(StoreConflict):
    """A save brought a refresh token that its row had before, and has no more."""


class DuplicateRefreshToken(StoreError):
    """A save would put a refresh token into a second row; *token_id* is the one that has it."""


class StoreForeign(StoreError):
    """A file or table that tokenkeep did not make; it is left as it is."""


class StoreTooNew(StoreError):
    """The store was made by a newer tokenkeep."""


class StoreTampered(StoreError):
    """A record does not open, or is not what it claims to be."""


class LoginNeeded(TokenKeepError):
    """The token can't be renewed any more; its user has to log in again."""


class TokenRevoked(LoginNeeded):
    """The token was revoked with tokenkeep; it is not handed out any more."""


class PolicyEnded(TokenRevoked):
    """
    Its session is over, by a policy of the store it is in.

    Args:
        what: As for `TokenKeepError`.
        policy: The name of the policy. None if that is not known.
        since: When it took hold, in epoch seconds. None likewise.
        about: *token_id*, *user* and *hint*, as for `TokenKeepError`.
    """

    def __init__(
        self,
        what: str,
        *,
        policy: str | None = None,
        since: float | None = None,
        **about: str | None,
    ) -> None:
        super().__init__(what, **about)
        self.policy = policy
        self.since = since


class NotThisLogin(TokenKeepError):
    """
    An answer to a login that this browser did not begin, or that has counted already.

    Args:
        what: As for `TokenKeepError`.
        about: *token_id*, *user* and *hint*, as for `TokenKeepError`.
    """

    def __init__(
        self, what: str = "Nobody has begun this login here, or it is over", **about: str | None
    ) -> None:
        super().__init__(what, **{"hint": "Begin the login anew"} | about)


class RenewalError(TokenKeepError):
    """The access token could not be renewed now; what is stored is unchanged."""


class ProviderUnavailable(RenewalError):
    """
    No definite answer: no connection, too slow, server error, or no sense in it.

    Args:
        what: As for `TokenKeepError`.
        answered: Whether anything came back: if not, its other tokens fare alike.
        passing: Whether it may be over at once: not where the provider has answered
            a 4xx that is not known.
        unread: A successful answer that could not be read, a
            `tokenkeep.providers.Reply`: there may be the only token in it. None if
            there is none.
        about: *token_id*, *user* and *hint*, as for `TokenKeepError`.
    """

    def __init__(
        self,
        what: str,
        *,
        answered: bool = True,
        passing: bool = True,
        unread: object = None,
        **about: str | None,
    ) -> None:
        super().__init__(what, **about)
        self.answered = answered
        self.passing = passing
        self.unread = unread


class ProviderRefused(RenewalError):
    """
    The provider refuses the client, not the token.

    Args:
        what: As for `TokenKeepError`.
        error: The provider's error code, e.g. ``invalid_client``.
        about: *token_id*, *user* and *hint*, as for `TokenKeepError`.
    """

    def __init__(self, what: str, *, error: str = "", **about: str | None) -> None:
        super().__init__(what, **about)
        self.error = error


class GrantRejected(ProviderRefused):
    """
    The provider rejects this code or refresh token (RFC 6749 section 5.2, ``invalid_grant``).

    From a renewal this is a question, not a verdict: another process may have
    stored a newer refresh token in the meantime.
    """


class CoolingDown(RenewalError):
    """
    Too early to ask the provider again.

    Args:
        what: As for `TokenKeepError`.
        until: When to try again, in epoch seconds. None if the provider named no time.
        about: *token_id*, *user* and *hint*, as for `TokenKeepError`.
    """

    def __init__(self, what: str, *, until: float | None = None, **about: str | None) -> None:
        super().__init__(what, **about)
        self.until = until

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.until is None else f"{text}. Try again after {moment(self.until)}"


class RenewalTimeout(RenewalError):
    """Another process holds the renewal and did not finish within the wait."""


OnError = Callable[[TokenKeepError], None] | None
"""Called for a record that does not open, instead of raising. None raises."""


def letting_go(kind: type[TokenKeepError] = TokenKeepError) -> suppress:
    """
    Do what must not take the place of a token, or an error, that is there already.

    Errors of this *kind* end here, and an `OSError` too.
    """
    return suppress(kind, OSError)


@contextmanager
def telling(on_error: OnError) -> Iterator[None]:
    """
    Tell an error of one row, so that it holds no other up; None raises it.

    Raises:
        StoreUnavailable: The next row would meet it as well.
    """
    try:
        yield
    except TokenKeepError as exc:
        if on_error is None or isinstance(exc, StoreUnavailable):
            raise
        on_error(exc)
