"""Vault: the six methods over sealed records in one backend, with the cache."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from tokenkeep import deleting, folders, forks, saving
from tokenkeep.cache import Cache, Entry
from tokenkeep.clock import Clock
from tokenkeep.errors import LookupFailed
from tokenkeep.folder_journal import FolderJournal
from tokenkeep.journal import MemoryJournal
from tokenkeep.lookup import Lookup, digest_of
from tokenkeep.providers import Providers
from tokenkeep.rows import Rows
from tokenkeep.saver import Saver
from tokenkeep.sealing import key_missing
from tokenkeep.store import TokenStore
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokenkeep.backends.base import Backend
    from tokenkeep.journal import Journal
    from tokenkeep.sealing import KeyRing
    from tokenkeep.token import Claim


class Vault(TokenStore):
    """
    Keep tokens sealed, in any backend.

    Thread-safe, and usable in a child process after a fork.

    Args:
        backend: Where the sealed records are.
        ring: The keys.
        providers: They know where a token is valid. None means those that
            come with tokenkeep, Zoho for tokens that don't say.
        journal: Where answers are kept until they are saved. None means
            beside an embedded store, else in the user's state folder.
        max_staleness: How long a token is handed out without asking the
            store, in seconds; only for backends without ``revision()``.
        cache_size: How many unsealed tokens are kept in memory.
        clock: The time. None means the operating system's.

    Raises:
        KeyMissing: What is stored was sealed under a key that is not in the ring.
    """

    def __init__(
        self,
        backend: Backend,
        ring: KeyRing,
        *,
        providers: Providers | None = None,
        journal: Journal | None = None,
        max_staleness: float = 1.0,
        cache_size: int = 10_000,
        clock: Clock | None = None,
    ) -> None:
        self.backend = backend
        self.ring = ring
        self.providers: Providers = providers or Providers()
        self.journal: Journal = journal or _journal_of(backend, ring)
        self._locate = self.providers.locate
        self._clock = clock or Clock()
        self._cache = Cache(cache_size, max_staleness)
        self._rows = Rows(backend, ring, wrote=self._cache.wrote)
        self._saver = Saver(self._rows, self._cache, self._clock, reread=self.reread)
        forks.renew_in_child(self._cache)
        first = backend.scan(None, 1)
        if not backend.embedded:
            backend.store_id()  # while it can be asked: an outage must not hide the journal
        if first and first[0].key_id not in ring.key_ids:
            raise key_missing([first[0].key_id], ring.key_ids)

    def __repr__(self) -> str:
        return f"<Vault {self.backend.describe()}>"

    def find_token(self, token: Token) -> Token | None:
        """See `TokenStore.find_token`."""
        if token.id:
            return self.find_token_by_id(token.id)
        located = self._locate(token)
        # The provider is needed to locate the token, but asked for only if named.
        questions = Lookup.of(located.but(provider=token.provider))
        for question in questions:
            found = self._answer(question)
            if found is not None:
                return found
        return self._named(located, questions) if self.backend.finds_late else None

    def find_token_by_id(self, token_id: str) -> Token | None:
        """See `TokenStore.find_token_by_id`."""
        if not isinstance(token_id, str):
            raise LookupFailed("An id is text", hint="Give the one that the store gave")
        revision = self.backend.revision()
        mark = self._cache.mark
        now = self._clock.monotonic()
        key = ("id", token_id)
        cached = self._cache.get(key, revision, now)
        if cached is not None:
            return cached
        token = self._read(token_id)
        if token is not None:
            self._cache.put(key, Entry(token, revision, now, mark))
        return token

    def reread(self, token_id: str) -> Token | None:
        """See `TokenStore.reread`."""
        token = self._read(token_id)
        # Who was told of another process's token here must not be handed the
        # one before it by the next lookup.
        self._cache.wrote(token_id if token is None else str(token.id))
        return token

    def _read(self, token_id: str) -> Token | None:
        record = self.backend.read(token_id)
        if record is None:
            return None
        last = self._cache.last(("id", token_id))
        if last is not None and (last.id, last.version) == (record.id, record.version):
            # Spares opening it; when it was last used is outside the version.
            used = record.last_used_at
            return last if last.last_used_at == used else last.but(last_used_at=used)
        token = self._rows.open(record)
        found = self._rows.read(token.moved_to) if token.moved_to else token
        return None if found is None or found.status is Status.PENDING else found

    def save_token(self, token: Token) -> Token:
        """See `TokenStore.save_token`."""
        return self._saver.save(self._locate(saving.cleaned(token)))

    def gather(self, token: Token) -> Token:
        """
        Let rows without a name that hold the same login lead to their user's row.

        Saving does it by itself; this is for rows that came here otherwise.

        Args:
            token: As it is stored.

        Returns:
            The row that the login is in now: revoked if one of them was.

        Raises:
            StoreError: It can't be read or written.
        """
        return self._saver.gathered(token, secrets.token_hex(16))

    def swap(self, token: Token) -> Token:
        """See `TokenStore.swap`."""
        return self._saver.noted(self._rows.swap(token))

    def reserve(self, token: Token, claim: Claim) -> Token:
        """
        Leave a pending row for the first login with a credential.

        The row holds nothing of the credential but what makes it unique.
        `save_token` completes it; `Keeper.sweep` clears up what is left.

        Args:
            token: What is about to log in, with a grant, refresh or access token.
            claim: Who logs in.

        Raises:
            StoreConflict: Somebody else has left one, or has logged in.
        """
        return self._rows.reserve(self._locate(token), claim, self._clock.now())

    def reserved(self, token: Token) -> Token | None:
        """Return the pending row for the first login with a credential. None if there is none."""
        rows = self._rows.taken(self._rows.first_logins(self._locate(token)))
        return next((row for row in rows if row.status is Status.PENDING), None)

    def delete_token(self, token_id: str, *, replaces: str | None = None) -> None:
        """
        Delete a token. Silent if there is none with this id.

        Args:
            token_id: Which one.
            replaces: Delete only this version, be it of the row that the id
                leads to. None deletes any.

        Raises:
            StoreConflict: Another version than *replaces* is stored.
        """
        if replaces is None:
            deleting.delete_all_of(self._rows, token_id)
        else:
            deleting.delete_version_of(self._rows, token_id, replaces)

    def get_tokens(self) -> list[Token]:
        """See `TokenStore.get_tokens`."""
        return list(self.iter_tokens())

    def same_login(self, token: Token) -> list[Token]:
        """See `TokenStore.same_login`."""
        if not token.refresh_token:
            return [token]
        return self._rows.having(Lookup("refresh", token.refresh_token)) or [token]

    def iter_tokens(self) -> Iterator[Token]:
        """Yield all tokens in the order of their ids, a page in memory at a time."""
        return (t for t in self.iter_rows() if t.status not in (Status.PENDING, Status.MOVED))

    def iter_rows(self) -> Iterator[Token]:
        """Yield all rows, the ones that are never handed out too, for cleaning up."""
        return self._rows.all()

    def delete_tokens(self) -> None:
        """See `TokenStore.delete_tokens`."""
        self._cache.clear()
        try:
            self.backend.clear()
        finally:
            self._cache.clear()

    def touch(self, token_id: str, last_used_at: float) -> None:
        """Note when a token was last handed out, in epoch seconds."""
        self.backend.touch(token_id, last_used_at)

    def reseal(self) -> int:
        """
        Seal everything under the newest key, so that older ones can be taken away.

        The journal of this host too. Safe while others use the store, if all
        of them have the newest key.

        Returns:
            How many rows were sealed under an older key.
        """
        self.journal.reseal()
        return self._rows.reseal()

    def close(self) -> None:
        """Let go of connections, files and unsealed tokens."""
        self._cache.clear()
        self.backend.close()

    def _answer(self, question: Lookup) -> Token | None:
        revision = self.backend.revision()
        mark = self._cache.mark
        now = self._clock.monotonic()
        cached = self._cache.get(question, revision, now)
        if cached is not None:
            return cached
        found = question.choose(self._rows.having(question))
        if found is not None:
            self._cache.put(question, Entry(found, revision, now, mark))
        return found

    def _named(self, token: Token, questions: tuple[Lookup, ...]) -> Token | None:
        """Return the row that answers one of the questions and has the token's identity."""
        for row in self._rows.taken(self._rows.identities(token)):
            led = self._rows.read(row.moved_to) if row.moved_to else row
            for question in questions:
                if led is not None and (found := question.choose([led])) is not None:
                    return found
        return None


def whereabouts(backend: Backend) -> str:
    """
    Return what no two stores have in common, and all processes of a host make alike.

    Two servers may be called alike, and a copy of a database has its id.

    Raises:
        StoreUnavailable: The store can't be asked for its id.
    """
    return f"{backend.store_id()} {backend.describe()}"


def _journal_of(backend: Backend, ring: KeyRing) -> Journal:
    if backend.home is not None:
        return FolderJournal(backend.home.with_name(f"{backend.home.name}.journal"), ring)
    if backend.embedded:
        return MemoryJournal()

    def folder() -> Path:
        # Each store its own: one must not judge the answers of another's tokens.
        store = digest_of(whereabouts(backend))[:16]
        return folders.state() / "journal" / store

    return FolderJournal(folder, ring)
