"""Rows: tokens as sealed records of one backend, each with what makes it unique."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from tokenkeep import records
from tokenkeep.errors import StoreConflict, StoreTampered
from tokenkeep.lookup import SECRETS, Lookup, credentials, identity
from tokenkeep.token import Renewal, Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokenkeep.backends.base import Backend, Record
    from tokenkeep.sealing import KeyRing
    from tokenkeep.token import Claim

TRIES = 100
"""How often a write starts over when others keep writing the same row."""

_PAGE = 500
"""Records read at once where all are read."""

_COPY = "-copy"
"""Ends the version of a row that came from another store and is as it came."""


class Rows:
    """
    Read and write sealed rows, of whatever status.

    Args:
        backend: Where the records are.
        ring: The keys.
        wrote: Called with a row's id before and after it is written. None
            means that nobody has to know.
    """

    def __init__(
        self, backend: Backend, ring: KeyRing, *, wrote: Callable[[str], None] | None = None
    ) -> None:
        self._backend = backend
        self._ring = ring
        self._wrote = wrote or (lambda _: None)

    def open(self, record: Record) -> Token:
        """
        Open a record.

        Raises:
            KeyMissing: It was sealed under a key that is not in the ring.
            StoreTampered: It was changed outside tokenkeep.
        """
        return records.unseal(record, self._ring)

    def record(self, token_id: str) -> Record | None:
        """Return the record with this id, unopened. None if there is none."""
        return self._backend.read(token_id)

    def read(self, token_id: str) -> Token | None:
        """
        Return the row with this id, or the one it points to. None if there is none.

        Pointers that lead back to one of themselves lead to none.
        """
        seen: set[str] = set()
        at: str | None = token_id
        while at is not None and at not in seen:
            seen.add(at)
            record = self._backend.read(at)
            if record is None:
                return None
            row = self.open(record)
            if not row.moved_to:
                return row
            at = row.moved_to
        return None

    def having(self, question: Lookup) -> list[Token]:
        """
        Return the rows with a value, each checked to have it under its seal.

        Args:
            question: Which field has to have which value; its other
                conditions are not looked at.

        Raises:
            StoreTampered: A row was changed outside tokenkeep.
        """
        rows = [self.open(record) for record in self._found(question)]
        for row in rows:
            if not question.matches(row):
                raise StoreTampered(
                    f"The {question.field} of a stored record is not the one under its seal",
                    token_id=row.id,
                    user=row.user,
                    hint="The row was changed outside tokenkeep; "
                    "restore it from a backup, or delete it and log in again",
                )
        return rows

    def taken(self, identities: list[str]) -> list[Token]:
        """Return the rows that have one of these identities, of whatever status."""
        return [self.open(record) for record in self._backend.find("identity", identities)]

    def identities(self, token: Token) -> list[str]:
        """Return the identity of a token, and those its row had before its user was known."""
        found = [each for field, value in credentials(token)
                 for each in self._nameless(token, field, value)]  # fmt: skip
        return [identity(token, None), *found] if token.user else found

    def first_logins(self, token: Token) -> list[str]:
        """Return the identities under which a first login with a token's credential waits."""
        field, value = credentials(token)[0]
        return self._nameless(token, field, value)

    def _nameless(self, token: Token, field: str, value: str) -> list[str]:
        # Under all keys, the newest first: while keys are rotated, hosts
        # differ in which is the newest.
        nameless = token.but(user=None)
        return [identity(nameless, digest) for digest in self._ring.digests(field, value)]

    @property
    def finds_late(self) -> bool:
        """Whether what was just written may not be found yet; see `Backend`."""
        return self._backend.finds_late

    def may_become(self, row: Token, identity: str) -> bool:
        """Tell whether a row can have another identity: its id may be made of the one it has."""
        return self._backend.id_for(identity) in (None, row.id)

    def insert(self, token: Token, identity: str) -> Token:
        """
        Write a token as a new row.

        Raises:
            StoreConflict: Its identity is taken.
        """
        new = token.but(id=self._id_for(identity), version=_random(), identity=identity)
        self._backend.write(records.seal(new, self._ring), replaces=None)
        return new

    def adopt(self, row: Token, *, replaces: str | None = None) -> Token:
        """
        Write a row of another store here: with its id, identity and state.

        Until anybody else writes it, its version says that it is a copy.

        Args:
            row: As it has to be.
            replaces: The version that has to be stored now. None makes a new row.

        Raises:
            StoreConflict: Another version is, or the id or identity is taken.
        """
        adopted = row.but(version=_random() + _COPY)
        self._backend.write(records.seal(adopted, self._ring), replaces=replaces)
        return adopted

    def swap(self, token: Token) -> Token:
        """
        Write a row whole, if its version is still the stored one.

        Raises:
            StoreConflict: It is not, or the row is gone.
        """
        if token.version is None:
            raise StoreConflict(
                "This token was handed out unsaved", token_id=token.id, user=token.user
            )
        written = token.but(version=_random())
        record = records.seal(written, self._ring)
        # A context manager would cost as much as sealing does.
        self._wrote(record.id)
        try:
            self._backend.write(record, replaces=token.version)
        finally:
            self._wrote(record.id)
        return written

    def delete(self, token_id: str, *, replaces: str | None) -> None:
        """
        Delete a row. Silent if there is none.

        Raises:
            StoreConflict: Another version than *replaces* is stored.
        """
        self._wrote(token_id)
        try:
            self._backend.delete(token_id, replaces=replaces)
        finally:
            self._wrote(token_id)

    def reserve(self, token: Token, claim: Claim, now: float) -> Token:
        """
        Leave a pending row with the identity of a credential, and nothing else of it.

        Args:
            token: With a grant, refresh or access token.
            claim: Who logs in.
            now: Epoch seconds.

        Raises:
            StoreConflict: The identity is taken.
        """
        identity, *elsewhere = self.first_logins(token)
        if self.taken(elsewhere):
            raise _taken(token)
        pending = Token(
            id=self._id_for(identity),
            version=_random(),
            identity=identity,
            provider=token.provider,
            client_id=token.client_id,
            data_center=token.data_center,
            environment=token.environment,
            status=Status.PENDING,
            created_at=now,
            updated_at=now,
            renewal=Renewal(claim=claim),
        )
        self._backend.write(records.seal(pending, self._ring), replaces=None)
        if self.taken(elsewhere):
            # Another host, with another newest key, came at the same time, and
            # may log in by now. If both of us step back, both try again.
            self.delete(str(pending.id), replaces=pending.version)
            raise _taken(token)
        return pending

    def point(self, nameless: Token, owner: Token, now: float) -> None:
        """
        Turn a row without a name into a pointer to its user's row.

        The pointer keeps the nameless row's id working in processes that know
        it. Only the version that went into the user's row is replaced.

        Args:
            nameless: As merged into the user's row.
            owner: The user's row.
            now: Epoch seconds.

        Raises:
            StoreConflict: The nameless row was written meanwhile, or is gone.
        """
        pointer = Token(
            id=nameless.id,
            version=nameless.version,
            identity=nameless.identity,
            provider=nameless.provider,
            status=Status.MOVED,
            moved_to=owner.id,
            created_at=nameless.created_at,
            updated_at=now,
        )
        self.swap(pointer)

    def all(self) -> Iterator[Token]:
        """
        Yield all rows in the order of their ids, a page in memory at a time.

        A row that does not open is raised when it is its turn; asked for the
        next one, the iterator goes on behind it.
        """
        # Not a generator: that would have ended with the error.
        return map(self.open, self._records())

    def reseal(self) -> int:
        """Seal all rows under the newest key. Return how many were not."""
        newest = self._ring.key_ids[0]
        count = 0
        for record in self._records():
            if record.key_id == newest:
                continue
            try:
                self.swap(self.open(record))
            except StoreConflict:
                continue  # whoever wrote it has sealed it under the newest key
            count += 1
        return count

    def _id_for(self, identity: str) -> str:
        return self._backend.id_for(identity) or _random()

    def _found(self, question: Lookup) -> list[Record]:
        # No secret in a local variable: crash reports show those of each frame.
        if question.field not in SECRETS:
            return self._backend.find(question.field, (question.value,))
        digests = self._ring.digests(question.field, question.value)
        return self._backend.find(question.field, digests)

    def _records(self) -> Iterator[Record]:
        after = None
        while page := self._backend.scan(after, _PAGE):
            yield from page
            after = page[-1].id


def is_untouched_copy(row: Token) -> bool:
    """Tell whether a row came from another store, and nobody has written it since."""
    return (row.version or "").endswith(_COPY)


def _taken(token: Token) -> StoreConflict:
    return StoreConflict("Somebody else is logging in with this credential", user=token.user)


def _random() -> str:
    return secrets.token_hex(16)
