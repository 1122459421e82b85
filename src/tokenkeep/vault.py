"""Vault: the six methods over sealed records in one backend, with the cache."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from tokenkeep import folders, forks, records, saving
from tokenkeep.cache import Cache, Entry
from tokenkeep.clock import Clock
from tokenkeep.errors import StoreConflict, StoreTampered, StoreUnavailable
from tokenkeep.journal import FolderJournal, MemoryJournal
from tokenkeep.lookup import SECRETS, Lookup, credentials, identity
from tokenkeep.providers import Providers
from tokenkeep.sealing import key_missing
from tokenkeep.store import TokenStore
from tokenkeep.token import Renewal, Status, Token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.backends.base import Backend, Record
    from tokenkeep.journal import Journal
    from tokenkeep.sealing import KeyRing
    from tokenkeep.token import Claim

_TRIES = 100
"""How often a save starts over when others keep writing the same token."""

_PAGE = 500
"""Records read at once where all are read."""


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
        self.providers = providers or Providers()
        self.journal = journal or _journal_of(backend, ring)
        self._locate = self.providers.locate
        self._clock = clock or Clock()
        self._cache = Cache(cache_size, max_staleness)
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
        # The provider is needed to locate the token, but asked for only if named.
        for question in Lookup.of(self._locate(token).but(provider=token.provider)):
            found = self._answer(question)
            if found is not None:
                return found
        return None

    def find_token_by_id(self, token_id: str) -> Token | None:
        """See `TokenStore.find_token_by_id`."""
        revision = self.backend.revision()
        now = self._clock.monotonic()
        key = ("id", token_id)
        cached = self._cache.get(key, revision, now)
        if cached is not None:
            return cached
        record = self.backend.read(token_id)
        token = self._followed(record)
        if token is not None:
            self._cache.put(key, Entry(token, revision, now))
        return token

    def reread(self, token_id: str) -> Token | None:
        """See `TokenStore.reread`."""
        return self._followed(self.backend.read(token_id))

    def save_token(self, token: Token) -> Token:
        """See `TokenStore.save_token`."""
        token = saving.cleaned(self._locate(token))
        login = secrets.token_hex(16)
        for _ in range(_TRIES):
            stored = self._matching(token)
            if stored is not None and stored.renewal.login == login:
                return stored  # an earlier try was committed, although it failed
            if stored is None:
                wanted = saving.first(token, login=login, now=self._clock.now())
            else:
                wanted = saving.merged(stored, token, login=login, now=self._clock.now())
                if wanted == stored:
                    return stored
            try:
                return self._insert(wanted) if stored is None else self._update(stored, wanted)
            except StoreConflict:
                continue
            except StoreUnavailable:
                committed = self._committed(token, login)
                if committed is None:
                    raise
                return committed
        raise StoreUnavailable(
            f"Others kept writing this token; gave up after {_TRIES} tries",
            token_id=token.id,
            user=token.user,
            hint="Try again",
        )

    def swap(self, token: Token) -> Token:
        """See `TokenStore.swap`."""
        written = token.but(version=_fresh_id())
        self.backend.write(records.seal(written, self.ring), replaces=token.version)
        return written

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
        located = self._locate(token)
        now = self._clock.now()
        pending = Token(
            id=_fresh_id(),
            version=_fresh_id(),
            identity=self._identities(located.but(user=None))[0],
            provider=located.provider,
            status=Status.PENDING,
            created_at=now,
            updated_at=now,
            renewal=Renewal(claim=claim),
        )
        self.backend.write(records.seal(pending, self.ring), replaces=None)
        return pending

    def delete_token(self, token_id: str, *, replaces: str | None = None) -> None:
        """
        Delete a token. Silent if there is none with this id.

        Args:
            token_id: Which one.
            replaces: Delete only this version. None deletes any.

        Raises:
            StoreConflict: Another version than *replaces* is stored.
        """
        self.backend.delete(token_id, replaces=replaces)

    def get_tokens(self) -> list[Token]:
        """See `TokenStore.get_tokens`."""
        return list(self.iter_tokens())

    def iter_tokens(self) -> Iterator[Token]:
        """Yield all tokens in the order of their ids, a page in memory at a time."""
        return (t for t in self.iter_rows() if t.status not in (Status.PENDING, Status.MOVED))

    def iter_rows(self) -> Iterator[Token]:
        """Yield all rows, the ones that are never handed out too, for cleaning up."""
        after = None
        while page := self.backend.scan(after, _PAGE):
            for record in page:
                yield records.unseal(record, self.ring)
            after = page[-1].id

    def delete_tokens(self) -> None:
        """See `TokenStore.delete_tokens`."""
        self.backend.clear()

    def touch(self, token_id: str, last_used_at: float) -> None:
        """Note when a token was last handed out, in epoch seconds."""
        self.backend.touch(token_id, last_used_at)

    def find_by_identity(self, token: Token) -> Token | None:
        """Return the row, of whatever status, that *token* would take. None if it is free."""
        rows = self.backend.find("identity", self._identities(self._locate(token))[:1])
        return records.unseal(rows[0], self.ring) if rows else None

    def close(self) -> None:
        """Let go of connections, files and unsealed tokens."""
        self._cache.clear()
        self.backend.close()

    def _answer(self, question: Lookup) -> Token | None:
        revision = self.backend.revision()
        now = self._clock.monotonic()
        cached = self._cache.get(question, revision, now)
        if cached is not None:
            return cached
        found = question.choose(self._rows(question.field, question.value))
        if found is not None:
            self._cache.put(question, Entry(found, revision, now))
        return found

    def _rows(self, field: str, value: str) -> list[Token]:
        """Return the stored tokens with this value, each checked to have it under its seal."""
        values = self.ring.digests(field, value) if field in SECRETS else (value,)
        tokens = [records.unseal(r, self.ring) for r in self.backend.find(field, values)]
        for token in tokens:
            if not Lookup(field, value).matches(token):
                raise StoreTampered(
                    f"The {field} of a stored record is not the one under its seal",
                    token_id=token.id,
                    user=token.user,
                    hint="The row was changed outside tokenkeep; "
                    "restore it from a backup, or delete it and log in again",
                )
        return tokens

    def _followed(self, record: Record | None) -> Token | None:
        """Open a record, or the one it points to. None if it is not to be seen."""
        if record is None:
            return None
        last = self._cache.last(("id", record.id))
        if last is not None and last.version == record.version:
            return last
        token = records.unseal(record, self.ring)
        if token.status is Status.MOVED and token.moved_to:
            target = self.backend.read(token.moved_to)
            token = records.unseal(target, self.ring) if target else token
        return None if token.status in (Status.PENDING, Status.MOVED) else token

    def _matching(self, token: Token) -> Token | None:
        """Return the row that a save updates, pending ones too, read past the cache."""
        rows = []
        if token.id:
            rows += self._row(token.id)
            token = token.but(id=rows[0].id) if rows else token
        if token.user:
            rows += self._rows("user", token.user)
        for field, name in SECRETS.items():
            value = getattr(token, name)
            if value:
                rows += self._rows(field, value)
        found = saving.match(token, rows)
        if found is None:
            taken = self.backend.find("identity", self._identities(token))
            found = records.unseal(taken[0], self.ring) if taken else None
        return found

    def _row(self, token_id: str) -> list[Token]:
        """Return the row with this id, or the one it points to, of whatever status."""
        record = self.backend.read(token_id)
        if record is None:
            return []
        row = records.unseal(record, self.ring)
        return self._row(row.moved_to) if row.moved_to else [row]

    def _insert(self, token: Token) -> Token:
        made = token.but(id=_fresh_id(), version=_fresh_id(), identity=self._identities(token)[0])
        self.backend.write(records.seal(made, self.ring), replaces=None)
        return made

    def _update(self, stored: Token, wanted: Token) -> Token:
        """Write an update; a row without a name that learns its user becomes that user's."""
        if stored.user or not wanted.user:
            return self.swap(wanted)
        named = wanted.but(identity=self._identities(wanted)[0])
        try:
            return self.swap(named)
        except StoreConflict:
            owner = self.find_by_identity(named)
            if owner is None or owner.id == stored.id:
                raise
        login = named.renewal.login or ""
        merged = saving.merged(owner, named.but(id=None), login=login, now=self._clock.now())
        written = self.swap(merged) if merged != owner else owner
        self._point(stored, written)
        return written

    def _point(self, nameless: Token, owner: Token) -> None:
        """
        Turn a row without a name into a pointer to its user's row.

        The user's row has everything by now; the pointer keeps the nameless
        row's id working in processes that know it.
        """
        pointer = Token(
            identity=nameless.identity,
            provider=nameless.provider,
            status=Status.MOVED,
            moved_to=owner.id,
            created_at=nameless.created_at,
            updated_at=self._clock.now(),
        )
        for _ in range(_TRIES):
            record = self.backend.read(str(nameless.id))
            if record is None:
                return
            try:
                self.swap(pointer.but(id=record.id, version=record.version))
            except StoreConflict:
                continue
            return

    def _committed(self, token: Token, login: str) -> Token | None:
        """Return the row that a write of unknown outcome made after all."""
        try:
            stored = self._matching(token)
        except StoreUnavailable:
            return None
        return stored if stored is not None and stored.renewal.login == login else None

    def _identities(self, token: Token) -> list[str]:
        """Return the identity of a token, and those its row had before its user was known."""
        nameless = token.but(user=None)
        found = [
            identity(nameless, self.ring.digest(field, value))
            for field, value in credentials(token)
        ]
        return [identity(token, None), *found] if token.user else found


def _fresh_id() -> str:
    return secrets.token_hex(16)


def _journal_of(backend: Backend, ring: KeyRing) -> Journal:
    if backend.home is not None:
        return FolderJournal(backend.home.with_name(f"{backend.home.name}.journal"), ring)
    if backend.embedded:
        return MemoryJournal()
    return FolderJournal(folders.state() / "journal", ring)
