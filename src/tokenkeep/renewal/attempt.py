"""HOLDER and PERMANENT: one caller's turn to renew a token."""

from __future__ import annotations

import random
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tokenkeep import holder, notices
from tokenkeep.decision import counted, may_repeat
from tokenkeep.errors import (
    ConfigurationError,
    CoolingDown,
    GrantRejected,
    ProviderUnavailable,
    RenewalError,
    StoreConflict,
    StoreError,
    StoreUnavailable,
    TokenKeepError,
    letting_go,
)
from tokenkeep.providers.base import Reply
from tokenkeep.renewal import outcomes
from tokenkeep.saving import died
from tokenkeep.token import Claim, Failure, Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.clock import Clock
    from tokenkeep.clock_errors import ClockErrors
    from tokenkeep.journal import Entry, Journal
    from tokenkeep.metrics import Meters
    from tokenkeep.providers.base import Answer, Provider
    from tokenkeep.renewal.flights import Flights
    from tokenkeep.renewal.late import Late
    from tokenkeep.renewal.watch import Watch
    from tokenkeep.store import Store

FIRST_PAUSE = 0.01
"""How long a waiter sleeps before its second look, in seconds."""

LONGEST_PAUSE = 0.25
"""How long a waiter sleeps between two looks at most, in seconds."""

