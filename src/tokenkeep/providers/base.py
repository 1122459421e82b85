"""What a provider is: three form posts, and what its answers mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tokenkeep.errors import ConfigurationError
from tokenkeep.providers.checks import expect, expect_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenkeep.token import Token


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """
    A provider's habits, as far as a renewal has to know them.

    Args:
        mandatory: An access token with less left than this is renewed before
            it is handed out, in seconds.
        advisory: With less left than this one caller renews while others go
            on with the old one, in seconds.
        mint_limit: How many access tokens may be asked for with one refresh
            token within *mint_window*. None means no limit.
        mint_window: In seconds.
        call_timeout: Wall-clock bound of one call, in seconds.
        claim_length: How long others leave a claim alone, in seconds; must
            be longer than *call_timeout*.
        wait_timeout: How long a caller waits for somebody else's renewal, in
            seconds.
        rotates: Whether a renewal may answer another refresh token and the
            old one then stops working at once, without grace.
        revokes_grant: Whether revoking a refresh token ends the user's consent
            with all tokens of it (RFC 7009 section 2.1 leaves it open); then
            nothing of an older login is revoked while a newer one lives.
        needs_login: Whether somebody logs in before there are tokens. False where
            the client alone gets them (RFC 6749 section 4.4): then a token
            without a refresh token is renewed all the same.

    Raises:
        ConfigurationError: A value is not of its type or out of range, or a
            claim would end before its call does.
    """

    mandatory: float = 30.0
    advisory: float = 300.0
    mint_limit: int | None = None
    mint_window: float = 600.0
    call_timeout: float = 10.0
    claim_length: float = 20.0
    wait_timeout: float = 45.0
    rotates: bool = True
    revokes_grant: bool = True
    needs_login: bool = True

    def __post_init__(self) -> None:
        for name in ("mandatory", "advisory", "mint_window"):
            expect_seconds(name, getattr(self, name), zero=True)
        for name in ("call_timeout", "claim_length", "wait_timeout"):
            expect_seconds(name, getattr(self, name))
        limit: object = self.mint_limit
        so = limit is None or (type(limit) is int and limit >= 1)
        expect("mint_limit", limit, "a whole number, 1 or more", so=so)
        for name in ("rotates", "revokes_grant", "needs_login"):
            value = getattr(self, name)
            expect(name, value, "true or false", so=isinstance(value, bool))
        if self.claim_length <= self.call_timeout:
            raise ConfigurationError(
                f"claim_length ({self.claim_length:g} s) has to be longer than "
                f"call_timeout ({self.call_timeout:g} s)",
                hint="Others would take a renewal over while its call is still under way",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """
    What came back, read to its end; never a redirect.

    Args:
        status: Of HTTP.
        body: Without the content coding it was sent with.
        content_type: The ``Content-Type`` header, with its parameters. None if
            there was none.
        clock_offset: The server's clock minus ours, in seconds, when its
            headers came in. None if it sent no date, or a senseless one.
        retry_after: How long it asks to be left alone, in seconds. None if it
            does not say.
        fault: Why *body* is not decoded, or not all there was, in words of our own:
            then it is as it came. None for nothing.
    """

    status: int
    body: bytes = field(repr=False)
    content_type: str | None = None
    clock_offset: float | None = None
    retry_after: float | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    A successful answer of a token endpoint (RFC 6749 section 5.1).

    Args:
        access_token: The new access token.
        refresh_token: None if the answer has none: the old one stays
            (RFC 6749 section 6).
        expires_in: Seconds the access token lives. None if the answer does not say.
        api_domain: Base URL for API calls. None if the answer does not say.
        scope: As the provider wrote it. None means as requested.
        refresh_expires_in: Seconds the refresh token lives. None if the answer does not say.
        extra: What it said besides, by its own names.
        clock_offset: The provider's clock minus ours, in seconds, from its
            ``Date`` header. None if it sent none.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_in: float | None = None
    api_domain: str | None = None
    scope: str | None = None
    refresh_expires_in: float | None = None
    extra: Mapping[str, object] = field(default_factory=dict, repr=False)
    clock_offset: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a token is valid: region and environment; both ``host:port`` of an unknown host."""

    data_center: str
    environment: str


class Provider(ABC):
    """
    Speak to one provider.

    All calls are bounded by the profile's ``call_timeout`` on the wall clock,
    name resolution included, and raise

    - `ProviderUnavailable` when there is no definite answer,
    - `CoolingDown` when the provider throttles,
    - `GrantRejected` when it rejects this code or refresh token,
    - `ProviderRefused` when it refuses the client.

    Nothing they raise, log or return in a ``repr`` contains a secret.
    """

    name: str
    profile: Profile = Profile()
    """Its habits. A configuration that changes some of them puts another one here."""
    authorization_scheme: str = "Bearer"
    """What its API takes before an access token in the ``Authorization`` header (RFC 6750)."""

    @abstractmethod
    def refresh(self, token: Token) -> Answer:
        """
        Ask for a new access token (RFC 6749 section 6).

        Args:
            token: Needs refresh_token, client_id and issuer; no refresh_token
                where the profile says that nobody logs in. What it lives if the
                answer does not say is in its ``renewal.lifetime``.
        """

    @abstractmethod
    def exchange(self, token: Token, *, code_verifier: str | None = None) -> Answer:
        """
        Trade an authorization code for tokens (RFC 6749 section 4.1.3), once.

        Args:
            token: Needs grant_token, client_id and issuer; and redirect_uri
                where one was used to get the code.
            code_verifier: The PKCE verifier (RFC 7636). None if none was sent.
        """

    @abstractmethod
    def revoke(self, token: Token) -> bool:
        """
        Revoke the refresh token, or the access token if there is no other (RFC 7009).

        Several threads may do so at once.

        Args:
            token: Needs refresh_token or access_token, and issuer.

        Returns:
            Whether the provider knew it, as far as that can be told. False: it says that it
            does not know this token (any more), which counts as revoked.
        """

    def answer_in(self, reply: Reply) -> Answer | None:  # noqa: ARG002 - for those that read one
        """Read an answer anew (`ProviderUnavailable.unread`). None if there is still no token."""
        return None

    @abstractmethod
    def place(self, api_domain: str | None) -> Place | None:
        """Say where a token with this API base URL, or host, is valid. None gives None."""

    @abstractmethod
    def issuer(self, place: Place | None) -> str | None:
        """Return the token endpoint for a place. None if it is not known."""

    def home_issuer(self) -> str | None:
        """Return a token endpoint to try whether the provider can be reached. None if unknown."""
        return self.issuer(None)

    def probe(self, issuer: str) -> Reply | None:  # noqa: ARG002 - for those that can
        """Ask a token endpoint, by its URL, for nothing, and send no secret. None: not asked."""
        return None

    def tenant(self, token: Token) -> str | None:  # noqa: ARG002 - for those that know
        """Return the organisation of a token's user, by the provider's name. None if unknown."""
        return None

    def expect_known(self, data_center: str | None, environment: str | None) -> None:
        """Raise `UnknownName`, with those known, for what no `Place` can have; not for None."""
