"""Compare and write: again until nobody else writes, and in one process for any store."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

from tokenkeep import forks
from tokenkeep.errors import StoreConflict, StoreForeign, StoreTooNew, StoreUnavailable
from tokenkeep.lookup import digest_of
from tokenkeep.store import TokenStore
from tokenkeep.token import Renewal, Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Result = TypeVar("_Result")

OF_THE_STORE = (StoreUnavailable, StoreForeign, StoreTooNew)
"""What the next row would meet as well; other errors of a store are of one row."""

_TRIES = 20
"""How often a row is judged anew when others keep writing it."""


_made: WeakValueDictionary[int, LocalSwap] = WeakValueDictionary()


def can_swap(store: TokenStore) -> bool:
    """Tell whether a store brings its own `TokenStore.swap`."""
    return type(store).swap is not TokenStore.swap


def judged_anew(work: Callable[[int], _Result], token: Token) -> _Result:
    """
    Judge a row and write what follows from it, again while others write it in between.

    Args:
        work: Called with the number of the try, from 0. Raises `StoreConflict`
            if what it has judged is not what is stored any more.
        token: Whose row, for the error.

    Returns:
        What *work* does.

    Raises:
        StoreUnavailable: Others kept writing it.
    """
    for attempt in range(_TRIES):
        try:
            return work(attempt)
        except StoreConflict:
            continue
    raise StoreUnavailable(
        f"Others kept writing this token; gave up after {_TRIES} tries",
        token_id=token.id,
        user=token.user,
        hint="Try again",
    )


class LocalSwap(TokenStore):
    """
    Give a six-method store a `swap`.

    The state of renewals (claims, mint times, failures) is kept in this
    process, so a token is renewed once in each process, not once among all.

    Args:
        store: The store to wrap.
    """

    def __init__(self, store: TokenStore) -> None:
        self._store = store
        self._lock = Lock()
        self._renewals: dict[str, Renewal] = {}
        forks.renew_in_child(self)

    @staticmethod
    def of(store: TokenStore) -> LocalSwap:
        """Return the one of this store: two keepers on one store must not renew twice."""
        made = _made.get(id(store))
        if made is None:
            # No lock: a child forked meanwhile would wait for it for ever.
            made = _made.setdefault(id(store), LocalSwap(store))
        return made

    def __repr__(self) -> str:
        return f"<LocalSwap {self._store!r}>"

    def find_token(self, token: Token) -> Token | None:
        """See `TokenStore.find_token`."""
        return self._seen(self._store.find_token(token))

    def find_token_by_id(self, token_id: str) -> Token | None:
        """See `TokenStore.find_token_by_id`."""
        return self._seen(self._store.find_token_by_id(token_id))

    def save_token(self, token: Token) -> Token:
        """See `TokenStore.save_token`."""
        saved = self._store.save_token(token)
        with self._lock:
            self._renewals.pop(str(saved.id), None)
        return self._versioned(saved)

    def delete_token(self, token_id: str) -> None:
        """See `TokenStore.delete_token`."""
        self._store.delete_token(token_id)
        with self._lock:
            self._renewals.pop(token_id, None)

    def delete_tokens(self) -> None:
        """See `TokenStore.delete_tokens`."""
        self._store.delete_tokens()
        with self._lock:
            self._renewals.clear()

    def get_tokens(self) -> list[Token]:
        """See `TokenStore.get_tokens`."""
        return list(self.iter_tokens())

    def iter_tokens(self) -> Iterator[Token]:
        """See `TokenStore.iter_tokens`."""
        return (self._versioned(token) for token in self._store.iter_tokens())

    def swap(self, token: Token) -> Token:
        """See `TokenStore.swap`."""
        with self._lock:
            stored = self._seen(self._store.find_token_by_id(str(token.id)))
            if stored is None or stored.version != token.version:
                raise StoreConflict(
                    "This token was changed meanwhile", token_id=token.id, user=token.user
                )
            renewal = token.renewal
            if replace(token, renewal=stored.renewal) != stored:
                saved = self._store.save_token(token)
                if token.status is Status.OK and saved.status is not Status.OK:
                    raise StoreConflict(
                        "This token was revoked meanwhile", token_id=token.id, user=token.user
                    )
                stored = saved
            self._renewals[str(token.id)] = renewal
            return self._versioned(stored)

    def close(self) -> None:
        """See `TokenStore.close`."""
        self._store.close()

    def renew_locks(self) -> None:
        """Start with a new lock in a child process; claims of the parent stay known."""
        self._lock = Lock()

    def _seen(self, token: Token | None) -> Token | None:
        return None if token is None else self._versioned(token)

    def _versioned(self, token: Token) -> Token:
        """Return the token with its renewal state, and a version made of what is in it."""
        known = self._renewals.get(str(token.id))
        if known is not None:
            token = replace(token, renewal=known)
        content = repr((token.pair, token.expires_at, token.status, token.user, token.renewal))
        return replace(token, version=digest_of(content + str(token.renewal.to_revoke)))
