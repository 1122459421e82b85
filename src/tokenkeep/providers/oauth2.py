"""Any provider that keeps to RFC 6749, and the ground for those that nearly do."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import quote_plus

from tokenkeep.errors import (
    ConfigurationError,
    CoolingDown,
    GrantRejected,
    ProviderRefused,
    ProviderUnavailable,
    RenewalError,
    TokenKeepError,
)
from tokenkeep.providers import answers
from tokenkeep.providers.address import host_and_port, is_sendable, parse
from tokenkeep.providers.base import Answer, Place, Profile, Provider
from tokenkeep.providers.checks import check_seconds, check_type
from tokenkeep.providers.connection import basic
from tokenkeep.providers.http import Form, post_form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokenkeep.providers.http import Reply
    from tokenkeep.token import Token

_SHOWABLE = re.compile(r"[A-Za-z0-9_ .-]{1,64}")
_CHECK_CLIENT = "Check the client id, the client secret and the redirect URI"
_OK, _FIRST_NOT_OK = 200, 300
_TOO_MANY_REQUESTS = 429

_REFRESH_LIFETIME = (
    "refresh_token_expires_in",
    "refresh_expires_in",
    "x_refresh_token_expires_in",
)
"""How providers name the life of a refresh token."""

_OWN = {
    *("access_token", "refresh_token", "token_type", "expires_in", "expires_in_sec"),
    *("api_domain", "scope", *_REFRESH_LIFETIME),
}
"""Fields of an answer that are read; the others are kept as they are."""

LONGEST_WAIT = 3600.0
"""An answer is obeyed for this long at most, or for the profile's ``mint_window``; in seconds."""


