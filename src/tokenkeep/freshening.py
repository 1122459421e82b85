"""Freshening: renewals ahead of need, for whole fleets, shared with every other host by claims."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenkeep import holder
from tokenkeep.decision import has_spare
from tokenkeep.due import renewed_at
from tokenkeep.errors import (
    ConfigurationError,
    LoginNeeded,
    ProviderUnavailable,
    RenewalError,
    StoreUnavailable,
    TokenKeepError,
    TokenNotFound,
    TokenRevoked,
)
from tokenkeep.renewal import Ask

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

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
How long a token that could not be renewed is not tried again, in seconds; nor are the others of
a client at an issuer that did not answer, or failed again and again.
"""

_FAULTS = 3
"""So many in a row, of whichever tokens, are the issuer's fault or the client's."""

MISCONFIGURED = 600.0
"""The same where somebody has to change the configuration first."""

_SHARE = 20
"""A look that finds nothing takes no more than every so-manieth part of the time."""

_LONGEST_PAUSE = 60.0
"""But this is how long it waits at most, in seconds; more by half."""

_STEP = 0.25
"""How soon it sees that it is to stop, in seconds."""

_PAGE = 64
"""Tokens read at once: few, since others are at it as well."""

_MOST_LEFT = 10_000
"""So many that are left alone are remembered."""

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
        # Of a token, by its id, or of all that `_whom` says.
        self._left_until: dict[Hashable, float] = {}
        self._faults: Counter[Hashable] = Counter()
        self._lock = threading.Lock()
        self._rows: Iterator[Token] = iter(())
        self._looked = 0.0
        self._threads: list[threading.Thread] = []
        self._measured = 0.0, 0.0

    def run(self) -> Freshened:
        """Do it, and say what was done."""
        said = None
        try:
            while not self._stop.is_set():
                try:
                    self._rows, self._looked = self._due(), 0.0
                    self._work_off()
                    said = None
                except TokenKeepError as exc:
                    if not self._goes_on:
                        raise
                    if said != str(exc):  # once: a service outlives an outage of its store
                        self._note(exc)
                    said = str(exc)
                if not self._goes_on:
                    break
                self._pause()
        finally:
            self._stop.set()
        return Freshened(**self._counts)

    def _pause(self) -> None:
        pause = min(max(LOOKS_EVERY, self._looked * _SHARE), _LONGEST_PAUSE)
        pause *= random.uniform(0.5, 1.5)  # noqa: S311  # jitter, no secret
        ends = self._clock.monotonic() + pause
        # No wait() for the event: it holds a lock for a moment, and a signal handler of this
        # thread that sets the event just then would wait for that for ever.
        while not self._stop.is_set() and self._clock.monotonic() < ends:
            self._clock.sleep(_STEP)

    def _work_off(self) -> None:
        """Renew what `_rows` has, by as many threads as it takes."""
        failed: list[BaseException] = []
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

    def _start(self, more: int, failed: list[BaseException]) -> None:
        for _ in range(more):
            thread = threading.Thread(target=self._work, args=(failed,), name="tokenkeep-fresh")
            thread.start()
            self._threads.append(thread)

    def _work(self, failed: list[BaseException]) -> None:
        while not (self._stop.is_set() or failed):
            try:
                with self._lock:
                    began = time.perf_counter()
                    row = next(self._rows, None)
                    if row is None:
                        self._looked = max(self._looked, time.perf_counter() - began)
                        return
                    self._call_for_help(failed)
                self._freshen(row)
            except BaseException as exc:  # noqa: BLE001  # raised in the thread that waits for it
                failed.append(exc)

    def _call_for_help(self, failed: list[BaseException]) -> None:
        """Start as many threads again, if those that there are mostly wait."""
        began, used = self._measured
        now, cpu = time.perf_counter(), time.process_time()
        if now - began < _MEASURED:
            return
        self._measured = now, cpu
        if (cpu - used) / (now - began) < _BUSY:
            there = len(self._threads)
            with suppress(RuntimeError):  # a limit of threads: these go on
                self._start(min(there, self._workers - there), failed)

    def _due(self) -> Iterator[Token]:
        """Yield what is to be renewed now, each once: not all hosts the same at the same time."""
        some = None
        while some is None or some:
            some = self._store.some_due(self._clock.now(), _PAGE, self._note)
            some = [row for row in some if self._is_due(row)]
            for row in some:
                self._leave(row.id)  # until it is known what becomes of it
                yield row
        # Behind many that can't be renewed now there may be others.
        for row in self._store.due(self._clock.now(), self._note):
            if self._is_due(row):
                self._leave(row.id)
                yield row

    def _is_due(self, row: Token) -> bool:
        now, policies = self._clock.now(), self._store.policies
        profile = self._providers.profile_of(row)
        local = self._errors.local(row)
        at = renewed_at(local, now, policies, profile)
        if at is None or at > now or policies.quiet_until(row, now) > now:
            return False
        return has_spare(local, now, profile) and not self._is_left(row.id, _whom(row))

    def _leave(self, what: Hashable, seconds: float = LEFT_ALONE) -> None:
        """Leave a token, or all that `_whom` says, alone for a while."""
        self._left_until.pop(what, None)  # it becomes the newest
        if len(self._left_until) >= _MOST_LEFT:
            self._left_until.pop(next(iter(self._left_until)), None)
        self._left_until[what] = self._clock.monotonic() + seconds

    def _is_left(self, *what: Hashable) -> bool:
        now = self._clock.monotonic()
        return any(self._left_until.get(each, now) > now for each in what)

    def _freshen(self, row: Token) -> None:
        if self._is_left(_whom(row)):
            return
        try:
            fresh = self._renewer.valid(row, Ask(ahead=True))
        except StoreUnavailable:
            with self._lock:
                self._left_until.pop(row.id, None)
            raise
        except (TokenRevoked, TokenNotFound):
            pass  # meanwhile; or by a policy, which is for a sweep, or who asks
        except LoginNeeded:
            with self._lock:
                self._counts["login_needed"] += 1
        except TokenKeepError as exc:
            self._failed(row, exc)
        except Exception as exc:  # noqa: BLE001  # a provider of one's own; the others go on
            what = f"The provider failed: {type(exc).__name__}"
            self._failed(row, ProviderUnavailable(what, token_id=row.id, user=row.user))
        else:
            self._done(row, fresh)

    def _done(self, row: Token, fresh: Token) -> None:
        # Where another host has its claim, it is as it was, but for that.
        is_new = fresh.pair != row.pair or fresh.renewal.renewed_at != row.renewal.renewed_at
        if is_new and fresh.renewal.renewed_by == self._me:
            with self._lock:
                self._counts["renewed"] += 1
                self._left_until.pop(row.id, None)
                self._faults.pop(_whom(row), None)

    def _failed(self, row: Token, exc: TokenKeepError) -> None:
        with self._lock:
            self._counts["failed"] += 1
            if isinstance(exc, ConfigurationError):
                self._leave(row.id, MISCONFIGURED)
            elif isinstance(exc, RenewalError):
                self._faults[_whom(row)] += 1
                is_mute = isinstance(exc, ProviderUnavailable) and not exc.answered
                if is_mute or self._faults[_whom(row)] >= _FAULTS:
                    self._leave(_whom(row))
        self._note(exc)


def _whom(row: Token) -> tuple[str | None, ...]:
    return row.provider, row.issuer, row.client_id
