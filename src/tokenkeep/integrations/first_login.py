"""First logins: one caller logs in with a credential, the others wait for what it saves."""

from __future__ import annotations

import random
import secrets
import threading
from typing import TYPE_CHECKING

from tokenkeep import forks, holder
from tokenkeep.errors import RenewalTimeout, StoreConflict
from tokenkeep.token import Claim, Status, Token
from tokenkeep.vault import Vault

if TYPE_CHECKING:
    from tokenkeep.clock import Clock
    from tokenkeep.store import TokenStore

WAIT = 5.0
"""How long others wait for a first login, in seconds."""

_PAUSE = 0.05


class FirstLogins:
    """
    Elect who logs in with a credential that is not stored yet.

    Among all processes that share a `Vault`; among the threads of one
    process with any other store.

    Args:
        store: Where the login will be saved.
        clock: The time.
    """

    def __init__(self, store: TokenStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._here: dict[tuple[str, ...], int] = {}
        self._lock = threading.Lock()
        self._mine = threading.local()
        forks.renew_in_child(self)

    def elect(self, asked: Token) -> Token | None:
        """
        Say who logs in.

        Args:
            asked: What was looked for and is not stored.

        Returns:
            None: the caller. It never waits for itself. Otherwise what
            somebody else has saved meanwhile.

        Raises:
            RenewalTimeout: Somebody else did not finish in time.
        """
        key = _key(asked)
        if key is None or key in self._reserved():
            return None
        deadline = self._clock.monotonic() + WAIT
        seen, since = "", 0.0
        while True:
            claim = self._claimed_by_another(asked, key)
            if claim is None or claim.nonce != seen:
                seen, since = (claim.nonce if claim else ""), self._clock.monotonic()
            if claim is None:
                saved = self._saved(asked)
                if saved is not None:
                    return saved
                if self._reserve(asked, key):
                    return self._if_saved(asked)
            elif holder.is_dead(claim.holder) or self._clock.monotonic() - since >= WAIT:
                if self._take_over(asked, key):
                    return None
            elif self._clock.monotonic() >= deadline:
                raise RenewalTimeout(
                    f"{holder.name(claim.holder)} is logging in with the same credential "
                    f"and did not finish within {WAIT:g} s",
                    user=asked.user,
                    hint="Try again",
                )
            self._clock.sleep(_PAUSE * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, no secret

    def pending(self, token: Token) -> str | None:
        """Return the id of the pending row that this thread left for a login. None if none."""
        reserved = self._reserved()
        return next((reserved[key] for key in _keys(token) if key in reserved), None)

    def done(self, token: Token) -> None:
        """Note that this thread's login with a credential is saved."""
        for key in _keys(token):
            self._reserved().pop(key, None)
            with self._lock:
                self._here.pop(key, None)

    def renew_locks(self) -> None:
        """Forget the parent's logins in a child process."""
        self._lock = threading.Lock()
        self._here = {}
        self._mine = threading.local()

    def _reserved(self) -> dict[tuple[str, ...], str | None]:
        reserved: dict[tuple[str, ...], str | None] = self._mine.__dict__.setdefault("rows", {})
        return reserved

    def _claimed_by_another(self, asked: Token, key: tuple[str, ...]) -> Claim | None:
        """Return the claim of whoever is logging in. None if nobody is."""
        if isinstance(self._store, Vault):
            row = self._store.reserved(asked)
            return row.renewal.claim if row else None
        thread = self._here.get(key)
        return None if thread is None else _claim(str(thread))

    def _reserve(self, asked: Token, key: tuple[str, ...]) -> bool:
        row_id = None
        if isinstance(self._store, Vault):
            try:
                row_id = self._store.reserve(asked, _claim(secrets.token_hex(16))).id
            except StoreConflict:
                return False
        else:
            with self._lock:
                if key in self._here:
                    return False
                self._here[key] = threading.get_ident()
        self._reserved()[key] = row_id
        return True

    def _take_over(self, asked: Token, key: tuple[str, ...]) -> bool:
        """Take the place of somebody who crashed, or does not finish."""
        row_id = None
        if isinstance(self._store, Vault):
            row = self._store.reserved(asked)
            if row is None:
                return False
            try:
                claim = _claim(secrets.token_hex(16))
                row_id = self._store.swap(row.with_renewal(claim=claim)).id
            except StoreConflict:
                return False
        else:
            with self._lock:
                self._here[key] = threading.get_ident()
        self._reserved()[key] = row_id
        return True

    def _saved(self, asked: Token) -> Token | None:
        """Return what a login has saved. A dead row is what it is to replace."""
        found = self._store.find_token(asked)
        return found if found is not None and found.status is Status.OK else None

    def _if_saved(self, asked: Token) -> Token | None:
        """Look once more: a login may have begun and ended between look and reservation."""
        saved = self._saved(asked)
        if saved is not None:
            row_id = self.pending(asked)
            if row_id is not None:
                self._store.delete_token(row_id)
            self.done(asked)
        return saved


def _key(token: Token) -> tuple[str, ...] | None:
    return next(iter(_keys(token)), None)


def _keys(token: Token) -> list[tuple[str, ...]]:
    """Return what a login is told apart by; an access token alone asks nobody for anything."""
    client = token.client_id or ""
    pairs = (("grant", token.grant_token), ("refresh", token.refresh_token))
    return [(name, client, secret) for name, secret in pairs if secret]


def _claim(nonce: str) -> Claim:
    # Nobody compares its time: waiters judge by their own clock.
    return Claim(nonce=nonce, holder=holder.me(), taken_at=0.0, length=WAIT)