class OAuth2(Provider):
    """
    Speak RFC 6749 as written: form posts, JSON answers, errors by name.

    Args:
        name: What tokens of this provider are stored under.
        issuer: The complete URL of the token endpoint. None if each token
            brings its own.
        revocation_endpoint: Where RFC 7009 is spoken. None if nowhere.
        profile: The provider's habits. None means those of `Profile`.
        client_auth: Send the client's id and secret in the ``body``, or as
            HTTP ``basic`` authentication (RFC 6749 section 2.3.1).
        lifetime: How long an access token lives if the answer does not say,
            in seconds. None means unknown.
        errors: What error codes of this provider's own mean: one of
            `GrantRejected`, `ProviderRefused`, `CoolingDown` and
            `ProviderUnavailable`, or its name. None means it has none.
        clock: Our time, in epoch seconds.

    Raises:
        ConfigurationError: An option is not what it has to be.
    """

    errors: ClassVar[Mapping[str, type[RenewalError]]] = {
        "invalid_grant": GrantRejected,
        "invalid_client": ProviderRefused,
        "invalid_request": ProviderRefused,
        "invalid_scope": ProviderRefused,
        "unauthorized_client": ProviderRefused,
        "unsupported_grant_type": ProviderRefused,
        "unsupported_token_type": ProviderRefused,
        "server_error": ProviderUnavailable,
        "temporarily_unavailable": ProviderUnavailable,
        "slow_down": CoolingDown,
    }
    """What error codes mean, in lower case (RFC 6749 section 5.2, 7009, 8628)."""

    gone: ClassVar[frozenset[str]] = frozenset({"invalid_token"})
    """Error codes that say the token to revoke is not known (any more)."""

    hints: ClassVar[Mapping[str, str]] = {
        "invalid_client": "Check the client id, the client secret and the token endpoint",
        "unauthorized_client": "Allow this grant type where the client is registered",
    }
    """What to do about an error code."""

    def __init__(
        self,
        name: str,
        *,
        issuer: str | None = None,
        revocation_endpoint: str | None = None,
        profile: Profile | None = None,
        client_auth: Literal["body", "basic"] = "body",
        lifetime: float | None = None,
        errors: Mapping[str, type[RenewalError] | str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if client_auth not in ("body", "basic"):
            raise ConfigurationError(f"client_auth has to be body or basic, not {client_auth!r}")
        check_type("name", name, str, expected="a text")
        for option, url in (("issuer", issuer), ("revocation_endpoint", revocation_endpoint)):
            if url is not None:
                check_type(option, url, str, expected="a URL")
                parse(url)
        if profile is not None:
            check_type("profile", profile, Profile, expected="a Profile")
        if lifetime is not None:
            check_seconds("lifetime", lifetime)
        if errors is not None:
            check_type("errors", errors, Mapping, expected="a table of error codes")
        self.name = name
        self.profile: Profile = Profile() if profile is None else profile
        self._issuer = issuer
        self._revocation_endpoint = revocation_endpoint
        self._client_auth = client_auth
        self._lifetime = lifetime
        self._errors = {**self.errors, **_meanings(errors or {})}
        self._clock = clock

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def refresh(self, token: Token) -> Answer:
        """As `Provider.refresh`."""
        with _about(token):
            self._need(token, "refresh_token", "client_id")
            form = self._form(token, grant_type="refresh_token", refresh_token=token.refresh_token)
            return self._mint(token, form, "Log the user in again")

    def exchange(self, token: Token, *, code_verifier: str | None = None) -> Answer:
        """As `Provider.exchange`."""
        with _about(token):
            self._need(token, "grant_token", "client_id")
            form = self._form(
                token,
                grant_type="authorization_code",
                code=token.grant_token,
                redirect_uri=token.redirect_uri,
                code_verifier=code_verifier,
            )
            hint = "A code works once and for a minute or so: get a new one"
            return self._mint(token, form, hint)

    def revoke(self, token: Token) -> None:
        """As `Provider.revoke`; `ConfigurationError` without a revocation endpoint."""
        with _about(token):
            if not token.access_token:
                self._need(token, "refresh_token")
            form = self._revocation_form(token)
            error = self._judge_revocation(form, self._post(self.revocation_endpoint(token), form))
            if error is not None:
                raise error

    def place(self, api_domain: str | None) -> Place | None:
        """As `Provider.place`; each host is a place of its own."""
        if not api_domain:
            return None
        here = host_and_port(api_domain)
        return Place(here, here)

    def issuer(self, place: Place | None) -> str | None:  # noqa: ARG002 - one endpoint for all places
        """As `Provider.issuer`; the configured one."""
        return self._issuer

    def revocation_endpoint(self, token: Token) -> str:  # noqa: ARG002 - one for all tokens
        """
        Return the URL to revoke *token* at.

        Raises:
            ConfigurationError: The provider has none.
        """
        if self._revocation_endpoint is None:
            raise ConfigurationError(
                f"No revocation endpoint is configured for {self.name}",
                hint="Set revocation_endpoint, or revoke the token at the provider by hand",
            )
        return self._revocation_endpoint

    def lifetime(self, body: answers.Body) -> float | None:
        """Return how long the new access token lives, in seconds. None if nobody knows."""
        return answers.seconds(body.fields.get("expires_in")) or self._lifetime

    def meaning(self, code: str, body: answers.Body) -> type[RenewalError] | None:  # noqa: ARG002 - for providers that say more in other fields
        """Return what an error code, as the provider wrote it, means. None if it is not known."""
        return self._errors.get(code.lower())

    def wait(self, reply: Reply) -> float | None:
        """Return for how many seconds to leave it alone when it throttles. None if unknown."""
        return reply.retry_after

    def confirms_revocation(self, reply: Reply, body: answers.Body) -> bool:  # noqa: ARG002 - RFC 7009 looks at the status alone
        """Whether an answer without a known error says that the token is revoked."""
        return _OK <= reply.status < _FIRST_NOT_OK

    # -- the way of one call ---------------------------------------------------------------

    def _need(self, token: Token, *names: str) -> None:
        missing = [name for name in names if not getattr(token, name)]
        if missing:
            raise ConfigurationError(f"A call to {self.name} needs {' and '.join(missing)}")

    def _mint(self, token: Token, form: Form, if_rejected: str) -> Answer:
        outcome = self._judge(form, self._post(self._token_endpoint(token), form), if_rejected)
        # Raised here, where no local variable holds what the provider answered.
        if isinstance(outcome, RenewalError):
            raise outcome
        return outcome

    def _token_endpoint(self, token: Token) -> str:
        issuer = token.issuer or self.issuer(self.place(token.api_domain))
        if not issuer:
            raise ConfigurationError(
                f"It is not known where {self.name} renews this token",
                hint="Log in again: tokenkeep login. Or save it with an issuer, which is the "
                "complete URL of the token endpoint",
            )
        return issuer

    def _form(self, token: Token, /, **fields: str | None) -> Form:
        # A public client has no secret and names itself in the body (section 3.2.1).
        if self._client_auth == "basic" and token.client_id and token.client_secret:
            # Form-encoded before (section 2.3.1).
            return Form(
                basic(f"{quote_plus(token.client_id)}:{quote_plus(token.client_secret)}"), **fields
            )
        return Form(**fields, client_id=token.client_id, client_secret=token.client_secret)

    def _revocation_form(self, token: Token) -> Form:
        hint = "refresh_token" if token.refresh_token else "access_token"
        return self._form(
            token, token=token.refresh_token or token.access_token, token_type_hint=hint
        )

    def _post(self, url: str, form: Form) -> Reply:
        return post_form(url, form, timeout=self.profile.call_timeout, clock=self._clock)

    def _judge(self, form: Form, reply: Reply, if_rejected: str) -> Answer | RenewalError:
        """Judge by the body; the HTTP status only names what has no sense in it."""
        body = answers.read(reply)
        if body.fields.get("error"):
            return self._error(form, reply, body, if_rejected)
        access_token = body.token("access_token")
        if access_token is None:
            return self._senseless(reply, body.fault or "answered no usable access_token")
        api_domain = body.text("api_domain")
        lives = (answers.seconds(body.fields.get(name)) for name in _REFRESH_LIFETIME)
        return Answer(
            access_token=access_token,
            refresh_token=body.token("refresh_token"),
            expires_in=self.lifetime(body),
            api_domain=api_domain if api_domain and is_sendable(api_domain) else None,
            scope=body.text("scope"),
            refresh_expires_in=next(filter(None, lives), None),
            extra={name: value for name, value in body.fields.items() if name not in _OWN},
            clock_offset=reply.clock_offset,
        )

    def _judge_revocation(self, form: Form, reply: Reply) -> RenewalError | None:
        body = answers.read(reply)
        if (body.text("error") or "").lower() in self.gone:
            return None
        if body.fields.get("error"):
            return self._error(form, reply, body, "")
        if self.confirms_revocation(reply, body):
            return None
        fault = body.fault or f"did not confirm the revocation (status {reply.status})"
        return self._senseless(reply, fault)

    def _error(
        self, form: Form, reply: Reply, body: answers.Body, if_rejected: str
    ) -> RenewalError:
        code = body.text("error") or ""
        kind = self.meaning(code, body) or ProviderUnavailable
        if _SHOWABLE.fullmatch(code) and not form.is_quoted_in(code):
            what = f'answered "{code}"'
        else:
            # Another text may repeat what was sent.
            code, what = "", f"answered an unknown error (status {reply.status})"
        if issubclass(kind, CoolingDown):
            return self._throttled(reply, what)
        if not issubclass(kind, ProviderRefused):
            return self._senseless(reply, what)
        otherwise = if_rejected if issubclass(kind, GrantRejected) else _CHECK_CLIENT
        hint = self.hints.get(code.lower()) or otherwise
        return kind(f"{self.name} {what}", error=code, hint=hint)

    def _senseless(self, reply: Reply, fault: str) -> RenewalError:
        if reply.status == _TOO_MANY_REQUESTS:
            return self._throttled(reply, f"{fault}, too many requests")
        return ProviderUnavailable(f"{self.name} {fault}", hint="Try again later")

    def _throttled(self, reply: Reply, what: str) -> RenewalError:
        wait = self.wait(reply)
        if wait is not None:
            # One absurd header must not lock everybody out for years.
            wait = min(wait, max(self.profile.mint_window, LONGEST_WAIT))
        return CoolingDown(
            f"{self.name} {what}",
            hint="It throttles this client; try again after the wait",
            until=None if wait is None else self._clock() + wait,
        )


@contextmanager
def _about(token: Token) -> Iterator[None]:
    """Say of errors which token they are about."""
    try:
        yield
    except TokenKeepError as exc:
        exc.token_id, exc.user = token.id, token.user
        raise


def _meanings(errors: Mapping[str, type[RenewalError] | str]) -> dict[str, type[RenewalError]]:
    """Return what error codes mean, in lower case; refuse what is neither a kind nor its name."""
    known = {
        kind.__name__: kind
        for kind in (GrantRejected, ProviderRefused, CoolingDown, ProviderUnavailable)
    }
    meanings = {}
    for code, said in errors.items():
        kind = known.get(said) if isinstance(said, str) else said
        if kind is None or kind not in known.values() or not isinstance(code, str):
            raise ConfigurationError(
                f"It is not clear what the error code {code} means",
                hint=f"Say one of {', '.join(known)}",
            )
        meanings[code.lower()] = kind
    return meanings
