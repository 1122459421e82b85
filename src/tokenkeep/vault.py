"""Vault: the six methods over sealed records in one backend, with the cache."""

from __future__ import annotations

import random
import secrets
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenkeep import due, folders, holder, policy_readers, records, saving
from tokenkeep.audit import LOGGING, Audit, FileAudit, LoggedAudit
from tokenkeep.audit_check import Check
from tokenkeep.cache import Cache
from tokenkeep.clock import Clock
from tokenkeep.errors import (
    KeyMissing,
    LookupFailed,
    StoreConflict,
    StoreTampered,
    StoreTooNew,
    TokenKeepError,
    UnknownName,
    letting_go,
    telling,
)
from tokenkeep.events import logger
from tokenkeep.header import LOOK_EVERY, Header, Ruled
from tokenkeep.journal import FolderJournal, Journal
from tokenkeep.lookup import FIXED, Lookup, digest_of, require_id
from tokenkeep.metrics import Census
from tokenkeep.policy import TAKEN_UP, End, Policies, by_policy, expect_none_with
from tokenkeep.providers import Providers
from tokenkeep.records import Alias, Lease, Note
from tokenkeep.rows import Rows
from tokenkeep.saver import Saver
from tokenkeep.store import Store
from tokenkeep.swapping import attempts
from tokenkeep.token import Status, Token, expect_token, is_ours

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tokenkeep.backends.base import Backend, Record
    from tokenkeep.errors import OnError
    from tokenkeep.policy_readers import PolicyReader
    from tokenkeep.sealing import KeySource
    from tokenkeep.sinks import Notices
    from tokenkeep.token import Claim


_DRAWN_FROM = 8
"""Of so many times as many records as are wanted, some that are due are drawn."""


def _left_out(exc: TokenKeepError) -> None:
    """Say that a list is not complete."""
    logger.error("A stored token is left out of a list: %s", exc)


