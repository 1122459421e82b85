"""LocalSwap: what a keeper needs beside the six methods, in one process."""

from __future__ import annotations

import secrets
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tokenkeep.backends.forks import reentered, renew_in_child
from tokenkeep.errors import StoreConflict, StoreError
from tokenkeep.lookup import digest_of
from tokenkeep.notices import recovered
from tokenkeep.policy import NO_POLICIES, Policies, expect_none_with
from tokenkeep.saving import cleaned, conflict, has_other_tokens
from tokenkeep.store import Store, TokenStore
from tokenkeep.token import Claim, Renewal, Status, Token

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def complete(store: TokenStore) -> Store:
    """
    Return a store that a keeper can work with: itself if it is one, else its `LocalSwap`.

    Raises:
        TypeError: It is no store.
    """
    if not isinstance(store, TokenStore):
        raise TypeError(
            f"A store belongs here, as tokenkeep.open_store() returns it, or another "
            f"tokenkeep.TokenStore, not a {type(store).__name__}"
        )
    if isinstance(store, Store):
        return store
    # Kept by the store itself: all keepers of it share one. A copy brings along its original's,
    # which is not its own; and as that one holds the original, no copy has the id of it.
    shared: LocalSwap = vars(store).setdefault(f"_local_swap_{id(store)}", LocalSwap(store))
    return shared


