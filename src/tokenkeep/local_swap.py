"""LocalSwap: compare and write in one process, for a store that only saves."""

from __future__ import annotations

from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from tokenkeep import forks
from tokenkeep.errors import StoreConflict, StoreError
from tokenkeep.lookup import digest_of
from tokenkeep.store import TokenStore
from tokenkeep.token import Renewal, Status, Token

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST = 10_000
"""How many tokens' states are kept before those that no decision needs are forgotten."""

_LONG_AGO = 86_400.0
"""Longer than any budget's window or cool-down, in seconds."""


class _Made:
    """The `LocalSwap` of each store that has one."""

    def __init__(self) -> None:
        self._of: WeakValueDictionary[int, LocalSwap] = WeakValueDictionary()
        self.renew_locks()
        forks.renew_in_child(self)

    def of(self, store: TokenStore) -> LocalSwap:
        """Return the one of a store, made if there is none."""
        with self._lock:
            made = self._of.get(id(store))
            if made is None:
                # A signal handler may have made one within the constructor.
                made = self._of.setdefault(id(store), LocalSwap(store))
            return made

    def renew_locks(self) -> None:
        """Start with a new lock in a child process; it is re-entrant for signal handlers."""
        self._lock = RLock()


class _Swap:
    """A compare and save under way, and what a signal handler wrote meanwhile, by id."""

    def __init__(self, token_id: str) -> None:
        self.token_id = token_id
        self.meanwhile: dict[str, Token | None] = {}


