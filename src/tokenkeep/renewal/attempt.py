"""HOLDER and PERMANENT: one caller's turn to renew a token."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tokenkeep import holder
from tokenkeep.decision import counted
from tokenkeep.errors import (
    ConfigurationError,
    GrantRejected,
    RenewalError,
    StoreConflict,
    StoreUnavailable,
    TokenKeepError,
)
from tokenkeep.renewal.outcomes import answered, clock_error, dead, failure_of, renewed, too_slow
from tokenkeep.saving import died
from tokenkeep.token import Claim, Failure, Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.clock import Clock
    from tokenkeep.clock_errors import ClockErrors
    from tokenkeep.journal import Entry, Journal
    from tokenkeep.providers.base import Provider
    from tokenkeep.renewal.flights import Flights
    from tokenkeep.renewal.late import Late
    from tokenkeep.renewal.watch import Watch
    from tokenkeep.store import Store

FIRST_PAUSE = 0.01
"""How long a waiter sleeps before its second look, in seconds."""

LONGEST_PAUSE = 0.25
"""How long a waiter sleeps between two looks at most, in seconds."""


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


@dataclass(frozen=True, slots=True)
class Ask:
    """
    What one caller wants.

    Args:
        rejected: An access token the API has refused. None if there is none.
        client_secret: The secret to renew with. None means the stored one.
        issuer: Where to renew a token that does not say. None means unknown.
    """

    rejected: str | None = field(default=None, repr=False)
    client_secret: str | None = field(default=None, repr=False)
    issuer: str | None = None

    def seen(self, token: Token) -> Token:
        """Return a stored token as this caller would use it."""
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
        self._deadline = deadline
        self._nonce = secrets.token_hex(16)

    def run(self, token: Token) -> Token | None:
        """Claim, ask, save. None means: read again and start over."""
        profile = self._provider.profile
        # Before the claim's write: a pause during it must count as well.
        started = self._clock.monotonic(), self._clock.now()
        held = self._claimed(token, started[1])
        if held is None:
            return None
        try:
            entry = self._late.left(held)
        except TokenKeepError:
            self._release(held, unsent=True)
            raise
        if entry is not None:
            return self._settled(held, entry)
        if token.renewal.claim is not None:
            # Taken over: its holder may have saved, or journaled, up to that look.
            again = self._mine(held)
            if again is None or again.pair != held.pair:
                return None
            held = again
        room = self._room(held)
        gone = max(self._clock.monotonic() - started[0], self._clock.now() - started[1])
        if gone + profile.call_timeout >= profile.claim_length:
            self._journal.give_back(room)
            self._release(held, unsent=True)
            return None
        return self._asked(held, room)

    def _settled(self, held: Token, entry: Entry) -> Token | None:
        """Save an answer from the journal. None if it was another row's, or out of date."""
        saved = self._late.settle(entry, self._provider)
        if saved is not None and saved.id == held.id:
            return saved
        self._release(held, unsent=True)
        return None

    def _claimed(self, token: Token, now: float) -> Token | None:
        """Write the claim, and count the call before it is made."""
        profile = self._provider.profile
        claim = Claim(
            nonce=self._nonce, holder=holder.me(), taken_at=now, length=profile.claim_length
        )
        mints = counted(token, now, profile)
        try:
            if not self._store.make_sole(token):
                return None
            return self._store.swap(token.with_renewal(claim=claim, mints=mints))
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

    def _asked(self, held: Token, room: str | None) -> Token | None:
        asked = self._ask.seen(held)
        sent_at = self._clock.now()
        try:
            answer = self._provider.refresh(asked)
        except BaseException as exc:
            self._journal.give_back(room)
            if not isinstance(exc, RenewalError):
                self._release(held, unsent=isinstance(exc, ConfigurationError))
                raise
            failure = failure_of(exc, asked, self._clock.now())
            if isinstance(exc, GrantRejected):
                return self._permanent(held, failure)
            exc.token_id, exc.user = held.id, held.user
            self._release(held, failure)
            self._report("renewal_failed", held, kind=failure.kind, error=failure.error)
            raise
        if answer.clock_offset is not None:
            self._errors.learn(held.issuer, clock_error(answer))
        entry = answered(held, answer, self._provider, asked=asked, sent_at=sent_at)
        if answer.refresh_token not in (None, held.refresh_token):
            # The old refresh token is spent: this answer is the only one.
            entry = self._late.keep(entry, held, room)
        else:
            self._journal.give_back(room)
        saved = self._saved(held, entry)
        if clock_error(answer):
            self._report("clock_off", held, seconds=round(clock_error(answer)))
        return saved

    def _room(self, held: Token) -> str | None:
        """
        Make room for an answer that will be the only one of its kind.

        Raises:
            StoreUnavailable: There is no room: then nobody is asked.
        """
        if not self._provider.profile.rotates:
            return None
        try:
            return self._journal.prepare(held.refresh_token)
        except StoreUnavailable:
            self._release(held, unsent=True)
            raise

    def _saved(self, held: Token, entry: Entry) -> Token | None:
        wanted = renewed(held, entry)
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
        """
        Ask whether the rejection is about the token that is stored now: PERMANENT.

        Raises:
            LoginNeeded: It is.
        """
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
            elif (entry := self._late.left(held)) is not None:
                return self._settled(held, entry)
            else:
                gone = died(
                    stored, Status.LOGIN_NEEDED, self._clock.now(), holder.name(holder.me())
                )
                with suppress(StoreConflict):
                    written = self._store.swap(gone.with_renewal(failure=failure))
                    self._report("login_needed", written, error=failure.error)
                    raise dead(written)
            if self._clock.monotonic() >= self._deadline:
                raise too_slow(stored, self._provider.profile.wait_timeout)

    def _release(
        self, held: Token, failure: Failure | None = None, *, unsent: bool = False
    ) -> None:
        """
        Clear the claim if it is still this attempt's, and remember a failure, if anything failed.

        A call that was *unsent* does not count.
        """
        counted_now = held.renewal.mints[-1:] if unsent else ()
        try:
            while (stored := self._mine(held)) is not None:
                mints = tuple(at for at in stored.renewal.mints if at not in counted_now)
                released = stored.with_renewal(claim=None, mints=mints)
                if failure is not None:
                    by = holder.name(holder.me())
                    released = released.with_renewal(failure=failure)
                    released = released.having("failed", failure.at, by)
                with suppress(StoreConflict):
                    self._store.swap(released)
                    return
        except StoreUnavailable as exc:
            # Others wait for it to run out; this process knows that nobody is at it.
            self._watch.give_up(self._nonce)
            self._report("renewal_failed", held, kind="store", error=exc.what)
