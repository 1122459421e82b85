"""First logins: one caller logs in with a credential, the others wait for what it saves."""

from __future__ import annotations

import json
import random
import secrets
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from tokenkeep import forks, holder
from tokenkeep.errors import RenewalTimeout, StoreConflict, StoreUnavailable
from tokenkeep.integrations import asker
from tokenkeep.integrations.recent import MOST, Recent
from tokenkeep.lookup import digest_of
from tokenkeep.token import Claim, Status, Token
from tokenkeep.vault import Vault

if TYPE_CHECKING:
    from tokenkeep.clock import Clock
    from tokenkeep.store import TokenStore

WAIT = 5.0
"""How long others wait for a first login, in seconds."""

_PAUSE = 0.05

_CONFLICTS = 3
"""How often a reservation may fail although nobody is seen to log in."""


class _Login(NamedTuple):
    """What a login is told apart by, without the secret itself."""

    place: tuple[str | None, ...]
    credential: str


class _Reservation(NamedTuple):
    """What a thread has left for others to see."""

    nonce: str
    since: float
    row: Token | None


class FirstLogins:
    """
    Elect who logs in with a credential that is not stored yet.

    Among all threads and processes that share a `Vault`; among the threads
    that share this object with any other store.

    Args:
        store: Where the login will be saved.
        clock: The time.
    """

    def __init__(self, store: TokenStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.renew_locks()
        forks.renew_in_child(self)

    def renew_locks(self) -> None:
        """Forget the parent's logins in a child process."""
        self._lock = threading.RLock()
        self._here: dict[_Login, Claim] = {}
        self._mine: Recent[_Login, _Reservation] = Recent()

    def elect(self, asked: Token) -> Token | None:
        """
        Say who logs in.

        A thread never waits for itself, and never for one that has ended.

        Args:
            asked: What was looked for and is not stored.

        Returns:
            None: the caller. Otherwise what somebody else has saved meanwhile.

        Raises:
            RenewalTimeout: Somebody else did not finish in time.
        """
        login = next(iter(_logins(asked)), None)
        if login is None:
            return None
        began = since = self._clock.monotonic()
        seen: str | None = None
        conflicts = 0
        while True:
            claim = self._claim(asked, login)
            now = self._clock.monotonic()
            nonce = claim.nonce if claim else ""
            if seen not in (None, nonce):
                since = now
            seen = nonce
            if claim is None:
                saved = self._saved(asked)
                if saved is not None:
                    return saved
                if self._reserve(asked, login, instead_of=None):
                    return self._if_saved(asked, login)
                conflicts += 1
                if conflicts >= _CONFLICTS:
                    return None  # a dead row has the place; a login is what it needs
            elif self._granted(asked, login, claim, waited=now - since):
                return None
            elif now - began >= WAIT:
                raise RenewalTimeout(
                    f"{holder.name(claim.holder)} is logging in with the same credential "
                    f"and did not finish within {WAIT:g} s",
                    user=asked.user,
                    hint="Try again",
                )
            self._clock.sleep(_PAUSE * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, no secret

    def pending(self, token: Token) -> str | None:
        """
        Return the id of the pending row that this thread left for a login.

        Args:
            token: What the login has brought, with its place. A row left for
                another place is none of its.

        Returns:
            None if there is none.
        """
        if not self._mine:
            return None
        reservations = (self._mine.get(login) for login in _logins(token))
        return next((mine.row.id for mine in reservations if mine and mine.row), None)

    def done(self, token: Token) -> None:
        """
        Note that this thread's login with a credential is saved.

        Args:
            token: What was saved, with its place. If it is another one than
                was asked for, what this thread left there for the same
                credential is taken away: nobody will complete it.
        """
        if not self._mine and not self._here:
            return
        logins = _logins(token)
        ended = [login for login in list(self._mine) if login in logins]
        if not ended:
            credentials = {login.credential for login in logins}
            ended = [login for login in list(self._mine) if login.credential in credentials]
            for login in ended:
                self._take_away(login)
        for login in (*ended, *logins):
            self._mine.drop(login)
            with self._lock:
                self._here.pop(login, None)

    def _claim(self, asked: Token, login: _Login) -> Claim | None:
        """Return the claim of whoever is logging in. None if nobody is."""
        if isinstance(self._store, Vault):
            row = self._store.reserved(asked)
            return row.renewal.claim if row else None
        return self._here.get(login)

    def _granted(self, asked: Token, login: _Login, claim: Claim, *, waited: float) -> bool:
        """Tell whether the caller logs in although there is a claim; then it is the caller's."""
        mine = asker.is_me(claim.holder)
        if mine and self._is_fresh(login, claim):
            return True
        free = mine or asker.is_gone(claim.holder) or waited >= WAIT
        return free and self._reserve(asked, login, instead_of=claim)

    def _is_fresh(self, login: _Login, claim: Claim) -> bool:
        """Tell whether a claim is what this thread holds by this object, and not for long."""
        mine = self._mine.get(login)
        return (
            mine is not None
            and mine.nonce == claim.nonce
            and self._clock.monotonic() - mine.since < WAIT
        )

    def _reserve(self, asked: Token, login: _Login, *, instead_of: Claim | None) -> bool:
        """Claim a login, if the claim on it is still the one that was seen."""
        # Nobody compares its time: waiters judge by their own clock.
        claim = Claim(nonce=secrets.token_hex(16), holder=asker.me(), taken_at=0.0, length=WAIT)
        row: Token | None = None
        if isinstance(self._store, Vault):
            try:
                row = self._store.reserved(asked) if instead_of else None
                if instead_of is None:
                    row = self._store.reserve(asked, claim)
                elif row is None or row.renewal.claim != instead_of:
                    return False
                else:
                    row = self._store.swap(row.with_renewal(claim=claim))
            except StoreConflict:
                return False
        else:
            with self._lock:
                if self._here.get(login) != instead_of:
                    return False
                self._here.pop(login, None)
                self._here[login] = claim
                if len(self._here) > MOST:
                    # Of logins that failed: the oldest, if its thread has ended.
                    for old in [k for k, c in self._here.items() if asker.is_gone(c.holder)]:
                        del self._here[old]
        self._mine.note(login, _Reservation(claim.nonce, self._clock.monotonic(), row))
        return True

    def _take_away(self, login: _Login) -> None:
        """Delete a pending row of this thread, unless somebody has written it since."""
        mine = self._mine.get(login)
        if mine is not None and mine.row is not None and isinstance(self._store, Vault):
            # Waiters go on by themselves after a while, and a sweep tidies up.
            with suppress(StoreConflict, StoreUnavailable):
                self._store.delete_token(str(mine.row.id), replaces=mine.row.version)

    def _saved(self, asked: Token) -> Token | None:
        """Return what a login has saved. A dead row is what it is to replace."""
        found = self._store.find_token(asked)
        return found if found is not None and found.status is Status.OK else None

    def _if_saved(self, asked: Token, login: _Login) -> Token | None:
        """Look once more: a login may have begun and ended between look and reservation."""
        saved = self._saved(asked)
        if saved is not None:
            self._take_away(login)
            self.done(asked)
        return saved


def _logins(token: Token) -> list[_Login]:
    """Return the logins a token can be of; an access token alone asks nobody for anything."""
    place = (token.provider, token.data_center, token.environment)
    found = []
    for name in ("grant_token", "refresh_token"):
        if getattr(token, name):
            credential = digest_of(json.dumps([name, token.client_id, getattr(token, name)]))
            found.append(_Login(place, credential))
    return found
