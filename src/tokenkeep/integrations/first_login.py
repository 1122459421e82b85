"""First logins: one caller logs in with a credential, the others wait for what it saves."""

from __future__ import annotations

import random
import secrets
import threading
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from tokenkeep import holder
from tokenkeep.errors import RenewalTimeout, StoreConflict, StoreError, letting_go
from tokenkeep.lookup import first_login_of
from tokenkeep.providers.base import Profile
from tokenkeep.renewal.watch import Watch
from tokenkeep.token import Claim, Status, Token

if TYPE_CHECKING:
    from tokenkeep.clock import Clock
    from tokenkeep.store import Store

WAIT = 45.0
"""How long others wait for a first login, in seconds."""

LENGTH = 60.0
"""How long a lease is believed whose holder is on another host, in seconds."""

_LEASES = Profile(claim_length=LENGTH)
_PAUSE = 0.05


class _ThisThread(threading.local):
    """A thread's name, which goes with it: the system's numbers are given again at once."""

    def __init__(self) -> None:
        self.name = secrets.token_hex(8)
        self.mark: set[str] = set()  # lives as long as its thread
        _living[self.name] = self.mark


_living: WeakValueDictionary[str, set[str]] = WeakValueDictionary()
_this_thread = _ThisThread()


class FirstLogins:
    """
    Elect who logs in with a credential that is not stored yet.

    Whoever does holds a lease in the store. It is over when its login is
    saved, when its thread asks the store for something else (then its login
    has failed), and when its thread or process has ended. A holder that is
    known to live is never taken over, however slow.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._watch = Watch(clock)
        # Of each thread: the names of what it logs in with, by the versions of its leases.
        self._mine = threading.local()

    def elect(self, asked: Token) -> Token | None:
        """Say who logs in. None: the caller; else what somebody else has saved meanwhile."""
        if not (asked.grant_token or asked.refresh_token):
            return None  # an access token alone asks nobody for anything
        claim = Claim(
            nonce=f"{_this_thread.name}-{secrets.token_hex(16)}",
            holder=holder.me(),
            taken_at=self._clock.now(),
            length=LENGTH,
        )
        name, deadline = first_login_of(asked), self._clock.monotonic() + WAIT
        while True:
            version, held = self._store.hold(name, claim)
            # After the lease: a login may have begun and ended since the caller looked.
            saved = self._saved(asked)
            if held.nonce == claim.nonce:
                vars(self._mine)[version] = name
                if saved is not None:
                    self.over()
                return saved
            if saved is not None:
                return saved
            if self._is_over(held):
                with suppress(StoreConflict):
                    self._store.let_go(name, version)
                continue
            if self._clock.monotonic() >= deadline:
                raise RenewalTimeout(
                    f"{holder.name(held.holder)} is logging in with the same credential "
                    f"and did not finish within {WAIT:g} s",
                    user=asked.user,
                    hint="Try again",
                )
            self._clock.sleep(_PAUSE * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, no secret

    def over(self) -> None:
        """Give up the leases of this thread: whatever login it was at is saved, or has failed."""
        mine = vars(self._mine)
        for version in list(mine):
            with letting_go(StoreError):  # then with this thread's next look
                with suppress(StoreConflict):  # somebody else has it by now
                    self._store.let_go(mine[version], version)
                del mine[version]

    def _is_over(self, held: Claim) -> bool:
        """Tell whether nobody can be behind a lease any more."""
        if held.holder == holder.me():
            name = held.nonce.partition("-")[0]
            return name == _this_thread.name or name not in _living
        if holder.is_here(held.holder):
            return holder.is_dead(held.holder)
        return self._watch.takeable(held, _LEASES)

    def _saved(self, asked: Token) -> Token | None:
        """Return what a login has saved. A dead row is what it is to replace."""
        found = self._store.find_token(asked)
        return found if found is not None and found.status is Status.OK else None