class Vault(Store):
    """
    Keep tokens sealed, in any backend.

    Thread-safe, and usable in a child process after a fork.

    Args:
        backend: Where the sealed records are.
        ring: Wraps the store's own keys: a `KeyRing`, or another `KeySource`.
        providers: They know where a token is valid. None means those that
            come with tokenkeep, Zoho for tokens that don't say.
        notices: Whom a keeper tells of deaths and outages. None means nobody.
        cache_size: How many unsealed tokens are kept in memory.
        state: Below it is the journal of a server's store. None means
            TOKENKEEP_STATE, else the user's state folder.
        clock: The time. None means the operating system's.
        make: Whether the store is made at once if it is not there. False: with
            the first token, and not by looking.
        audit: The file that tells who did what to its tokens; or "logging". None means
            that nothing does.

    Raises:
        KeyMissing: The store's keys are wrapped under a key that is not in the ring.
        StoreTooNew: A newer tokenkeep made the store.
    """

    def __init__(
        self,
        backend: Backend,
        ring: KeySource,
        *,
        providers: Providers | None = None,
        notices: Notices | None = None,
        cache_size: int = 10_000,
        state: Path | None = None,
        clock: Clock | None = None,
        make: bool = True,
        audit: Path | str | None = None,
    ) -> None:
        self.backend = backend
        self.ring = ring
        self.providers: Providers = providers or Providers()
        self.notices: Notices | None = notices
        self._clock = clock or Clock()
        self._header = Header(backend, ring, self._clock.monotonic)
        self._opened_at = self._clock.monotonic()
        self._tells_at: dict[int, float] = {}
        if make:
            self._header.make()
        self._journal_at: Path | None = None
        self.journal: Journal = self._own_journal(state)
        self._cache = Cache(backend.revision, size=cache_size)
        self._rows = Rows(
            backend,
            self._header,
            self._cache,
            tenant_of=self.providers.tenant,
            due_of=self.due_of,
        )
        self._saver = Saver(self._rows, self.revokes_grant, self._clock)
        self.audit: Audit = self._own_audit(audit)

    def __repr__(self) -> str:
        return f"<Vault {self.backend.describe()}>"

    @property
    def store_id(self) -> str:
        """What tells this store from any other, whatever name it is reached by."""
        return self._header.keys.store_id

    @property
    def is_made(self) -> bool:
        """Whether the store is there."""
        return self._header.is_made

    def describe(self) -> str:
        missing = "" if self.is_made else ", which is not there yet"
        return f"{self.backend.describe()}{missing}"

    def revokes_grant(self, token: Token) -> bool:
        """Tell whether a token's provider ends the user's consent with one refresh token of it."""
        try:
            return self.providers.of(token).profile.revokes_grant
        except UnknownName:
            return True  # nothing is revoked on a guess

    def due_of(self, token: Token) -> float | None:
        """Return when a background job has something to do about a row; see `tokenkeep.due`."""
        profile = self.providers.profile_of(token)
        return due.due_at(token, self._clock.now(), self._header.ruled.policies, profile)

    # Policies

    @property
    def policies(self) -> Policies:
        self._header.look_now_and_then()
        ruled = self._header.ruled
        if ruled.serial and self._clock.monotonic() >= self._tells_at.get(ruled.serial, 0.0):
            self._tell(ruled)
        return ruled.policies

    def _tell(self, ruled: Ruled) -> None:
        """Note, once it has gone on for a minute, which policies this process has."""
        now = self._clock.monotonic()
        if now >= self._opened_at + LOOK_EVERY:
            self._tells_at = {ruled.serial: now + policy_readers.TOLD_EVERY}
            with letting_go():  # a token that can be read is handed out
                policy_readers.tell(self, ruled.policies.version, self._clock.now())

    def policy_readers(self) -> list[PolicyReader]:
        """Return which policies the processes have that use the store for longer."""
        return policy_readers.told(self, self._clock.now())

    @property
    def ruled(self) -> Ruled:
        """The store's policies as they are now, since when and by whom."""
        if self.is_made:
            self._header.look()
        return self._header.ruled

    def expect_possible(self, policies: Policies) -> None:
        """Raise `ConfigurationError` for a policy that this store can't hold to."""
        if not self.backend.notes_use:
            expect_none_with("idle", policies, f"{self.backend.describe()} does not note use")

    def set_policies(self, policies: Policies) -> None:
        self.expect_possible(policies)
        by, at = holder.name(holder.me()), self._clock.now()
        self._header.rule(
            lambda was: replace(was, policies=policies, serial=was.serial + 1, at=at, by=by)
        )
        rules = [rule.name for rule in policies.rules]
        self.audit.note("policy_set", version=policies.version, rules=rules)

    @property
    def is_applied(self) -> bool:
        ruled = self.ruled
        return ruled.applied == ruled.serial

    def beyond(self, row: Token, policies: Policies) -> End | None:
        ends = self._one_too_many(row, policies)
        return next((end for each, end in ends if each.id == row.id), None)

    def _one_too_many(
        self, row: Token, policies: Policies, spared: str | None = None
    ) -> list[tuple[Token, End]]:
        """Return the oldest logins of a row's user that there are more of than may be."""
        limit = policies.limits(row).at_most
        if limit is None or not row.user:
            return []
        theirs = [
            each
            for each in self._saver.having([self._rows.mark("user", row.user)])
            if each.status is Status.OK and policies.limits(each).at_most == limit
        ]
        # Who has just logged in stays, whatever other hosts' clocks say.
        theirs.sort(key=lambda each: (each.id == spared, each.logged_in_at or 0.0, str(each.id)))
        most = int(limit.seconds)
        # Each ends with the login that was one too many for it.
        return [
            (each, End(theirs[at + most].logged_in_at or 0.0, limit.policy, limit.action))
            for at, each in enumerate(theirs[:-most])
        ]

    def _end_too_many(self, row: Token, spared: str | None = None) -> None:
        for each, end in self._one_too_many(row, self._header.ruled.policies, spared):
            by = by_policy(end.policy)
            with suppress(StoreConflict):  # then by the next login, or it was ended anyway
                now = self._clock.now()
                ended = self.swap(saving.died(each, Status.REVOKED, now, by, since=end.at))
                self.audit.note("revoked", ended, policy=end.policy)

    def apply_policies(self, on_error: OnError = None) -> bool:
        ruled, began = self.ruled, self._clock.now()
        if ruled.applied == ruled.serial:
            return False
        for record in self._rows.scan():
            with telling(on_error), suppress(StoreConflict):  # who wrote it did the same
                if record.kind == records.ROW:
                    row = self._rows.open(record)
                    if isinstance(row, Token) and self.due_of(row) != record.due_at:
                        row = self._rows.put(row, replaces=record.version)
                    if isinstance(row, Token):
                        self._end_too_many(row)
        # Others may have written by the old ones until they had looked. If whoever set them had
        # a clock that is ahead, this would never be done.
        if abs(began - (ruled.at or 0.0)) >= TAKEN_UP:
            # What was set since is not applied yet.
            self._header.rule(lambda now: replace(now, applied=max(now.applied, ruled.serial)))
        return True

    # Finding

    def find_token(self, token: Token) -> Token | None:
        expect_token(token)
        if token.provider or token.data_center or token.environment:
            self.providers.expect_known(token)
        if token.id:
            found = self.find_token_by_id(token.id)
            return found if found and all(q.admits(found) for q in Lookup.of(token)) else None
        asked = token
        if token.api_domain:
            # The provider is needed to locate the token, but asked for only if named.
            asked = self.providers.locate(token).but(provider=token.provider)
        for question in Lookup.of(asked):
            found = self._cache.recall(question, partial(self._find, question, token))
            if found is not None:
                return found
        return None

    def find_token_by_id(self, token_id: str) -> Token | None:
        require_id(token_id)
        return self._cache.recall(("id", token_id), partial(self._saver.read, token_id))

    def reread(self, token_id: str) -> Token | None:
        return self._saver.read(token_id)

    def get_tokens(self) -> list[Token]:
        """See `TokenStore.get_tokens`; a row that does not open is left out, and logged."""
        return list(self.iter_tokens(on_error=_left_out))

    def iter_tokens(
        self,
        *,
        user: str | None = None,
        client_id: str | None = None,
        tenant: str | None = None,
        status: Status | None = None,
        after: str | None = None,
        on_error: OnError = None,
    ) -> Iterator[Token]:
        """
        Yield tokens in the order of their ids, a page in memory at a time.

        Args:
            user: Only this user's. None means everybody's; the store reads no others.
            client_id: Only this client's, likewise.
            tenant: Only this organisation's, likewise.
            status: Only those in this state, likewise. Of several conditions the store
                reads by that of which there are the fewest, as a rule.
            after: Start behind this id, which a token may have had that is gone. None
                starts at the first.
            on_error: Called for a row that does not open, instead of raising.
                None raises the first such error once all others were yielded.

        Raises:
            LookupFailed: *after* is no id that a store gives.
        """
        if after is not None and not is_ours(after):
            raise LookupFailed(
                f"{after!r} is no id that a list can go on behind",
                hint="Give the whole id, as tk_ and 32 digits, of the last token before",
            )
        closed: list[TokenKeepError] = []
        asked = [("user", user), ("tenant", tenant), ("client", client_id), ("state", status)]
        if status is not Status.OK:  # few; all others may be of one client
            asked.insert(2, asked.pop())
        marks = [self._rows.mark(field, str(value)) for field, value in asked if value]
        start = None if after is None else records.record_id(after)
        found = self._rows.scan(marks[0] if marks else None, after=start)
        for token in self._open(found, {records.ROW}, on_error or closed.append):
            if not marks or self._rows.its(token, marks).issuperset(marks):
                yield token
        if closed:
            raise closed[0]

    def begin_with(self, prefix: str, most: int, on_error: OnError = None) -> list[Token]:
        """Return at most so many tokens whose ids begin so; *on_error* as for `iter_tokens`."""
        start = records.record_id(prefix)
        # Ids are read in order, so those that begin so come first.
        found = self._rows.scan(after=start, page=most)
        mine = takewhile(lambda record: record.id.startswith(start), found)
        return list(islice(self._open(mine, {records.ROW}, on_error), most))

    # Writing

    def save_token(self, token: Token) -> Token:
        token = saving.cleaned(token, needs_login=self.providers.needs_login)
        if token.data_center or token.environment:
            self.providers.expect_known(token)
        self._header.make()
        login = secrets.token_hex(16)
        saved = self._saver.save(self.providers.locate(token), login)
        if token.status is Status.REVOKED:
            self.audit.note("revoked", saved)
        elif saved.renewal.login == login:
            about = {name: getattr(saved, name) for name in (*FIXED[1:], "scope")}
            self.audit.note("login", saved, **about)
        with letting_go():  # else by the next login: this one is saved
            self._end_too_many(saved, saved.id)
        return saved

    def swap(self, token: Token) -> Token:
        return self._saver.swap(token)

    def make_sole(self, token: Token) -> bool:
        return self._saver.make_sole(token)

    def delete_version(self, token_id: str, version: str | None) -> None:
        deleted = self._delete(token_id, version)
        if deleted is not None:
            self.audit.note("deleted", deleted, status=deleted.status.value)

    def delete_tokens(self) -> None:
        """See `TokenStore.delete_tokens`; what is to be revoked is kept as by `delete_token`."""
        self._cache.clear()
        errors = list[TokenKeepError]()
        due = self.due(records.EVER, errors.append)
        if not any(row.renewal.to_revoke for row in due) and not errors:
            self.audit.recall()
            self.backend.clear()
        else:
            errors.clear()
            for record in self._rows.scan():
                if record.kind == records.ROW:
                    with telling(errors.append):
                        self._delete(records.token_id(record.id), None)
        self.audit.note("deleted_all")
        if errors:
            raise errors[0]

    def touch(self, token_id: str, last_used_at: float) -> None:
        self.backend.touch(self._rows.record_id(token_id), last_used_at)
        if seen := self._cache.last(token_id):  # the next reader is not given the old time
            self._cache.note(seen)

    # Moving

    def look(self, token: Token) -> tuple[Token | None, list[Token]]:
        """Return the row that a token's id leads to, and those that a save of it may touch."""
        return self._saver.look(self.providers.locate(token))

    def look_each(self, tokens: Sequence[Token]) -> list[list[Token] | None]:
        """Return the rows that a save of each may touch, in one trip; None: `look` for it."""
        return self._saver.look_each([self.providers.locate(token) for token in tokens])

    def adopt(self, row: Token) -> Token:
        """
        Store a row of another store as it is: its id, state and history too.

        Raises:
            StoreConflict: Its id is taken, or what it is for has a row.
        """
        self._header.make()
        adopted = self._rows.put(self._placed(row), replaces=None)
        self.audit.note("adopted", adopted)
        return adopted

    def adopt_each(self, rows: Sequence[Token]) -> list[Token | None]:
        """Store rows in one trip; None for each that was not: `adopt` says why."""
        self._header.make()
        adopted = self._rows.insert(map(self._placed, rows))
        if ids := [each.id for each in adopted if each]:
            self.audit.note("adopted", tokens=ids)
        return adopted

    def _placed(self, row: Token) -> Token:
        """Return a row of another store with its id and owner in this one."""
        owner = self._rows.owner(row)
        record_id = self.backend.id_for(owner) or self._rows.record_id(str(row.id))
        return row.but(id=records.token_id(record_id), owner=owner)

    def add_id(self, token_id: str, row: Token) -> None:
        """
        Let another id, of a caller's or another store's, lead to a row as long as that is there.

        Raises:
            StoreConflict: It leads to another row.
        """
        self._saver.make(token_id, row)

    def iter_added_ids(self, on_error: OnError = None) -> Iterator[tuple[str, str]]:
        """Yield the ids that lead to rows of other ids, and the ids of those; as `iter_tokens`."""
        for alias in self._open(self._rows.scan(), {records.ALIAS}, on_error):
            yield alias.name or records.token_id(alias.id), alias.to

    def finish_moves(self, now: float) -> None:
        """Bring logins that were on their way to another row by then, in epoch seconds, there."""
        for alias in self._open(self._rows.due(now), {records.ALIAS}, lambda _: None):
            with suppress(KeyMissing, StoreTampered, StoreTooNew):
                self._saver.finish(alias)

    # Logins under way

    def hold(
        self, name: str, claim: Claim, login: Mapping[str, str] | None = None
    ) -> tuple[str, Claim]:
        self._header.make()
        owner = self._header.keys.digest("login", name)
        for _ in attempts():
            for lease in self._leases(owner):
                return lease.version, lease.claim
            mine = Lease(id=self._rows.new_id(owner), owner=owner, claim=claim, login=login)
            with suppress(StoreConflict):
                return self._rows.put(mine, replaces=None).version, claim
        raise AssertionError  # attempts() has raised

    def let_go(self, name: str, version: str | None = None) -> Mapping[str, str] | None:
        for lease in self._leases(self._header.keys.digest("login", name)):
            if version not in (None, lease.version):
                raise StoreConflict("Somebody else is logging in by now")
            # Whoever deletes it has it: of two that come at once, one.
            with suppress(StoreConflict):
                if self._rows.delete(lease.id, replaces=lease.version):
                    return lease.login
        return None

    def _leases(self, owner: str) -> list[Lease]:
        found = self._rows.find([("owner", owner)], inserts=True)
        return [kept for kept in found if isinstance(kept, Lease)]

    # Notes

    def note(self, name: str) -> tuple[str, Mapping[str, str]] | None:
        found = self._rows.read(self._note_of(name)[0])
        return (found.version, found.facts) if isinstance(found, Note) else None

    def put_note(
        self,
        name: str,
        facts: Mapping[str, str],
        *,
        replaces: str | None,
        until: float | None = None,
    ) -> str:
        self._header.make()
        note_id, owner = self._note_of(name)
        new = Note(id=note_id, owner=owner, facts=facts, until=until)
        return self._rows.put(new, replaces=replaces).version

    def drop_note(self, name: str, version: str) -> bool:
        with suppress(StoreConflict):
            return self._rows.delete(self._note_of(name)[0], replaces=version)
        return False

    def _note_of(self, name: str) -> tuple[str, str]:
        """Return id and owner of a note."""
        owner = self._header.keys.digest("note", name)
        return self.backend.id_for(owner) or owner, owner

    # Tidying up

    def due(self, now: float, on_error: OnError = None) -> Iterator[Token]:
        return self._open(self._rows.due(now), {records.ROW, records.ENDED}, on_error)

    def some_due(self, now: float, most: int, on_error: OnError = None) -> list[Token]:
        found = self.backend.due(now, _DRAWN_FROM * most)
        begins = random.randrange(max(1, len(found) - most + 1))  # noqa: S311  # no secret
        drawn = found[begins : begins + most]
        random.shuffle(drawn)
        return list(self._open(drawn, {records.ROW}, on_error))

    def put_off(self, token: Token, now: float) -> None:
        at = self.due_of(token)
        if not token.ended and (at is None or at > now):
            with suppress(StoreConflict):  # who wrote it did the same
                self._rows.put(token, replaces=token.version)

    def tidy(self, now: float, on_error: OnError = None) -> int:
        gone = 0
        kinds = {records.ALIAS, records.LEASE, records.NOTE}
        for kept in self._open(self._rows.due(now), kinds, on_error):
            with telling(on_error), suppress(StoreConflict):  # somebody else is at it
                if isinstance(kept, Alias):
                    self._saver.finish(kept)
                    continue
                its = "" if isinstance(kept, Note) else kept.claim.holder
                if not its or kept.login or holder.is_dead(its) or not holder.is_here(its):
                    self._rows.delete(kept.id, replaces=kept.version)
                    gone += 1
        return gone

    # Seen from outside

    def census(self, now: float, on_error: OnError = None) -> Census:
        """See `Store.census`; opened is only what is due."""
        words = {self._rows.mark("state", state)[1]: state.value for state in Status}
        tokens = Counter(dict.fromkeys(words.values(), 0))
        beside = Counter(dict.fromkeys(records.BESIDE, 0))
        for record in self._rows.scan():
            if record.kind == records.ROW:
                tokens[words.get(str(record.state), "other")] += 1
            else:
                # A database may give anything for a word.
                beside[record.kind if record.kind in beside else "other"] += 1
        due, first, pending = 0, 0.0, 0
        for record in self._rows.due(now):
            due, first = due + 1, first or record.due_at or 0.0
            for row in self._open([record], {records.ROW, records.ENDED}, on_error):
                pending += len(row.renewal.to_revoke)
        age = now - first if first else None
        return Census(
            tokens=dict(tokens),
            records=dict(beside),
            due=due,
            due_age=age,
            revocations=pending,
        )

    def beat(self, now: float) -> float | None:
        return self._header.beat(now)

    # Keys

    def rotate(self) -> bool:
        """Wrap the store's keys under the newest key of the ring. False: they already were."""
        rotated = self._header.rotate()
        if rotated:
            self.audit.note("key_rotated", key=self._header.wrapped_under)
        return rotated

    def rotate_data(self, *, anew: bool = True, on_error: OnError = None) -> Iterator[bool]:
        """
        Make a new data key and seal everything under it. Others may go on using the store.

        Broken off, it can be gone on with: *anew* says so.

        Args:
            anew: Whether to make a new data key. False seals what is not yet
                sealed under the newest one there is.
            on_error: Called for a record that does not open, instead of raising:
                the others are sealed anew.

        Yields:
            For each record whether it was sealed now.
        """
        newest = self._header.rotate_data() if anew else self._header.keys.newest
        if anew:
            self.audit.note("data_key_rotated", key=newest)
        for record in self._rows.scan():
            done = False
            with telling(on_error):
                done = self._reseal(record.id, newest)
            yield done

    def key_status(self) -> tuple[str, dict[int, int]]:
        """Return the id of the ring key that wraps, and how many records each data key sealed."""
        self._header.look()
        counts = dict.fromkeys(self._header.keys.numbers, 0)
        for record in self._rows.scan():
            counts[record.key] = counts.get(record.key, 0) + 1
        return self._header.wrapped_under, counts

    def audited(self) -> Check:
        """Return what checks the files of an audit of this store."""
        return Check(self._header.keys, self)

    def close(self) -> None:
        """Let go of connections, files and unsealed tokens."""
        self._cache.clear()
        self._header.keys.forget()
        self.backend.close()

    # One look

    def _open(self, found: Iterable[Record], kinds: set[str], on_error: OnError) -> Iterator[Any]:
        """Yield the records of some kinds, opened; one that does not open holds none up."""
        for record in found:
            if record.kind in kinds:
                kept = None
                with telling(on_error):
                    kept = self._rows.open(record)
                if kept is not None:
                    yield kept

    def _find(self, question: Lookup, asked: Token) -> Token | None:
        marks = [self._rows.mark(question.field, question.value)]
        if self.backend.finds_late:
            marks += self._saver.owners(self.providers.locate(asked))
        return question.choose(self._saver.having(marks))

    def _delete(self, token_id: str, version: str | None) -> Token | None:
        """See `Store.delete_version`; return the row that was deleted. None if there was none."""
        record_id = self._rows.record_id(token_id)
        for _ in attempts(token_id):
            try:
                kept = self._rows.read(record_id)
            except StoreTampered:
                # What does not open can be deleted all the same.
                there = self._rows.delete(record_id, replaces=version)
                return Token(id=token_id) if there else None
            row = self._saver.lead(kept)
            if row is not None and version not in (None, row.version):
                raise saving.conflict(row, "This token was changed meanwhile")
            with suppress(StoreConflict):
                # An ended row goes once all its revocations are confirmed.
                if row is None and (isinstance(kept, Alias) or (kept and kept.version == version)):
                    self._rows.delete(record_id, replaces=kept.version)
                if row is None or self._delete_row(row):
                    return row
        raise AssertionError  # attempts() has raised

    def _delete_row(self, row: Token) -> bool:
        """Delete a row and the aliases that lead to it. False: read again."""
        aliases = self._saver.of(str(row.id))
        making = [alias for alias in aliases if alias.carries and alias.seen_status is None]
        if not making:
            self._end(row)
        for alias in making or aliases:
            with suppress(StoreConflict):  # its caller has given the id to another row since
                if alias.carries:  # it would make the row anew; or what it has is to be revoked
                    self._saver.finish(alias)
                else:
                    self._rows.delete(alias.id, replaces=alias.version)
        return not making

    def _end(self, row: Token) -> None:
        """Delete a row; with something left to revoke it goes out of sight until that is done."""
        record_id = records.record_id(row.id)
        if row.renewal.to_revoke:
            # Of another owner, so that what it was for is free; without a user that is its
            # credential, which nobody may save as long as it is to be revoked.
            owner = str(row.owner)
            if row.user:
                owner = self._header.keys.digest("ended", f"{row.id} {row.version}")
            ended = row.but(owner=owner, ended=True, access_token=None)
            if self._rows.may_become(record_id, owner):
                self._rows.put(ended, replaces=row.version)
                return
            self._rows.put(ended.but(id=records.token_id(self._rows.new_id(owner))), replaces=None)
        self._rows.delete(record_id, replaces=row.version)

    def _reseal(self, record_id: str, newest: int) -> bool:
        for _ in attempts(records.token_id(record_id)):
            record = self.backend.read(record_id)
            if record is None or record.key == newest:
                return False
            with suppress(StoreConflict):
                self._rows.put(self._rows.open(record), replaces=record.version)
                return True
        return False

    def _own_audit(self, where: Path | str | None) -> Audit:
        if not where:
            return Audit()
        if where == LOGGING:
            return LoggedAudit(lambda: self._header.keys, self._clock)
        return FileAudit(Path(where), lambda: self._header.keys, self, self._clock)

    def _own_journal(self, state: Path | None) -> Journal:
        home = self.backend.home
        if home is not None:
            folder = home.with_name(f"{home.name}.journal")
            return FolderJournal(folder, self._header, self._clock.monotonic)
        if self.backend.embedded:
            return Journal()
        below = partial(self._journal_folder, state)
        return FolderJournal(below, self._header, self._clock.monotonic)

    def _journal_folder(self, state: Path | None) -> Path | None:
        if self._journal_at is None:
            where = state or folders.state()
            # Each store its own: one must not judge the answers of another's tokens.
            name = digest_of(f"{self.store_id} {self.backend.describe()}")[:16]
            at = where / "journal" / name if where else None
            if not self.is_made:
                return at  # until then it has no id that lasts
            self._journal_at = at
        return self._journal_at