class LocalSwap(TokenStore):
    """
    Give a six-method store a `swap`.

    The state of renewals (claims, mint times, failures) is kept in this
    process, so a token is renewed once in each process, not once among all.
    Writes are made one after the other.

    Args:
        store: The store to wrap.
    """

    def __init__(self, store: TokenStore) -> None:
        self._store = store
        # Re-entrant: a signal handler may revoke in the midst of a revoke.
        self._lock = RLock()
        self._renewals: dict[str, Renewal] = {}
        self._logins: dict[str, str] = {}
        self._nameless: dict[str, str] = {}
        self._moved: dict[str, str] = {}
        self._swaps: list[_Swap] = []
        self._most = _MOST
        forks.renew_in_child(self)

    @staticmethod
    def of(store: TokenStore) -> LocalSwap:
        """Return the one of this store: two keepers on one store must not renew twice."""
        return _made.of(store)

    def __repr__(self) -> str:
        return f"<LocalSwap {self._store!r}>"

    def find_token(self, token: Token) -> Token | None:
        """See `TokenStore.find_token`."""
        return self._seen(self._store.find_token(token))

    def find_token_by_id(self, token_id: str) -> Token | None:
        """See `TokenStore.find_token_by_id`."""
        found = self._store.find_token_by_id(token_id)
        if found is None and token_id in self._moved:
            # Joined with its user's row while it was being renewed.
            found = self._store.find_token_by_id(self._moved[token_id])
        return self._seen(found)

    def save_token(self, token: Token) -> Token:
        """See `TokenStore.save_token`."""
        # Around the store's call too: what a swap compares must not change until it has saved.
        with self._lock:
            saved = self._store.save_token(token)
            self._go_on_or_begin(saved)
            self._tell(saved.id, saved)
            return self._versioned(saved)

    def delete_token(self, token_id: str, *, replaces: str | None = None) -> None:
        """As `Vault.delete_token`; versions are as this process knows them."""
        with self._lock:
            stored = None if replaces is None else self.find_token_by_id(token_id)
            if stored is not None and stored.version != replaces:
                raise _changed_meanwhile(stored)
            # The row that its id leads to, if it was joined with its user's: first,
            # and known until it is gone, so that it can be tried again.
            for row_id in dict.fromkeys((self._moved.get(token_id, token_id), token_id)):
                self._store.delete_token(row_id)
                self._drop(row_id)
                self._tell(row_id, None)
            self._moved.pop(token_id, None)

    def delete_tokens(self) -> None:
        """See `TokenStore.delete_tokens`."""
        with self._lock:
            self._store.delete_tokens()
            for known in (self._renewals, self._logins, self._nameless, self._moved):
                known.clear()
            self._tell(None, None)

    def get_tokens(self) -> list[Token]:
        """See `TokenStore.get_tokens`."""
        return list(self.iter_tokens())

    def iter_tokens(self) -> Iterator[Token]:
        """See `TokenStore.iter_tokens`."""
        return (self._versioned(token) for token in self._store.iter_tokens())

    def swap(self, token: Token) -> Token:
        """
        See `TokenStore.swap`.

        Raises:
            StoreError: The store did not keep what it was given.
        """
        with self._lock:
            swap = _Swap(str(token.id))
            self._swaps.append(swap)
            try:
                written = self._compared_and_saved(token, swap)
            finally:
                self._swaps = [each for each in self._swaps if each is not swap]
            self._keep(written, token.renewal)
            if len(self._renewals) > self._most:
                self._forget(_latest(token.renewal))
            self._tell(token.id, written)
            return self._versioned(written)

    def close(self) -> None:
        """See `TokenStore.close`."""
        self._store.close()

    def renew_locks(self) -> None:
        """Start with a new lock in a child process; claims of the parent stay known."""
        self._lock = RLock()
        self._swaps = []

    def _compared_and_saved(self, token: Token, swap: _Swap) -> Token:
        stored = self._seen(self._store.find_token_by_id(swap.token_id))
        if stored is None or stored.version != token.version or swap.token_id in swap.meanwhile:
            raise _changed_meanwhile(token)
        if replace(token, renewal=stored.renewal) == stored:
            return stored
        saved = self._store.save_token(token)
        self._put_back(token, saved, swap)
        if str(saved.id) != swap.token_id:
            raise _changed_meanwhile(token)
        self._require_kept(token, saved)
        return saved

    def _keep(self, token: Token, renewal: Renewal) -> None:
        """Keep the state of a token's renewals, and which login it is about."""
        token_id, login = str(token.id), _login(token)
        self._renewals[token_id], self._logins[token_id] = renewal, login
        if token.user is None and (token.refresh_token or token.grant_token):
            self._nameless[login] = token_id

    def _drop(self, token_id: str) -> Renewal | None:
        login = self._logins.pop(token_id, "")
        if self._nameless.get(login) == token_id:
            self._nameless.pop(login, None)
        return self._renewals.pop(token_id, None)

    def _go_on_or_begin(self, saved: Token) -> None:
        """Let a new login start anew; what the provider has to revoke of the last one stays."""
        before = self._nameless.get(_login(saved), saved.id)
        if before != saved.id and self._store.find_token_by_id(str(before)) is None:
            # A row without a name has become its user's: a renewal goes on there.
            self._moved[str(before)] = str(saved.id)
            self._keep(saved, self._drop(str(before)) or saved.renewal)
            return
        known = self._renewals.get(str(saved.id))
        if known is None or self._logins.get(str(saved.id)) == _login(saved):
            return
        if known.to_revoke:
            self._keep(saved, saved.renewal.but(to_revoke=known.to_revoke))
        else:
            self._drop(str(saved.id))

    def _tell(self, token_id: str | None, token: Token | None) -> None:
        """
        Tell the swaps that a signal handler has interrupted what it wrote.

        Args:
            token_id: Which token. None means all of them.
            token: As it is stored now. None if it was deleted.
        """
        for swap in self._swaps:
            if token_id is None:
                swap.meanwhile = {swap.token_id: None}
            else:
                swap.meanwhile[str(token_id)] = token

    def _forget(self, now: float) -> None:
        """Forget what can't make anybody ask a provider again, nor leave a revocation undone."""
        # A copy: a signal handler may write in the midst of this.
        for token_id, renewal in list(self._renewals.items()):
            # Renewed, and the provider does not say for how long: it would be asked anew.
            is_endless = renewal.renewed_at is not None and renewal.lifetime is None
            is_recent = _latest(renewal) > now - _LONG_AGO
            if not (renewal.to_revoke or is_endless or is_recent):
                self._drop(token_id)
        # Not with every write, if many of them are needed.
        self._most = max(_MOST, 2 * len(self._renewals))

    def _put_back(self, token: Token, saved: Token, swap: _Swap) -> None:
        """
        Write again what a signal handler wrote while the store was saving, over what was saved.

        Raises:
            StoreConflict: There was something.
        """
        row = next((row for row in (str(saved.id), swap.token_id) if row in swap.meanwhile), None)
        if row is None:
            return
        theirs = swap.meanwhile[row]
        if theirs is None:
            self._store.delete_token(str(saved.id))
        elif self._store.save_token(theirs).status is not theirs.status:
            # A login while its token was being revoked: no save lifts that any more,
            # so the provider has to be told of its refresh token as well.
            fresh = [("refresh_token", theirs.refresh_token)] if theirs.refresh_token else []
            to_revoke = (*token.renewal.to_revoke, *fresh)
            self._keep(theirs.but(id=row), token.renewal.but(to_revoke=to_revoke))
        raise _changed_meanwhile(token)

    def _require_kept(self, token: Token, saved: Token) -> None:
        """
        Look whether the store kept what matters.

        Raises:
            StoreConflict: The token was revoked by another process.
            StoreError: The store drops what it is given.
        """
        if token.status is Status.OK:
            if saved.status is not Status.OK:
                raise StoreConflict(
                    "This token was revoked meanwhile", token_id=token.id, user=token.user
                )
            for name in ("access_token", "refresh_token"):
                if getattr(token, name) not in (None, getattr(saved, name)):
                    raise self._not_kept(token, name)
            return
        # A store may well answer with what it was given and not have written it.
        kept = self._store.find_token_by_id(str(token.id))
        alive = kept is not None and (kept.status, kept.refresh_token)
        if saved.status is Status.OK or alive == (Status.OK, token.refresh_token):
            raise self._not_kept(token, "status")
        if saved.status is not token.status:
            raise _changed_meanwhile(token)

    def _not_kept(self, token: Token, name: str) -> StoreError:
        what = f"status '{token.status.value}'" if name == "status" else name
        return StoreError(
            f"{type(self._store).__name__} did not keep the {what} that it was given",
            token_id=token.id,
            user=token.user,
            hint=f"Its save_token has to store Token.{name} and return it as stored: "
            "test it with tokenkeep.testing.StoreContract",
        )

    def _seen(self, token: Token | None) -> Token | None:
        return None if token is None else self._versioned(token)

    def _versioned(self, token: Token) -> Token:
        """Return the token with its renewal state, and a version made of what is in it."""
        known = self._renewals.get(str(token.id))
        if known is not None:
            token = replace(token, renewal=known)
        content = repr((token.pair, token.expires_at, token.status, token.user, token.renewal))
        return replace(token, version=digest_of(content + str(token.renewal.to_revoke)))


def _changed_meanwhile(token: Token) -> StoreConflict:
    return StoreConflict("This token was changed meanwhile", token_id=token.id, user=token.user)


def _login(token: Token) -> str:
    """Return what differs between two logins of a user, digested."""
    return digest_of(repr((token.refresh_token, token.grant_token)))


def _latest(renewal: Renewal) -> float:
    """Return when something happened to a token last, in epoch seconds. 0 if nothing did."""
    claim, failure = renewal.claim, renewal.failure
    return max(
        claim.taken_at if claim else 0.0,
        failure.at if failure else 0.0,
        renewal.renewed_at or 0.0,
        *renewal.mints[-1:],
    )


_made = _Made()