SECOND_CALL = 0.1
"""
How long after a passing fault the provider is asked once more, in seconds; less or
more by half.
"""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the protocol works with: the arguments of `tokenkeep.renewal.Renewer`, and more."""

    store: Store
    journal: Journal
    clock: Clock
    report: Callable[..., None]
    late: Late
    errors: ClockErrors
    watch: Watch
    flights: Flights
    meters: Meters


@dataclass(frozen=True, slots=True)
class Ask:
    """
    What one caller wants.

    Args:
        rejected: An access token the API has refused. None if there is none.
        client_secret: The secret to renew with. None means the stored one.
        issuer: Where to renew a token that does not say. None means unknown.
        insists: Whether to ask even where the provider has rejected the refresh token, or
            is left alone after a failure.
        known: The failure that the caller has found. None if there was none.
        ahead: Whether it is a renewal ahead of need: in the caller's own thread, which is one
            of ours and no daemon; what goes wrong is raised though the token is still good, and
            nobody else's renewal is waited for.
    """

    rejected: str | None = field(default=None, repr=False)
    client_secret: str | None = field(default=None, repr=False)
    issuer: str | None = None
    insists: bool = False
    known: Failure | None = None
    ahead: bool = False

    def seen(self, token: Token) -> Token:
        """Return a stored token as this caller would use it."""
        failure = token.renewal.failure
        is_rejected = failure is not None and failure.kind == "rejected"
        # One that insists asks once: a rejection that is newer than it is its answer.
        is_answer = is_rejected and failure != self.known
        if self.insists and token.status is Status.LOGIN_NEEDED and not is_answer:
            token = token.but(status=Status.OK)
        # What is throttled stays so: that time is the provider's.
        if self.insists and failure and failure == self.known and failure.kind != "throttled":
            token = token.with_renewal(failure=None)
        if self.client_secret:
            token = token.but(client_secret=self.client_secret)
        return token.but(issuer=self.issuer) if self.issuer and not token.issuer else token


class Attempt:
    """One caller's turn; it stops waiting at *deadline*, on the monotonic clock, in seconds."""

    def __init__(self, parts: Parts, ask: Ask, provider: Provider, deadline: float) -> None:
        self._store = parts.store
        self._journal = parts.journal
        self._clock = parts.clock
        self._report = parts.report
        self._late = parts.late
        self._errors = parts.errors
        self._ask = ask
        self._provider = provider
        self._watch = parts.watch
        self._meters = parts.meters
        self._deadline = deadline
        self._nonce = secrets.token_hex(16)
        self._started = self._clock.monotonic(), self._clock.now()
        self._was = Status.OK

    def run(self, token: Token) -> Token | None:
        """Claim, ask, save, and count it. None means: read again and start over."""
        return self._meters.renewal(self._by(token), self._run, token)

    def _by(self, token: Token) -> str:
        return token.provider or self._provider.name

    def _run(self, token: Token) -> Token | None:
        # Before the claim's write: a pause during it must count as well.
        self._started = self._clock.monotonic(), self._clock.now()
        self._was = token.status
        held = self._claimed(token)
        if held is None:
            return None
        is_sent = False
        limit = self._provider.profile.mint_limit
        left = None if limit is None else limit - len(held.renewal.mints)
        self._meters.claimed(self._by(held), left)
        try:
            entry = self._late.left(held, self._provider)
            if entry is not None:
                return self._settled(held, entry)
            if token.renewal.claim is not None:
                # Taken over: its holder may have saved, or journaled, up to that look.
                again = self._mine(held)
                if again is None or again.pair != held.pair:
                    return None
                held = again
            if self._provider.profile.rotates:
                # For an answer that will be the only one of its kind: else nobody is asked.
                self._journal.prepare()
            if not self._is_in_time():
                return None
            is_sent = True
            return self._asked(held)
        finally:
            if not is_sent:
                self._release(held, unsent=True)
            self._meters.let_go(self._by(held))

    def _is_in_time(self) -> bool:
        """Tell whether a call that begins now ends before the claim does."""
        profile = self._provider.profile
        monotonic, now = self._started
        gone = max(self._clock.monotonic() - monotonic, self._clock.now() - now)
        return gone + profile.call_timeout < profile.claim_length

    def _settled(self, held: Token, entry: Entry) -> Token | None:
        """Save an answer from the journal. None if it was another row's, or out of date."""
        saved = self._late.settle(entry, self._provider)
        return saved if saved is not None and saved.id == held.id else None

    def _claimed(self, token: Token) -> Token | None:
        """Write the claim, count the call, lift ``login_needed`` as long as one insists."""
        profile, now = self._provider.profile, self._started[1]
        claim = Claim(
            nonce=self._nonce, holder=holder.me(), taken_at=now, length=profile.claim_length
        )
        mints = counted(token, now, profile)
        try:
            if not self._store.make_sole(token):
                return None
            lifted = token.but(status=self._ask.seen(token).status)
            return self._store.swap(lifted.with_renewal(claim=claim, mints=mints))
        except StoreConflict:
            return None
        except StoreUnavailable:
            try:
                stored = self._store.reread(str(token.id))
            except TokenKeepError:
                self._watch.give_up(self._nonce)
                raise
            if stored is not None and stored.version == token.version:
                raise  # not written: the store can be read only
            return self._mine(token)

    def _mine(self, token: Token) -> Token | None:
        """Read again. None if the claim is not this attempt's, or the token is not ok."""
        stored = self._store.reread(str(token.id))
        if stored is None or stored.status is not Status.OK:
            return None
        claim = stored.renewal.claim
        return stored if claim is not None and claim.nonce == self._nonce else None

    def _asked(self, held: Token, *, is_last: bool = False) -> Token | None:
        """Ask the provider; once more after a passing fault, unless it *is_last*."""
        asked = self._ask.seen(held)
        sent_at = self._clock.now()
        ends = self._clock.monotonic() + self._provider.profile.call_timeout
        again = None
        try:
            answer = self._provider.refresh(asked)
        except GrantRejected as exc:
            failure = outcomes.failure_of(exc, asked, self._clock.now(), last=held.renewal.failure)
            return self._permanent(held, failure)
        except RenewalError as exc:
            # What took as long as a call may take is not asked for twice.
            if not is_last and self._clock.monotonic() < ends:
                again = self._counted_again(held, exc)
            if again is None:
                self._failed(held, asked, exc, sent_at)
                raise
        except BaseException as exc:
            self._release(held, unsent=isinstance(exc, ConfigurationError))
            raise
        else:
            return self._answered(held, asked, answer, sent_at)
        return self._asked(again, is_last=True)

    def _counted_again(self, held: Token, exc: RenewalError) -> Token | None:
        """Count a second call after a passing fault, in the row. None if none may be made."""
        if not (isinstance(exc, ProviderUnavailable) and exc.passing):
            return None
        profile = self._provider.profile
        if exc.unread is not None and self._may_be_spent(held):
            return None
        self._clock.sleep(SECOND_CALL * random.uniform(0.5, 1.5))  # noqa: S311  # jitter, no secret
        now = self._clock.now()
        is_late = self._clock.monotonic() >= self._deadline or not self._is_in_time()
        if is_late or not may_repeat(self._ask.seen(held), now, profile):
            return None
        # A lost race, or an outcome that is not known, ends it.
        with letting_go(StoreError):
            again = self._store.swap(held.with_renewal(mints=counted(held, now, profile)))
            return again if self._is_in_time() else None
        return None

    def _may_be_spent(self, held: Token) -> bool:
        """Tell whether an answer may have another refresh token in the place of this one."""
        return self._provider.profile.rotates and held.refresh_token is not None

    def _failed(self, held: Token, asked: Token, exc: RenewalError, sent_at: float) -> None:
        """Let go after a call without an answer, and remember the failure."""
        failure = outcomes.failure_of(exc, asked, self._clock.now(), last=held.renewal.failure)
        exc.token_id, exc.user = held.id, held.user
        if isinstance(exc, CoolingDown):
            exc.until = failure.until
        if isinstance(exc, ProviderUnavailable):
            reply, exc.unread = exc.unread, None  # else who shows the error shows what is in it
            if isinstance(reply, Reply) and self._may_be_spent(held):
                unread = outcomes.unread_entry(held, reply, asked=asked, sent_at=sent_at)
                self._late.keep_unread(unread, held, exc)
        self._release(held, failure)
        about = {"kind": failure.kind, "error": failure.error, "count": failure.count}
        self._report("renewal_failed", held, **about)

    def _answered(self, held: Token, asked: Token, answer: Answer, sent_at: float) -> Token | None:
        if answer.clock_offset is not None:
            self._errors.learn(held.issuer, outcomes.clock_error(answer))
        entry = outcomes.answered(held, answer, self._provider, asked=asked, sent_at=sent_at)
        if answer.refresh_token not in (None, held.refresh_token):
            # The old refresh token is spent: this answer is the only one.
            entry = self._late.keep(entry, held)
        saved = self._saved(held, entry)
        if outcomes.clock_error(answer):
            self._report("clock_off", held, seconds=round(outcomes.clock_error(answer)))
        return saved

    def _saved(self, held: Token, entry: Entry) -> Token | None:
        wanted = outcomes.renewed(held, entry)
        try:
            try:
                saved: Token | None = self._store.swap(wanted)
            except (StoreConflict, StoreUnavailable):
                saved = self._late.settle(entry, self._provider)
            else:
                self._late.forget(entry, saved)
        except StoreUnavailable as exc:
            if entry.name is None:
                self._late.keep(entry, held)
            self._report("unsaved", held, error=exc.what)
            # Handed out, but in no version that is stored.
            return wanted.but(version=None)
        if saved is not None:
            self._report("renewed", saved)
        return saved

    def _permanent(self, held: Token, failure: Failure) -> Token | None:
        """Raise `LoginNeeded` if the rejection is about what is stored now: PERMANENT."""
        pause = FIRST_PAUSE
        while True:
            stored = self._store.reread(str(held.id))
            if (
                stored is None
                or stored.status is not Status.OK
                or stored.refresh_token != held.refresh_token
            ):
                return None
            other = stored.renewal.claim
            if (
                other
                and other.nonce != self._nonce
                and not self._watch.takeable(other, self._provider.profile)
            ):
                self._clock.sleep(pause)
                pause = min(pause * 1.5, LONGEST_PAUSE)
            elif (entry := self._late.left(held, self._provider)) is not None:
                taken = self._settled(held, entry)
                self._release(held)  # if it was another row's
                return taken
            else:
                now = self._clock.now()
                gone = died(stored, Status.LOGIN_NEEDED, now, holder.name(holder.me()))
                notice = notices.died(stored.renewal.notice, now, failure.error)
                with suppress(StoreConflict):
                    written = self._store.swap(gone.with_renewal(failure=failure, notice=notice))
                    self._report("login_needed", written, error=failure.error)
                    raise outcomes.dead(written)
            if self._clock.monotonic() >= self._deadline:
                raise outcomes.too_slow(stored, self._provider.profile.wait_timeout)

    def _release(
        self, held: Token, failure: Failure | None = None, *, unsent: bool = False
    ) -> None:
        """Clear the claim if it is still ours. Never raises: there is an outcome already."""
        counted_now = held.renewal.mints[-1:] if unsent else ()
        try:
            while (stored := self._mine(held)) is not None:
                mints = tuple(at for at in stored.renewal.mints if at not in counted_now)
                released = stored.with_renewal(claim=None, mints=mints)
                if stored.pair == held.pair:
                    released = released.but(status=self._was)
                if failure is not None:
                    by = holder.name(holder.me())
                    released = released.with_renewal(failure=failure)
                    released = released.having("failed", failure.at, by)
                with suppress(StoreConflict):
                    self._store.swap(released)
                    return
        except (TokenKeepError, OSError) as exc:
            # Others wait for it to run out; this process knows that nobody is at it.
            self._watch.give_up(self._nonce)
            self._report("renewal_failed", held, kind="store", error=outcomes.what_of(exc))
