"""What a renewal ends in: a renewed token, a remembered failure, or a named error."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tokenkeep import holder
from tokenkeep.clock import CLOCK_TOLERANCE, moment
from tokenkeep.decision import cool_down, credential_digest
from tokenkeep.errors import (
    LOGIN_AGAIN,
    CoolingDown,
    GrantRejected,
    LoginNeeded,
    PolicyEnded,
    ProviderRefused,
    ProviderUnavailable,
    RenewalError,
    RenewalTimeout,
    TokenKeepError,
    TokenRevoked,
)
from tokenkeep.journal import Entry, packed
from tokenkeep.notices import recovered
from tokenkeep.policy import ended_by
from tokenkeep.saving import rotated
from tokenkeep.token import Failure, Status, Token

if TYPE_CHECKING:
    from tokenkeep.policy import End
    from tokenkeep.providers.base import Answer, Provider, Reply


def answered(
    token: Token, answer: Answer, provider: Provider, *, asked: Token, sent_at: float
) -> Entry:
    """
    Return what a successful answer changes.

    *token* is as it was when it was claimed, *asked* as it was asked with: with a
    caller's own secret; *sent_at* when, in epoch seconds.
    """
    # Not said this time, it is as long as it was.
    answer = replace(answer, expires_in=answer.expires_in or token.renewal.lifetime)
    return Entry(
        asked=asked,
        access_token=answer.access_token,
        refresh_token=answer.refresh_token or token.refresh_token,
        expires_at=expiry(answer, sent_at),
        lifetime=answer.expires_in,
        learnt=_learnt(token, answer, provider, asked, sent_at),
        holder=holder.me(),
        answered_at=sent_at,
    )


def unread_entry(token: Token, reply: Reply, *, asked: Token, sent_at: float) -> Entry:
    """Return what is known of an answer that could not be read; the arguments are `answered`'s."""
    unread = {**packed(reply), "renewed_at": token.renewal.renewed_at}
    return Entry(asked=asked, holder=holder.me(), answered_at=sent_at, unread=unread)


def read_again(entry: Entry, row: Token | None, provider: Provider) -> Entry | None:
    """
    Read an answer that could not be read when it came. None if it still can't be.

    *row* is what it is for, as stored now. None if that is gone.
    """
    answer = provider.answer_in(entry.reply) if entry.reply else None
    if answer is None:
        return None
    asked = entry.asked
    token = (row or asked).but(access_token=asked.access_token, refresh_token=asked.refresh_token)
    read = answered(token, answer, provider, asked=asked, sent_at=entry.answered_at)
    return replace(read, holder=entry.holder, name=entry.name)


def what_of(error: TokenKeepError | OSError) -> str:
    """Return what an error says happened, in one sentence without a secret."""
    if isinstance(error, TokenKeepError):
        return error.what
    return error.strerror or type(error).__name__


def _learnt(
    token: Token, answer: Answer, provider: Provider, asked: Token, sent_at: float
) -> dict[str, tuple[object, object]]:
    """Return what an answer says besides, by the field, with what that was at the claim."""
    news: dict[str, object] = {
        "client_secret": asked.client_secret,
        "issuer": asked.issuer,
        "scope": answer.scope,
    }
    place = provider.place(answer.api_domain)
    # An answer may name another environment's host for a sandbox's token: then it is not believed.
    if place is not None and token.environment in (None, place.environment):
        news |= {
            "api_domain": answer.api_domain,
            "data_center": place.data_center,
            "environment": place.environment,
        }
    if answer.refresh_expires_in is not None:
        news["refresh_expires_at"] = sent_at + answer.refresh_expires_in
    if answer.extra:
        news["extra"] = {**token.extra, **answer.extra}
    return {
        name: (getattr(token, name), value)
        for name, value in news.items()
        if value is not None and value != getattr(token, name)
    }


def expiry(answer: Answer, sent_at: float) -> float | None:
    """Return when an answer's access token ends, in epoch seconds. None if it does not say."""
    if answer.expires_in is None:
        return None
    return sent_at + clock_error(answer) + answer.expires_in


def clock_error(answer: Answer) -> float:
    """Return how far this host's clock is behind the provider's, in seconds; 0 if it may pass."""
    offset = answer.clock_offset or 0.0
    return offset if abs(offset) > CLOCK_TOLERANCE else 0.0


