"""What is kept: one user's tokens at one provider, and the state of their renewal."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_HAPPENINGS = 16
"""How many events of its life a token remembers."""

_ID = re.compile(r"tk_[0-9a-f]{32}")


def new_id() -> str:
    """Return an id that no token has: random, and of a form of its own."""
    return f"tk_{secrets.token_hex(16)}"


def is_ours(token_id: str) -> bool:
    """Tell whether a store made this id: then nothing is stored under it again once it is gone."""
    return _ID.fullmatch(token_id) is not None


class Status(StrEnum):
    """What may be done with a stored token."""

    OK = "ok"
    LOGIN_NEEDED = "login_needed"
    """The provider rejected its refresh token; only a new login helps."""
    REVOKED = "revoked"
    """Revoked with tokenkeep; never handed out again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """
    Who is renewing a token right now: a hint for others, not a lock.

    Args:
        nonce: Random, new for each claim.
        holder: The claiming process, as `tokenkeep.holder` describes it.
        taken_at: When it was written, in epoch seconds on the holder's clock.
        length: How long others leave it alone, in seconds.
    """

    nonce: str
    holder: str
    taken_at: float
    length: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """
    Why the last renewal did not succeed.

    Args:
        kind: ``transient``, ``throttled``, ``configuration``, or ``rejected``
            where the provider refused the refresh token.
        error: The provider's error code or the kind of fault, without a secret.
        at: When it happened, in epoch seconds.
        until: Before this time the provider is not asked again, in epoch seconds.
        count: How many failures came in a row.
        credential: Digest of the refresh token, client secret and token
            endpoint it happened with; another of them makes the failure void.
    """

    kind: str
    error: str
    at: float
    until: float
    count: int
    credential: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """
    What is told outside, once by the whole fleet: see `tokenkeep.notices`.

    Args:
        what: ``login_needed`` or ``recovered``; of a provider ``outage`` or ``outage_over``.
        at: When it happened, in epoch seconds.
        since: When what is over now began, in epoch seconds. None if nothing is over.
        error: The provider's error code or the kind of fault, without a secret. None for good
            news.
        tries: How often somebody began to tell it, or what it took the place of: above 0
            somebody outside may know.
        next_at: From then on whoever can tells it, in epoch seconds. None: it was told, or
            nobody has to.
        told: Those that have taken it, where not all have: ``command``, ``webhook``.
    """

    what: str
    at: float
    since: float | None = None
    error: str | None = None
    tries: int = 0
    next_at: float | None = None
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """
    Something that happened to a token.

    Args:
        what: ``login``, ``renewed``, ``failed``, ``login_needed`` or ``revoked``.
        at: When, in epoch seconds; the last time if it happened several times in a row.
        by: Who did it, the last time, for people: a process, or ``policy`` and the name of
            one. None if not known.
        count: How many times in a row.
        since: The first time in a row, in epoch seconds; *at* if it is not given.
    """

    what: str
    at: float
    by: str | None = None
    count: int = 1
    since: float = field(default=None)  # type: ignore[assignment]  # never None, see below

    def __post_init__(self) -> None:
        if self.since is None:
            object.__setattr__(self, "since", self.at)


