"""CLIENT: one caller's way to a valid token."""

from __future__ import annotations

import random
from concurrent.futures import wait
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from tokenkeep.decision import Decision, Verdict, current_failure, decide, is_usable
from tokenkeep.errors import (
    LOGIN_AGAIN,
    RenewalError,
    StoreError,
    StoreUnavailable,
    TokenKeepError,
    TokenNotFound,
    letting_go,
)
from tokenkeep.renewal.attempt import FIRST_PAUSE, LONGEST_PAUSE, Ask, Attempt, Parts
from tokenkeep.renewal.flights import Flights
from tokenkeep.renewal.late import Late
from tokenkeep.renewal.outcomes import dead, ended, error_of, renewed, throttled, too_slow
from tokenkeep.renewal.watch import Watch
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.clock import Clock
    from tokenkeep.clock_errors import ClockErrors
    from tokenkeep.journal import Entry, Journal
    from tokenkeep.metrics import Meters
    from tokenkeep.providers.base import Provider
    from tokenkeep.store import Store


class Renewer:
    """Turn stored tokens into valid ones; *report* gets an event's name, a token and details."""

    def __init__(
        self,
        store: Store,
        provider_of: Callable[[Token], Provider],
        journal: Journal,
        clock: Clock,
        report: Callable[..., None],
        *,
        errors: ClockErrors,
        meters: Meters,
    ) -> None:
        late = Late(store, journal, report)
        watch, flights = Watch(clock), Flights()
        self._parts = Parts(store, journal, clock, report, late, errors, watch, flights, meters)
        self._provider_of = provider_of

    def valid(self, token: Token, ask: Ask) -> Token:
        """
        Return a token as found in the store with an access token that is valid now.

        Raises:
            TokenNotFound: It was deleted.
            LoginNeeded: It can't be renewed any more, or was revoked.
            RenewalError: It can't be renewed now.
            StoreError: The store can't be read or written.
        """
        provider = self._provider_of(token)
        return _Client(self._parts, provider, ask, token).run()

    def settle(self, entry: Entry) -> Literal["saved", "discarded", "unread"]:
        """Replay a journal entry, and say what became of its answer."""
        return self._parts.late.replay(entry, self._provider_of(entry.asked))