def renewed(stored: Token, entry: Entry) -> Token:
    """
    Return a stored token with a renewal's answer in it.

    Only the fields of the renewal change, and what it learnt besides where
    nobody has written that since the claim.
    """
    learnt = {
        name: now for name, (was, now) in entry.learnt.items() if getattr(stored, name) == was
    }
    by = holder.name(entry.holder)
    mints = stored.renewal.mints if entry.refresh_token == stored.refresh_token else ()
    return (
        rotated(stored, entry.refresh_token)
        .but(
            **learnt,
            access_token=entry.access_token,
            expires_at=entry.expires_at,
            status=Status.OK,
            updated_at=entry.answered_at,
        )
        .with_renewal(
            claim=None,
            failure=None,
            mints=mints,
            lifetime=entry.lifetime,
            renewed_by=by,
            renewed_at=entry.answered_at,
            notice=recovered(stored.renewal.notice, entry.answered_at),
        )
        .having("renewed", entry.answered_at, by)
    )


def failure_of(error: RenewalError, asked: Token, now: float, *, last: Failure | None) -> Failure:
    """
    Return what is remembered of a failed renewal.

    *asked* is the token as it was asked with, *last* the failure that was remembered till now.
    """
    credential = credential_digest(asked)
    count = 1 + (last.count if last and last.credential == credential else 0)
    until = None
    if isinstance(error, CoolingDown):
        kind, text, until = "throttled", "throttled", error.until
    elif isinstance(error, GrantRejected):
        kind, text = "rejected", error.error or error.what
    elif isinstance(error, ProviderRefused):
        kind, text = "configuration", error.error or error.what
    else:
        kind, text = "transient", error.what
    return Failure(
        kind=kind,
        error=text,
        at=now,
        until=until or now + cool_down(kind, count),
        count=count,
        credential=credential,
    )


def error_of(failure: Failure, token: Token) -> RenewalError:
    """Return the error for a failure that another caller met."""
    if failure.kind == "throttled":
        return throttled(token, failure.until)
    if failure.kind == "configuration":
        return ProviderRefused(
            f"The provider refuses the client: {failure.error}",
            error=failure.error,
            **_about(token, "Check client id, client secret and data centre"),
        )
    return ProviderUnavailable(
        f"The access token could not be renewed: {failure.error}",
        **_about(token, "It is tried again by itself; what is stored is unchanged"),
    )


def throttled(token: Token, until: float | None) -> CoolingDown:
    """Return the error for a token the provider must not be asked for yet."""
    return CoolingDown(
        "Too early to ask the provider for another access token",
        until=until,
        **_about(token, "Its limits are counted for all processes together"),
    )


def dead(token: Token) -> TokenKeepError:
    """Return the error for a token that is not handed out any more."""
    about = _about(token, LOGIN_AGAIN)
    if token.status is Status.REVOKED:
        if (end := ended_by(token)) is not None:
            return ended(token, end)
        if not token.refresh_token:  # a client's own, maybe: then nobody ever logs in
            about["hint"] = f"To go on, delete it and save it anew: tokenkeep delete {token.id}"
        return TokenRevoked("This token was revoked", **about)
    if token.status is Status.OK:
        return LoginNeeded("The access token has expired and there is no refresh token", **about)
    return LoginNeeded("The provider rejected the refresh token", **about)


def ended(token: Token, end: End) -> PolicyEnded:
    """Return the error for a token that a policy has ended."""
    return PolicyEnded(
        f"Policy {end.policy!r} has ended this session, at {moment(end.at)}",
        policy=end.policy,
        since=end.at,
        **_about(token, LOGIN_AGAIN),
    )


def too_slow(token: Token, waited: float) -> RenewalTimeout:
    """Return the error for a renewal by somebody else that did not end in time."""
    claim = token.renewal.claim
    who = f"{holder.name(claim.holder)} is" if claim else "Others are"
    return RenewalTimeout(
        f"{who} renewing this token and did not finish within {waited:g} s",
        **_about(token, "Try again; a claim left behind is taken over by itself"),
    )


def _about(token: Token, hint: str) -> dict[str, Any]:
    return {"token_id": token.id, "user": token.user, "hint": hint}