class _Kept:
    """What is kept, and changed by copying."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def but(self, **changes: object) -> Self:
        """
        Return the same with other values for the named fields.

        Raises:
            TypeError: There is no field of that name.
        """
        unknown = changes.keys() - self.__dataclass_fields__.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no field {', '.join(unknown)}")
        # dataclasses.replace() sets each field through a frozen class's __init__:
        # a save makes several copies, and took a third longer.
        changed = object.__new__(type(self))
        changed.__dict__.update(self.__dict__, **changes)
        return changed


@dataclass(frozen=True, kw_only=True)
class Renewal(_Kept):
    """
    The state of a token's renewal, sealed with it.

    Args:
        claim: Who is renewing. None if nobody is.
        mints: When access tokens were asked for with this refresh token, in
            epoch seconds, oldest first; counted before the call. Empty where
            the provider has no limit.
        failure: The last failure. None after a success.
        login: Nonce of the login that made these tokens.
        renewed_by: The process that renewed this login last, for people. None if nobody did.
        renewed_at: When, in epoch seconds. None likewise.
        lifetime: How long the current access token lives in all, in seconds.
            None if not known.
        to_revoke: Tokens whose revocation the provider has not confirmed
            yet, each as the kind of token and its value. Empty if there is
            nothing left to do.
        replaced: Tokens that later logins have replaced and that stay as they
            are until the user's login is revoked, in the same form: they were
            given from outside and may be in use elsewhere, or revoking one
            would end the whole consent.
        given: Whether the refresh token was given from outside (configuration,
            import). False if it was got here, for a code.
        past: Digests of the refresh tokens this row had; see `tokenkeep.saving`.
        notice: What is to be told of its death or recovery, or was told last. None for nothing.
        unknown: What a later version of tokenkeep has put here; written back as it is.
    """

    claim: Claim | None = None
    mints: tuple[float, ...] = ()
    failure: Failure | None = None
    login: str | None = None
    renewed_by: str | None = None
    renewed_at: float | None = None
    lifetime: float | None = None
    to_revoke: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    replaced: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    given: bool = False
    past: tuple[str, ...] = field(default=(), repr=False)
    notice: Notice | None = None
    unknown: Mapping[str, object] = field(default_factory=dict, repr=False, hash=False)


@dataclass(frozen=True, kw_only=True, repr=False)
class Token(_Kept):
    """
    A stored token, or a partial one: a question to a store.

    None means "not known" in a stored token, and "don't care" in a partial
    one; stores treat empty strings as None. Names are RFC 6749's.

    Args:
        id: Given by the store, random, never reused. In a partial token also
            one that its caller gives.
        version: Given by the store, random; another one after each write.
        owner: Given by the store: digest of what the row is for.
        user: Who it belongs to; for Zoho the SDK's own form, ``email:zgid``.
        client_id: The client it was issued to.
        client_secret: That client's secret. None for public clients.
        access_token: What authorises API calls.
        refresh_token: What renews the access token. None if there is none.
        grant_token: The authorization code it came from.
        redirect_uri: The redirect URI the code was issued for.
        expires_at: When the access token ends, in epoch seconds, UTC. None if
            the provider did not say.
        scope: The scopes granted, as the provider wrote them.
        provider: Name of the provider, e.g. ``zoho``.
        issuer: The complete URL of the token endpoint.
        api_domain: Base URL for API calls.
        data_center: The provider's region, e.g. ``us``; or ``host:port`` if
            the host of *api_domain* is not in the provider's table.
        environment: ``production``, ``sandbox``, ``developer``; or
            ``host:port`` like *data_center*.
        status: What may be done with it.
        created_at: First stored, in epoch seconds.
        updated_at: Last written, in epoch seconds.
        last_used_at: Last handed out, in epoch seconds, to the hour or so.
        logged_in_at: When the login that made these tokens was saved, in epoch seconds.
        refresh_expires_at: When the refresh token ends, in epoch seconds. None
            if the provider did not say.
        extra: What the provider said besides, by its own names (``instance_url``,
            ``id_token``, ``realmId``...).
        history: The last events of its life, the oldest first.
        renewal: The state of its renewal.
        ended: Whether it was deleted here, and is kept only until the provider
            has confirmed its revocations; then nobody finds it.
        unknown: What a later version of tokenkeep has put here; written back as it is.
    """

    id: str | None = None
    version: str | None = None
    owner: str | None = None
    user: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    access_token: str | None = None
    refresh_token: str | None = None
    grant_token: str | None = None
    redirect_uri: str | None = None
    expires_at: float | None = None
    scope: str | None = None
    provider: str | None = None
    issuer: str | None = None
    api_domain: str | None = None
    data_center: str | None = None
    environment: str | None = None
    status: Status = Status.OK
    created_at: float | None = None
    updated_at: float | None = None
    last_used_at: float | None = None
    logged_in_at: float | None = None
    refresh_expires_at: float | None = None
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)
    history: tuple[Happening, ...] = ()
    renewal: Renewal = field(default_factory=Renewal)
    ended: bool = False
    unknown: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __repr__(self) -> str:
        """Name the token without any secret of it."""
        shown = ("id", "user", "provider", "data_center", "environment")
        parts = [f"{n}={v!r}" for n in shown if (v := getattr(self, n)) is not None]
        return f"<Token {' '.join([*parts, f'status={self.status.value!r}'])}>"

    @property
    def pair(self) -> tuple[str | None, str | None]:
        """The access and refresh token: what a renewal replaces."""
        return self.access_token, self.refresh_token

    def with_renewal(self, **changes: object) -> Self:
        """Return this token with other values in its renewal state."""
        return self.but(renewal=self.renewal.but(**changes))

    def having(self, what: str, at: float, by: str | None = None) -> Self:
        """Return this token with something that happened to it in its history."""
        last = self.history[-1] if self.history else None
        if last is not None and last.what == what:
            again = replace(last, at=at, by=by, count=last.count + 1)
            return self.but(history=(*self.history[:-1], again))
        new = Happening(what=what, at=at, by=by)
        return self.but(history=(*self.history, new)[-MOST_HAPPENINGS:])


def expect_token(given: object) -> None:
    """
    Refuse what is no token, where one comes in.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(given, Token):
        raise TypeError(
            f"A tokenkeep.Token belongs here, not a {type(given).__name__}; "
            "an id is given by name, as id=, and a user as user="
        )
