"""Any provider that keeps to RFC 6749, and the ground for those that nearly do."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar, get_args
from urllib.parse import quote_plus

from tokenkeep.backends.frames import without_frames
from tokenkeep.errors import (
    LOGIN_AGAIN,
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
from tokenkeep.providers.checks import Hidden, expect, expect_seconds, texts
from tokenkeep.providers.connection import basic
from tokenkeep.providers.http import Form, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokenkeep.providers.base import Reply
    from tokenkeep.token import Token

_CHECK_CLIENT = "Check the client id, the client secret and the redirect URI"
_CHECK_ALONE = "Check the client id, the client secret and the scope"
_UNREAD = (
    "Try again later; if it stays so, write a read_answer for this provider: docs/providers.md"
)
_OK, _FIRST_NOT_OK = 200, 300
_BAD_REQUEST, _SERVER_ERROR = 400, 500
_TOO_MANY_REQUESTS = 429

_Outcome = TypeVar("_Outcome")

_Grant = Literal["refresh_token", "client_credentials"]
_Auth = Literal["body", "basic", "basic-raw"]
_GRANTS, _AUTHS = get_args(_Grant), get_args(_Auth)

_OWN = {
    *("access_token", "refresh_token", "token_type", "expires_in", "expires_in_sec"),
    *("api_domain", "scope", *answers.REFRESH_LIVES),
}
"""Fields of an answer that are read; the others are kept as they are."""

_KINDS: dict[str, type[RenewalError]] = {
    kind.__name__: kind
    for kind in (GrantRejected, ProviderRefused, CoolingDown, ProviderUnavailable)
}
"""What an error code can mean."""

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
        profile: The provider's habits. None means those of its class.
        grant: How an access token is got when there is none that is valid: with
            the ``refresh_token`` of a login (RFC 6749 section 6), or by the client
            alone, with its ``client_credentials`` (section 4.4).
        client_auth: Send the client's id and secret in the ``body``, or as
            HTTP ``basic`` authentication (RFC 6749 section 2.3.1); ``basic-raw``
            is the same without percent-encoding, for servers that don't decode it.
        parameters: Further fields for each exchange and renewal, such as
            ``audience``; never in the place of one of the call's own. None means none.
        headers: Further headers for each request. None means none.
        lifetime: How long an access token lives if neither the answer says it
            nor an earlier one did, in seconds. None means unknown.
        errors: What error codes of this provider's own mean: one of
            `GrantRejected`, `ProviderRefused`, `CoolingDown` and
            `ProviderUnavailable`, or its name. None means it has none.
        clock: Our time, in epoch seconds.

    Raises:
        ConfigurationError: An option is not what it has to be.
    """

    errors: ClassVar[Mapping[str | int, type[RenewalError]]] = {
        "invalid_grant": GrantRejected,
        "interaction_required": GrantRejected,
        "login_required": GrantRejected,
        "consent_required": GrantRejected,
        "account_selection_required": GrantRejected,
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
    """What error codes mean, in any case (RFC 6749, 7009, 8628; OpenID Connect Core 3.1.2.6)."""

    gone: ClassVar[frozenset[str]] = frozenset({"invalid_token"})
    """Error codes that say the token to revoke is not known (any more)."""

    hints: ClassVar[Mapping[str, str]] = {
        "invalid_client": "Check the client id, the client secret and the token endpoint",
        "unauthorized_client": "Allow this grant type where the client is registered",
    }
    """What to do about an error code."""

    @without_frames
    def __init__(
        self,
        name: str,
        *,
        issuer: str | None = None,
        revocation_endpoint: str | None = None,
        profile: Profile | None = None,
        grant: _Grant = "refresh_token",
        client_auth: _Auth = "body",
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        lifetime: float | None = None,
        errors: Mapping[str | int, type[RenewalError] | str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        expect("name", name, "a text", so=isinstance(name, str))
        expect("profile", profile, "a Profile, or a table", so=isinstance(profile, Profile | None))
        expect("errors", errors, "a table of error codes", so=isinstance(errors, Mapping | None))
        expect("grant", grant, " or ".join(_GRANTS), so=grant in _GRANTS)
        expect("client_auth", client_auth, " or ".join(_AUTHS), so=client_auth in _AUTHS)
        for url in (issuer, revocation_endpoint):
            if url is not None:
                parse(url)
        if lifetime is not None:
            expect_seconds("lifetime", lifetime)
        self._parameters = texts("parameters", parameters)
        # By one spelling: of two alike, ours and one's own, one is sent.
        own = texts("headers", headers)
        self._headers = Hidden({each.title(): own[each] for each in own})
        self.name = name
        self.profile: Profile = self.profile if profile is None else profile
        if grant == "client_credentials":
            # No refresh token, so none that could be lost.
            self.profile = replace(self.profile, needs_login=False, rotates=False)
        self._issuer = issuer
        self._revocation_endpoint = revocation_endpoint
        self._client_auth = client_auth
        self._lifetime = lifetime
        self._tables = (_meanings(errors or {}), _meanings(self.errors))
        self._clock = clock

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def refresh(self, token: Token) -> Answer:
        with _about(token):
            if not self.profile.needs_login:
                self._need(token, "client_id")
                form = self._asking(token, "client_credentials", scope=token.scope)
                return self._mint(token, form, _CHECK_ALONE)
            self._need(token, "refresh_token", "client_id")
            form = self._asking(token, "refresh_token", refresh_token=token.refresh_token)
            return self._mint(token, form, "Log the user in again")

    def exchange(self, token: Token, *, code_verifier: str | None = None) -> Answer:
        known = Hidden(code=token.grant_token, redirect_uri=token.redirect_uri)
        form = self._asking(token, "authorization_code", code_verifier=code_verifier, **known)
        del code_verifier  # crash reports show the locals of each frame
        with _about(token, keeps=False):
            self._need(token, "grant_token", "client_id")
            hint = "A code works once and for a minute or so: get a new one"
            return self._mint(token, form, hint)

    def revoke(self, token: Token) -> bool:
        with _about(token, keeps=False):
            if not token.access_token:
                self._need(token, "refresh_token")
            form = self._revocation_form(token)
            return self._call(self.revocation_endpoint(token), form, self._judge_revocation)

    def answer_in(self, reply: Reply) -> Answer | None:
        outcome = self._outcome(reply, partial(self._judge, if_rejected=_CHECK_CLIENT))
        return outcome if isinstance(outcome, Answer) else None

    def probe(self, issuer: str) -> Reply:
        return self._post(issuer, Form(self._headers))

    def read_answer(self, reply: Reply) -> Mapping[str, object]:
        """
        Return the fields of an answer by RFC 6749's names, of an error too.

        The one place where a body becomes fields: override it for a provider that nests them,
        or names them in its own way. What it or another method raises costs no token: the
        answer counts as one that can't be read.

        Args:
            reply: Its body is a JSON object or a form, whatever its content type says.

        Raises:
            ValueError: It is neither; the text says in our own words what it is instead.
        """
        return answers.fields_of(reply)

    def place(self, api_domain: str | None) -> Place | None:
        if not api_domain:
            return None
        here = host_and_port(api_domain)
        return Place(here, here)

    def issuer(self, place: Place | None) -> str | None:  # noqa: ARG002 - one endpoint for all places
        return self._issuer

    def revocation_endpoint(self, token: Token) -> str:  # noqa: ARG002 - one for all tokens
        """Return the URL to revoke *token* at; `ConfigurationError` if there is none."""
        if self._revocation_endpoint is None:
            raise ConfigurationError(
                f"No revocation endpoint is configured for {self.name}",
                hint="Set revocation_endpoint, or revoke the token at the provider by hand",
            )
        return self._revocation_endpoint

    def lifetime(self, fields: Mapping[str, object]) -> float | None:
        """Return how long an answer says that its access token lives, in seconds, or None."""
        return answers.seconds(fields.get("expires_in"))

    def meaning(self, status: int, fields: Mapping[str, object]) -> type[RenewalError] | None:
        """
        Return what an answer without a token means, or one with an ``error`` beside it.

        Args:
            status: Of HTTP.
            fields: As `read_answer` returned them. Empty if they can't be read.

        Returns:
            One of `GrantRejected`, `ProviderRefused`, `CoolingDown` and `ProviderUnavailable`.
            None if it is not known.
        """
        _, kind = self._known(fields)
        return kind or (CoolingDown if status == _TOO_MANY_REQUESTS else None)

    def wait(self, reply: Reply) -> float | None:
        """Return for how many seconds to leave it alone when it throttles. None if unknown."""
        return reply.retry_after

    def confirms_revocation(self, status: int, fields: Mapping[str, object] | None) -> bool:  # noqa: ARG002 - RFC 7009 looks at the status alone
        """
        Whether an answer without a known error says that the token is revoked.

        With another status than 2xx, that the provider does not know the token (any more).
        """
        return _is_ok(status)

    def _need(self, token: Token, *names: str) -> None:
        missing = [name for name in names if not getattr(token, name)]
        if missing:
            raise ConfigurationError(f"A call to {self.name} needs {' and '.join(missing)}")

    def _mint(self, token: Token, form: Form, if_rejected: str) -> Answer:
        judge = partial(self._judge, if_rejected=if_rejected, known=token.renewal.lifetime)
        return self._call(self._token_endpoint(token), form, judge)

    def _call(
        self, url: str, form: Form, judge: Callable[[Reply], _Outcome | RenewalError]
    ) -> _Outcome:
        """Post a form, and return what *judge* makes of the answer, or raise it."""
        outcome = self._outcome(self._post(url, form), judge)
        # Raised here, where no local variable holds what the provider answered.
        if isinstance(outcome, RenewalError):
            raise outcome
        return outcome

    def _token_endpoint(self, token: Token) -> str:
        issuer = token.issuer or self.issuer(self.place(token.api_domain))
        if not issuer:
            raise ConfigurationError(
                f"It is not known where {self.name} renews this token",
                hint=f"{LOGIN_AGAIN}. Or save it with an issuer, which is the complete URL of the "
                "token endpoint",
            )
        return issuer

    def _asking(self, token: Token, grant_type: str, /, **fields: str | None) -> Form:
        known = {name: value for name, value in fields.items() if value is not None}
        return self._form(token, **{**self._parameters, "grant_type": grant_type, **known})

    def _form(self, token: Token, /, **fields: str | None) -> Form:
        # A public client has no secret and names itself in the body (section 3.2.1).
        if self._client_auth == "body" or not (token.client_id and token.client_secret):
            fields |= {"client_id": token.client_id, "client_secret": token.client_secret}
            return Form(self._headers, **fields)
        pair = [token.client_id, token.client_secret]
        if self._client_auth == "basic":
            # Form-encoded before (section 2.3.1). What is no text is for the provider to
            # refuse: an error here would have it in frames.
            pair = [quote_plus(each, errors="surrogatepass") for each in pair]
        headers = Hidden(self._headers, Authorization=basic(":".join(pair)))
        return Form(headers, **fields)

    def _revocation_form(self, token: Token) -> Form:
        kind = "refresh_token" if token.refresh_token else "access_token"
        return self._form(token, token=getattr(token, kind), token_type_hint=kind)

    def _post(self, url: str, form: Form) -> Reply:
        return send("POST", url, form, self.profile.call_timeout, self._clock)

    def _judge(
        self, reply: Reply, *, if_rejected: str, known: float | None = None
    ) -> Answer | RenewalError:
        """Judge by the body; the HTTP status only names what has no sense in it."""
        fields, fault = self._read(reply)
        access_token = answers.token(fields, "access_token")
        # An error beside it wins, but only one by that name: others may say that all is well.
        if access_token is None or answers.is_error(fields.get("error")):
            fault = fault or "answered no usable access_token"
            return self._error(reply, fields, fault, if_rejected)
        refresh_token = answers.token(fields, "refresh_token")
        is_lost = refresh_token is None and fields.get("refresh_token")
        if is_lost and self.profile.rotates:
            what = f"{self.name} answered no usable refresh_token"
            return ProviderUnavailable(what, hint=_UNREAD, unread=reply)
        now = self._clock() + (reply.clock_offset or 0.0)
        ends = answers.seconds_until(fields.get("expires_at"), now)
        return Answer(
            access_token=access_token,
            refresh_token=refresh_token if self.profile.needs_login else None,
            expires_in=self.lifetime(fields) or ends or known or self._lifetime,
            api_domain=_api_domain(fields),
            scope=answers.scope(fields),
            refresh_expires_in=answers.refresh_life(fields),
            extra=answers.besides(fields, _OWN),
            clock_offset=reply.clock_offset,
        )

    def _read(self, reply: Reply) -> tuple[Mapping[str, object], str | None]:
        """Return the fields of an answer, and what it is instead if it has none."""
        try:
            return self.read_answer(reply), None
        except answers.Unreadable as exc:
            return {}, str(exc)

    def _outcome(
        self, reply: Reply, judge: Callable[[Reply], _Outcome | RenewalError]
    ) -> _Outcome | RenewalError:
        """Judge an answer; one that a subclass can't deal with is not lost, and is named."""
        try:
            return judge(reply)
        except Exception as exc:  # noqa: BLE001  # whatever it is: the answer may be the only one
            # Its text may quote the answer.
            wrong = f"{type(self).__name__} can't read: {type(exc).__name__}"
        what = f"{self.name} answered what {wrong} (status {reply.status})"
        kept = reply if _is_ok(reply.status) else None
        return ProviderUnavailable(what, hint=_UNREAD, unread=kept)

    def _judge_revocation(self, reply: Reply) -> bool | RenewalError:
        fields, fault = self._read(reply)
        if any(code.lower() in self.gone for code in answers.codes(fields)):
            return False
        is_error = self.meaning(reply.status, fields) or answers.has_error(fields)
        if not is_error and self.confirms_revocation(reply.status, None if fault else fields):
            return _is_ok(reply.status)
        return self._error(reply, fields, fault or "did not confirm the revocation")

    def _known(self, fields: Mapping[str, object]) -> tuple[str, type[RenewalError] | None]:
        """Return the first code that is known, and what it means; the provider's own first."""
        for table in self._tables:
            for code in answers.codes(fields):
                if code.lower() in table:
                    return code, table[code.lower()]
        return "", None

    def _error(
        self, reply: Reply, fields: Mapping[str, object], fault: str, if_rejected: str = ""
    ) -> RenewalError:
        """Return what to raise; without *if_rejected*, what to do then, no token was asked for."""
        code, _ = self._known(fields)
        kind = self.meaning(reply.status, fields)
        if code:
            fault = f'answered "{code}"'
        elif answers.has_error(fields):
            # Its text may repeat what was sent.
            fault = f"answered an error{'' if kind else ' that tokenkeep does not know'}"
        what = f"{self.name} {fault} (status {reply.status})"
        if kind is not None and issubclass(kind, CoolingDown):
            wait = self.wait(reply)
            # One absurd header must not lock everybody out for years.
            longest = max(self.profile.mint_window, LONGEST_WAIT)
            until = None if wait is None else self._clock() + min(wait, longest)
            return CoolingDown(what, hint="It throttles this client: wait", until=until)
        if kind is not None and issubclass(kind, ProviderRefused):
            hint = if_rejected if issubclass(kind, GrantRejected) else ""
            if not self.profile.needs_login:
                kind, hint = ProviderRefused, _CHECK_ALONE  # a login would help nobody
            hint = self.hints.get(code.lower()) or hint or _CHECK_CLIENT
            return kind(what, error=code, hint=hint)
        is_told = kind is not None or answers.has_error(fields) or not _is_ok(reply.status)
        if if_rejected and not is_told and answers.may_hold_a_token(reply.body):
            return ProviderUnavailable(what, hint=_UNREAD, unread=reply)
        # Nothing passes that the provider says of the request itself.
        passing = kind is not None or not _BAD_REQUEST <= reply.status < _SERVER_ERROR
        return ProviderUnavailable(what, hint="Try again later", passing=passing)


def _is_ok(status: int) -> bool:
    return _OK <= status < _FIRST_NOT_OK


def _api_domain(fields: Mapping[str, object]) -> str | None:
    url = fields.get("api_domain")
    return url if isinstance(url, str) and is_sendable(url) else None


@contextmanager
def _about(token: Token, *, keeps: bool = True) -> Iterator[None]:
    """Say of errors which token they are about; what was not read only to who *keeps* it."""
    try:
        yield
    except TokenKeepError as exc:
        exc.token_id, exc.user = token.id, token.user
        if isinstance(exc, ProviderUnavailable) and not keeps:
            exc.unread = None
        raise


def _meanings(
    errors: Mapping[str | int, type[RenewalError] | str],
) -> dict[str, type[RenewalError]]:
    """Return what error codes mean, in lower case; refuse what is neither a kind nor its name."""
    meanings = {}
    for code, said in errors.items():
        kind = _KINDS.get(str(getattr(said, "__name__", said)))
        if kind is None:
            hint = f"Say one of {', '.join(_KINDS)}"
            raise ConfigurationError(f"It is not clear what the code {code} means", hint=hint)
        meanings[str(code).lower()] = kind
    return meanings
