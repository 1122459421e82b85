"""Freshening: renewals ahead of need, for whole fleets, shared with every other host by claims."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenkeep import holder
from tokenkeep.decision import has_spare
from tokenkeep.due import renewed_at
from tokenkeep.errors import (
    LoginNeeded,
    PolicyEnded,
    ProviderUnavailable,
    RenewalError,
    TokenKeepError,
    TokenNotFound,
)
from tokenkeep.renewal import Ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokenkeep.clock import Clock
    from tokenkeep.clock_errors import ClockErrors
    from tokenkeep.providers import Providers
    from tokenkeep.renewal import Renewer
    from tokenkeep.store import Store
    from tokenkeep.token import Token

LOOKS_EVERY = 5.0
"""How long it waits, once nothing more is due, in seconds; less or more by half."""

LEFT_ALONE = 30.0
"""
How long an issuer that did not answer, or that has failed several, is not asked for other
tokens, in seconds.
"""

_MOST_FAILURES = 3
"""So many in a row."""

_PAGE = 64
"""Tokens read at once: few, since others are at it as well."""

_REST = 10.0
"""How many times as long as it has looked it rests then."""

_MOST_LEFT = 10_000
"""So many that could not be renewed are remembered, not to be tried again at once."""

_MEASURED = 0.25
"""How long it is measured how busy this process is, in seconds."""

_BUSY = 0.5
"""So much of one core: from then on more threads would only stand in each other's way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshened:
    """
    What was renewed ahead of need.

    Args:
        renewed: Tokens renewed here.
        failed: Tokens that could not be renewed this time; each is tried again.
        login_needed: Tokens whose refresh token the provider rejects.
    """

    renewed: int = 0
    failed: int = 0
    login_needed: int = 0