class _Client:
    """One call."""

    def __init__(self, parts: Parts, provider: Provider, ask: Ask, token: Token) -> None:
        self._parts = parts
        self._clock = parts.clock
        self._flights = parts.flights
        self._provider = provider
        self._profile = provider.profile
        self._ask = replace(ask, known=token.renewal.failure)
        self._token = token
        self._renewed_at = token.renewal.renewed_at
        self._deadline = self._clock.monotonic() + self._profile.wait_timeout
        self._pause = FIRST_PAUSE

    def run(self) -> Token:
        """Look, decide, act, until there is a valid token or an error."""
        while True:
            decision = self._decided()
            if decision.verdict is Verdict.USE:
                return self._token
            if self._clock.monotonic() >= self._deadline:
                return self._old_or(too_slow(self._token, self._profile.wait_timeout))
            if decision.verdict is Verdict.WAIT:
                if self._ask.ahead:
                    return self._token  # whoever is at it
                result = self._wait()
            else:
                result = self._turn(urgent=decision.verdict is Verdict.RENEW_NOW)
            # An answer that lay in the journal may have ended since.
            if result is not None and is_usable(
                self._parts.errors.local(result), self._clock.now()
            ):
                return result
            # While a turn lasted, the token may have been revoked.
            self._read()
            if self._ask.ahead or (
                decision.verdict is Verdict.RENEW_SOON and self._is_usable(self._token)
            ):
                return self._token

    def _decided(self, *, looks: bool = True) -> Decision:
        """Decide on the token as it is now; what ends the loop with an error is raised here."""
        token, now = self._token, self._clock.now()
        seen = self._parts.errors.local(self._ask.seen(token))
        # No local variable for what was refused: crash reports show those of each frame.
        decision = decide(
            seen,
            now,
            self._profile,
            rejected=self._ask.rejected,
            policies=self._parts.store.policies,
        )
        if decision.end is not None:
            raise ended(token, decision.end)
        if decision.verdict in (Verdict.REVOKED, Verdict.LOGIN_NEEDED):
            raise dead(token)
        if decision.verdict is Verdict.USE:
            return decision
        failure = current_failure(seen)
        if failure is not None and failure != self._ask.known:
            # Newer than this caller's arrival: no turn at failing as well.
            self._token = self._old_or(error_of(failure, token))
            return Decision(Verdict.USE)
        claim = token.renewal.claim
        is_free = claim is not None and self._parts.watch.takeable(claim, self._profile)
        if decision.verdict is Verdict.WAIT and is_free:
            free = seen.with_renewal(claim=None)
            decision = decide(free, now, self._profile, rejected=self._ask.rejected)
        if decision.verdict is Verdict.COOL_DOWN:
            if looks:
                # For an answer that lies in the journal nobody has to be asked.
                with letting_go(StoreError):
                    self._read(self._left())
                    return self._decided(looks=False)
            if failure is not None and failure.kind != "throttled" and failure.until > now:
                raise error_of(failure, token)
            raise throttled(token, decision.until)
        return decision

    def _old_or(self, error: TokenKeepError) -> Token:
        """Return the token as read last while it is still good, else raise."""
        if self._is_usable(self._token) and not self._ask.ahead:
            return self._token
        if self._ask.seen(self._token).status is not Status.OK:
            raise dead(self._token) from error
        raise error

    def _is_usable(self, token: Token) -> bool:
        local = self._parts.errors.local(token)
        return is_usable(local, self._clock.now(), rejected=self._ask.rejected)

    def _wait(self) -> Token | None:
        """Wait a moment for whoever is renewing; in the long run return as `_left`."""
        token_id, pause = str(self._token.id), self._pause
        if self._flights.is_own(token_id):
            raise too_slow(self._token, 0.0)
        if not self._flights.wait(token_id, pause):
            self._clock.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, no secret
        self._pause = min(pause * 1.5, LONGEST_PAUSE)
        # The holder may have an answer it could not save.
        return self._left() if pause >= LONGEST_PAUSE else None

    def _left(self) -> Token | None:
        """Return the token with this host's answer from the journal, saved or not, if any."""
        if self._ask.seen(self._token).status is not Status.OK:
            raise dead(self._token)
        entry = self._parts.late.left(self._token, self._provider)
        if entry is None:
            return None
        try:
            return self._parts.late.settle(entry, self._provider)
        except StoreUnavailable:
            unsaved = renewed(self._token, entry).but(version=None)
            if self._is_usable(unsaved):
                return unsaved
            raise

    def _read(self, left: Token | None = None) -> None:
        """Go on with what was *left*, else with what is stored now."""
        now = left or self._parts.store.reread(str(self._token.id))
        if now is None:
            raise TokenNotFound(
                "This token was deleted",
                token_id=self._token.id,
                user=self._token.user,
                hint=LOGIN_AGAIN,
            )
        if now.renewal.renewed_at != self._renewed_at:
            # Renewed since this caller came: what the API refused is answered,
            # even if the provider gave the same access token again.
            self._ask = replace(self._ask, rejected=None)
        self._token = now

    def _turn(self, *, urgent: bool) -> Token | None:
        """Renew, unless another thread is at it; if *urgent*, wait for that. None: read again."""
        token_id = str(self._token.id)
        attempt = Attempt(self._parts, self._ask, self._provider, self._deadline)
        token = self._token
        here = self._ask.ahead
        flight = self._flights.start(token_id, lambda: attempt.run(token), here=here)
        if flight is None:
            if self._flights.is_own(token_id):
                return self._old_or(too_slow(token, 0.0))
            if urgent:
                self._flights.wait(token_id, self._pause)
            return None
        left = max(0.0, self._deadline - self._clock.monotonic())
        if not flight.done() and not wait([flight], left).done:
            self._read()
            return self._old_or(too_slow(token, self._profile.wait_timeout))
        try:
            return flight.result()
        except RenewalError as exc:
            # What the provider said is raised, not that the look failed as well.
            with letting_go(StoreError):
                self._read()
            return self._old_or(exc)
        except StoreUnavailable as exc:
            self._read()
            return self._left() or self._old_or(exc)
