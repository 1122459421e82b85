"""Vault: the six methods over sealed records in one backend, with the cache."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from tokenkeep import folders, forks, saving
from tokenkeep.cache import Cache, Entry
from tokenkeep.clock import Clock
from tokenkeep.errors import StoreConflict, StoreUnavailable
from tokenkeep.folder_journal import FolderJournal
from tokenkeep.journal import MemoryJournal
from tokenkeep.lookup import SECRETS, Lookup, digest_of
from tokenkeep.providers import Providers
from tokenkeep.rows import TRIES, Rows
from tokenkeep.sealing import key_missing
from tokenkeep.store import TokenStore
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.backends.base import Backend
    from tokenkeep.journal import Journal
    from tokenkeep.sealing import KeyRing
    from tokenkeep.token import Claim


_UNSEEN = object()
"""A revision that no store has: what was written here may have been written over."""


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
        forks.renew_in_child(self._cache)
        first = backend.scan(None, 1)
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
        if token.moved_to:
            return self._read(token.moved_to)
        return None if token.status is Status.PENDING else token

    def save_token(self, token: Token) -> Token:
        """See `TokenStore.save_token`."""
        token = saving.cleaned(self._locate(token))
        login = secrets.token_hex(16)
        for attempt in range(TRIES):
            try:
                saved = None if attempt else self._saved_unread(token, login)
                if saved is not None:
                    return saved
                stored = self._matching(token)
                if stored is not None and stored.renewal.login == login:
                    return stored  # an earlier try was committed, although it failed
                return self._saved(stored, token, login)
            except StoreConflict:
                continue
            except StoreUnavailable:
                committed = self._committed(token, login)
                if committed is None:
                    raise
                return committed
        raise StoreUnavailable(
            f"Others kept writing this token; gave up after {TRIES} tries",
            token_id=token.id,
            user=token.user,
            hint="Try again",
        )

    def swap(self, token: Token) -> Token:
        """See `TokenStore.swap`."""
        return self._noted(self._rows.swap(token))

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
        identities = self._rows.identities(self._locate(token).but(user=None))
        rows = self._rows.taken(identities[:1])
        return next((row for row in rows if row.status is Status.PENDING), None)

    def delete_token(self, token_id: str, *, replaces: str | None = None) -> None:
        """
        Delete a token. Silent if there is none with this id.

        Args:
            token_id: Which one.
            replaces: Delete only this version. None deletes any.

        Raises:
            StoreConflict: Another version than *replaces* is stored.
        """
        if replaces is None:
            self._rows.delete_all_of(token_id)
        else:
            self._rows.delete(token_id, replaces=replaces)

    def get_tokens(self) -> list[Token]:
        """See `TokenStore.get_tokens`."""
        return list(self.iter_tokens())

    def mints(self, token: Token) -> tuple[float, ...]:
        """See `TokenStore.mints`."""
        if not token.refresh_token:
            return token.renewal.mints
        rows = self._rows.having(Lookup("refresh", token.refresh_token))
        return tuple(sorted({at for row in rows for at in row.renewal.mints}))

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

    def _matching(self, token: Token) -> Token | None:
        """Return the row that a save updates, pending ones too, read past the cache."""
        if token.id:
            row = self.reread(token.id) or self._rows.read(token.id)
            if row is not None and saving.same_thing(row, token):
                return row  # an id goes first: the rest need not be read
        rows = []
        if token.user:
            rows += self._rows.having(Lookup("user", token.user))
        for field, name in SECRETS.items():
            if getattr(token, name):
                rows += self._rows.having(Lookup(field, getattr(token, name)))
        if self.backend.finds_late:
            rows += self._rows.taken(self._rows.identities(token))
        return saving.match(token, rows) or self._holding(token)

    def _holding(self, token: Token) -> Token | None:
        """Return the row that has the identity a save would take, or was reserved for it."""
        identities = self._rows.identities(token)
        for row in self._rows.taken(identities):
            if not saving.same_thing(row.but(status=Status.OK), token):
                continue
            if row.status is Status.PENDING:
                return row
            if row.identity == identities[0]:
                # What the pointer led to is gone, or another's: the row is free.
                moved = row.status is Status.MOVED
                return row.but(status=Status.PENDING, moved_to=None) if moved else row
        return None

    def _saved_unread(self, token: Token, login: str) -> Token | None:
        """
        Write a save over the row as it was seen last, which spares reading it.

        What was seen may be out of date: then its version is, and nothing is written.

        Returns:
            None if the row has to be read after all.

        Raises:
            StoreConflict: Likewise.
        """
        last = self._cache.last(("id", token.id)) if token.id else None
        if last is None or last.id != token.id or not saving.same_thing(last, token):
            return None
        wanted = saving.merged(last, token, login=login, now=self._clock.now())
        if wanted is last or last.user != wanted.user:
            return None
        return self._noted(self._rows.swap(wanted))

    def _noted(self, written: Token) -> Token:
        """Keep what was just written for the next save; no reader is given it unasked."""
        if written.status not in (Status.PENDING, Status.MOVED):
            self._cache.put(("id", written.id), Entry(written, _UNSEEN, 0.0))
        return written

    def _saved(self, stored: Token | None, token: Token, login: str) -> Token:
        """Write a save; a row without a name that learns its user becomes that user's."""
        now = self._clock.now()
        if stored is None:
            return self._rows.insert(saving.first(token, login=login, now=now))
        wanted = saving.merged(stored, token, login=login, now=now)
        if wanted is stored:
            return stored
        if stored.user or not wanted.user:
            return self._noted(self._rows.swap(wanted))
        identity = self._rows.identities(wanted)[0]
        try:
            if self._rows.may_become(stored, identity):
                return self._rows.swap(wanted.but(identity=identity))
            # Its claim too: a renewal that is under way goes on in the user's row.
            owner = self._rows.insert(saving.inherited(wanted, stored))
        except StoreConflict:
            owners = self._rows.taken([identity])
            if not owners or owners[0].id == stored.id:
                raise
            owner = owners[0]
        return self._joined(stored, wanted, owner, login)

    def _joined(self, nameless: Token, wanted: Token, owner: Token, login: str) -> Token:
        """
        Write what a nameless row has become into its user's row, and point from one to the other.

        Whoever writes the nameless row in between is merged too: a renewal may
        have put the only living refresh token there.
        """
        lent: Claim | None = None
        for _ in range(TRIES):
            now = self._clock.now()
            merged = saving.merged(owner, wanted.but(id=None), login=login, now=now)
            if lent is not None and merged.renewal.claim == lent:
                merged = merged.with_renewal(claim=None)  # its holder may be done by now
            merged = saving.inherited(merged, nameless)
            lent = nameless.renewal.claim
            if merged != owner:
                owner = self._rows.swap(merged)
            try:
                self._rows.point(nameless, owner, now)
            except StoreConflict:
                again = self._rows.read(str(nameless.id))
                if again is None or again.id != nameless.id or again.user:
                    return owner  # gone, or somebody's own by now
                current = self._rows.read(str(owner.id))
                if current is None or current.status is not Status.OK:
                    return current or again  # deleted or revoked meanwhile: that stands
                if again.pair != nameless.pair:
                    wanted = again.but(user=wanted.user)
                nameless, owner = again, current
            else:
                return owner
        raise StoreConflict("Others kept writing this token", token_id=owner.id, user=owner.user)

    def _committed(self, token: Token, login: str) -> Token | None:
        """Return the row that a write of unknown outcome made after all."""
        try:
            stored = self._matching(token)
        except StoreUnavailable:
            return None
        return stored if stored is not None and stored.renewal.login == login else None


def _journal_of(backend: Backend, ring: KeyRing) -> Journal:
    if backend.home is not None:
        return FolderJournal(backend.home.with_name(f"{backend.home.name}.journal"), ring)
    if backend.embedded:
        return MemoryJournal()
    # Each store its own: one must not judge the answers of another's tokens.
    store = digest_of(backend.describe())[:16]
    return FolderJournal(folders.state() / "journal" / store, ring)