class LocalSwap(Store):
    """
    Make a `Store` of a six-method store.

    Without a `TokenStore.swap` of its own, the state of renewals (claims, mint
    times, failures) is kept in this process: a token is renewed once in each
    process, not once among all. Writes are made one after the other; two
    keepers on one store share this object (`complete`).
    """

    def __init__(self, store: TokenStore) -> None:
        self._store = store
        self._swaps = type(store).swap is not TokenStore.swap
        self._renewals: dict[str, tuple[str, Renewal]] = {}
        self._logins: dict[str, tuple[str, Claim, Mapping[str, str] | None]] = {}
        self._policies = NO_POLICIES
        self._notes: dict[str, tuple[str, Mapping[str, str]]] = {}
        self.renew_locks()
        renew_in_child(self)

    def describe(self) -> str:
        return f"a {type(self._store).__name__}"

    def find_token(self, token: Token) -> Token | None:
        return self._seen(self._store.find_token(token))

    def find_token_by_id(self, token_id: str) -> Token | None:
        return self._seen(self._store.find_token_by_id(token_id))

    def reread(self, token_id: str) -> Token | None:
        return self._seen(self._store.reread(token_id))

    def save_token(self, token: Token) -> Token:
        token = cleaned(token)  # what no store may take is refused
        # Around the store's call too: what a swap compares must not change until it has saved.
        with self._alone():
            if self._swaps:
                return self._store.save_token(token)
            if token.version is not None:
                stored = self.find_token_by_id(str(token.id))
                is_same = stored is not None and stored.version == token.version
                if stored is None or (not is_same and has_other_tokens(token, stored)):
                    raise conflict(token, "This token was changed meanwhile")
            return self._versioned(self._store.save_token(token.but(version=None)))

    def delete_version(self, token_id: str, version: str | None) -> None:
        """As `Store.delete_version`; versions are as this process knows them, None is any."""
        with self._alone():
            stored = None if version is None else self.find_token_by_id(token_id)
            if stored is not None and stored.version != version:
                raise conflict(stored, "This token was changed meanwhile")
            self._store.delete_token(token_id)
            self._renewals.pop(token_id, None)

    def delete_tokens(self) -> None:
        with self._alone():
            self._store.delete_tokens()
            self._renewals.clear()

    def get_tokens(self) -> list[Token]:
        return list(self.iter_tokens())

    def iter_tokens(self, **_: object) -> Iterator[Token]:
        """See `Store.iter_tokens`; all of them, since the six methods look by nothing."""
        return (self._versioned(token) for token in self._store.iter_tokens())

    def swap(self, token: Token) -> Token:
        """
        See `TokenStore.swap`.

        Raises:
            StoreError: The store did not keep what it was given.
        """
        if self._swaps:
            return self._store.swap(token)
        with self._alone():
            stored = self.find_token_by_id(str(token.id))
            if stored is None or stored.version != token.version:
                raise conflict(token, "This token was changed meanwhile")
            saved = stored
            if token.but(renewal=stored.renewal, history=stored.history) != stored:
                saved = self._store.save_token(token.but(version=None))
                if token.status is not Status.OK and saved.id == token.id:
                    # It may answer what it was given without having kept that it is dead.
                    saved = self._store.find_token_by_id(str(token.id)) or saved
                    if saved.status is not token.status and saved.pair == stored.pair:
                        raise self._not_kept(token)
                if saved.id != token.id or saved.status not in (Status.OK, token.status):
                    raise conflict(token, "This token was changed meanwhile")
                if has_other_tokens(token.but(grant_token=None), saved):
                    raise self._not_kept(token)
            self._renewals[str(saved.id)] = _login(saved), token.renewal
            return self._versioned(saved)

    def hold(
        self, name: str, claim: Claim, login: Mapping[str, str] | None = None
    ) -> tuple[str, Claim]:
        """See `Store.hold`; among the threads of this process."""
        if login is not None:
            for each, (_, held, kept) in list(self._logins.items()):
                if kept is not None and held.taken_at + held.length < claim.taken_at:
                    self._logins.pop(each, None)
        return self._logins.setdefault(name, (secrets.token_hex(16), claim, login))[:2]

    def let_go(self, name: str, version: str | None = None) -> Mapping[str, str] | None:
        with self._alone():
            if version not in (None, self._logins.get(name, (version,))[0]):
                raise StoreConflict("Somebody else is logging in by now")
            return self._logins.pop(name, (None, None, None))[2]

    @property
    def policies(self) -> Policies:
        """See `Store.policies`; those of this process."""
        return self._policies

    def set_policies(self, policies: Policies) -> None:
        """See `Store.set_policies`; in this process."""
        expect_none_with("idle", policies, f"{self.describe()} does not note use")
        expect_none_with("at_most_per_user", policies, f"{self.describe()} finds one, not several")
        self._policies = policies

    def note(self, name: str) -> tuple[str, Mapping[str, str]] | None:
        """See `Store.note`; in this process."""
        return self._notes.get(name)

    def put_note(
        self,
        name: str,
        facts: Mapping[str, str],
        *,
        replaces: str | None,
        until: float | None = None,
    ) -> str:
        del until
        with self._alone():
            if self._notes.get(name, (None,))[0] != replaces:
                raise StoreConflict("Somebody else has noted it")
            self._notes[name] = secrets.token_hex(16), dict(facts)
            return self._notes[name][0]

    def drop_note(self, name: str, version: str) -> bool:
        with self._alone():
            if self._notes.get(name, (None,))[0] != version:
                return False
            del self._notes[name]
            return True

    def close(self) -> None:
        """See `TokenStore.close`; what is known of renewals is forgotten."""
        self._renewals.clear()
        self._logins.clear()
        self._store.close()

    def renew_locks(self) -> None:
        """Start with new locks in a child process; claims of the parent stay known."""
        self._writing = threading.Lock()
        self._writer: int | None = None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._writer == threading.get_ident():
            raise reentered()
        with self._writing:
            self._writer = threading.get_ident()
            try:
                yield
            finally:
                self._writer = None

    def _not_kept(self, token: Token) -> StoreError:
        return StoreError(
            f"{type(self._store).__name__} did not keep the tokens and status that it was given",
            token_id=token.id,
            user=token.user,
            hint="Its save_token has to store them and return them as stored: test it with "
            "tokenkeep.testing.StoreContract",
        )

    def _seen(self, token: Token | None) -> Token | None:
        return None if token is None else self._versioned(token)

    def _versioned(self, token: Token) -> Token:
        """Return the token with its renewal state, and a version made of what is in it."""
        if self._swaps:
            return token
        login, renewal = self._renewals.get(str(token.id), (None, token.renewal))
        if login != _login(token):  # it begins anew, but for what is still to be revoked
            notice = renewal.notice
            if notice is not None and token.status is Status.OK:
                notice = recovered(notice, max(notice.at, token.updated_at or 0.0))
            renewal = token.renewal.but(to_revoke=renewal.to_revoke, notice=notice)
        content = (token.pair, token.expires_at, token.status, token.user, renewal)
        version = digest_of(f"{content}{renewal.to_revoke}")
        return token.but(renewal=renewal, version=version)


def _login(token: Token) -> str:
    return digest_of(repr((token.refresh_token, token.grant_token)))