class Freshening:
    """
    Renew what policies say, as it comes due.

    Args:
        workers: How many calls to providers may be under way at once. As many are as it takes
            to be busy: one at a provider that answers at once.
        stop: Ends it once what is under way is done. None: it ends when nothing more is due.
        note: Called for each error of a single token, and for one of the store if it goes on.
    """

    def __init__(
        self,
        store: Store,
        providers: Providers,
        clock: Clock,
        *,
        errors: ClockErrors,
        renewer: Renewer,
        workers: int,
        stop: threading.Event | None,
        note: Callable[[TokenKeepError], None],
    ) -> None:
        self._store = store
        self._providers = providers
        self._clock = clock
        self._errors = errors
        self._renewer = renewer
        self._workers = workers
        self._stop = stop or threading.Event()
        self._goes_on = stop is not None
        self._note = note
        self._me = holder.name(holder.me())
        self._counts: Counter[str] = Counter()
        self._mute: dict[tuple[str | None, str | None], float] = {}
        self._failures: Counter[tuple[str | None, str | None]] = Counter()
        self._left: set[str] = set()
        self._lock = threading.Lock()
        self._rows: Iterator[Token] = iter(())
        self._threads: list[threading.Thread] = []
        self._measured = 0.0, 0.0

    def run(self) -> Freshened:
        """Do it, and say what was done."""
        try:
            while not self._stop.is_set():
                began = time.monotonic()
                try:
                    self._rows = self._due()
                    self._work_off()
                except TokenKeepError as exc:
                    if not self._goes_on:
                        raise
                    self._note(exc)  # a service outlives an outage of its store
                if not self._goes_on:
                    break
                # There may be very many that are due for a sweep, and nothing to renew.
                pause = max(LOOKS_EVERY, _REST * (time.monotonic() - began))
                self._stop.wait(pause * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
        finally:
            self._stop.set()
        return Freshened(**self._counts)

    def _work_off(self) -> None:
        """Renew what `_rows` has, by as many threads as it takes."""
        failed: list[TokenKeepError] = []
        self._threads = []
        self._measured = time.perf_counter(), time.process_time()
        try:
            self._start(1, failed)
            for thread in self._threads:  # others join while it is gone through
                while thread.is_alive():
                    thread.join(1.0)
        except BaseException:
            self._stop.set()  # the threads are no daemons: they end what they have begun
            raise
        if failed:
            raise failed[0]

    def _start(self, more: int, failed: list[TokenKeepError]) -> None:
        for _ in range(more):
            thread = threading.Thread(target=self._work, args=(failed,), name="tokenkeep-fresh")
            thread.start()
            self._threads.append(thread)

    def _work(self, failed: list[TokenKeepError]) -> None:
        while not (self._stop.is_set() or failed):
            try:
                with self._lock:
                    row = next(self._rows, None)
                    if row is not None:
                        self._call_for_help(failed)
            except TokenKeepError as exc:
                failed.append(exc)
                return
            if row is None:
                return
            self._freshen(row)

    def _call_for_help(self, failed: list[TokenKeepError]) -> None:
        """Start as many threads again, if those that there are mostly wait."""
        began, used = self._measured
        now, cpu = time.perf_counter(), time.process_time()
        if now - began < _MEASURED:
            return
        self._measured = now, cpu
        if (cpu - used) / (now - began) < _BUSY:
            there = len(self._threads)
            self._start(min(there, self._workers - there), failed)

    def _due(self) -> Iterator[Token]:
        """Yield what is to be renewed now: not all hosts the same at the same time."""
        self._left.clear()
        begun: set[str | None] = set()
        while len(self._left) < _MOST_LEFT:
            some = self._store.some_due(self._clock.now(), _PAGE, self._note)
            # Read again while another thread was at it, it looks as if it were due still.
            some = [row for row in some if row.id not in begun and self._is_due(row)]
            if not some:
                break
            begun = {row.id for row in some} | (begun if len(begun) < _MOST_LEFT else set())
            yield from some
        # Behind many that can't be renewed now there may be others.
        behind = self._store.due(self._clock.now(), self._note)
        yield from (row for row in behind if row.id not in begun and self._is_due(row))

    def _is_due(self, row: Token) -> bool:
        now, policies = self._clock.now(), self._store.policies
        profile = self._providers.profile_of(row)
        local = self._errors.local(row)
        at = renewed_at(local, now, policies, profile)
        if at is None or at > now or policies.quiet_until(row, now) > now:
            return False
        return has_spare(local, now, profile) and not self._is_left(row)

    def _is_left(self, row: Token) -> bool:
        """Tell whether a token is not tried again now: it, or its issuer, has just failed."""
        mute_until = self._mute.get((row.provider, row.issuer), 0.0)
        return row.id in self._left or mute_until > self._clock.monotonic()

    def _freshen(self, row: Token) -> None:
        if self._is_left(row):
            return
        try:
            fresh = self._renewer.valid(row, Ask(ahead=True))
            if fresh.version == row.version:
                self._left.add(str(row.id))
            elif fresh.renewal.renewed_by == self._me:
                self._counts["renewed"] += 1
                self._failures.pop((row.provider, row.issuer), None)
        except PolicyEnded:
            self._left.add(str(row.id))  # for a sweep, or who asks
        except LoginNeeded:
            self._left.add(str(row.id))
            self._counts["login_needed"] += 1
        except TokenNotFound:
            pass  # deleted meanwhile
        except TokenKeepError as exc:
            self._failed(row, exc)
        except Exception as exc:  # noqa: BLE001  # a provider of one's own; the others go on
            what = f"The provider failed: {type(exc).__name__}"
            self._failed(row, ProviderUnavailable(what, token_id=row.id, user=row.user))

    def _failed(self, row: Token, exc: TokenKeepError) -> None:
        """Leave a token alone for now; and its issuer, if others of it have failed as well."""
        self._left.add(str(row.id))
        self._counts["failed"] += 1
        if isinstance(exc, RenewalError):
            whom = row.provider, row.issuer
            self._failures[whom] += 1
            is_mute = isinstance(exc, ProviderUnavailable) and not exc.answered
            if is_mute or self._failures[whom] >= _MOST_FAILURES:
                self._mute[whom] = self._clock.monotonic() + LEFT_ALONE
        self._note(exc)
