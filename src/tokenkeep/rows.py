"""Rows, aliases and leases of one backend: sealed on the way in, checked on the way out."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, cast

from tokenkeep import lookup, records
from tokenkeep.backends.base import HEADER, MARKS, WIDTH
from tokenkeep.errors import StoreError, StoreTampered
from tokenkeep.records import Kept
from tokenkeep.token import Token, is_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tokenkeep.backends.base import Backend, Mark, Record
    from tokenkeep.cache import Cache
    from tokenkeep.header import Header

_PAGE = 500
"""Records read at once where many are read."""

_Kept = TypeVar("_Kept", bound=Kept)


class Rows:
    """Read and write what is sealed, in one backend."""

    def __init__(
        self,
        backend: Backend,
        header: Header,
        cache: Cache,
        *,
        tenant_of: Callable[[Token], str | None],
        due_of: Callable[[Token], float | None],
    ) -> None:
        self.backend = backend
        self.header = header
        self._cache = cache
        self._tenant_of = tenant_of
        self._due_of = due_of

    # Digests

    def mark(self, field: str, value: str) -> Mark:
        """Return what the records are found by that have a value in a field."""
        return field, self.header.keys.digest(field, value)

    def owner(self, token: Token, credential: tuple[str, str] | None = None) -> str:
        """Return the digest of what a token is for; without a user its *credential* tells."""
        if credential is None and not token.user:
            credential = next(iter(lookup.credentials(token)), ("none", str(token.id)))
        return self.header.keys.digest("owner", lookup.owner_of(token, credential))

    def record_id(self, token_id: str) -> str:
        """Return the id of the record that an id leads to, be it ours or its caller's own."""
        lookup.require_id(token_id)
        if is_ours(token_id):
            return records.record_id(token_id)
        return self.header.keys.digest("id", token_id)

    # Reading

    def open(self, record: Record) -> Kept:
        """See `tokenkeep.records.unseal`; under a data key that was added since, too."""
        if record.key not in self.header.keys:
            self.header.look()  # somebody has added a data key
        try:
            return records.unseal(record, self.header.keys)
        except KeyError:
            raise StoreTampered(
                "A stored record is sealed under a key that the store does not have",
                token_id=records.token_id(record.id),
                hint="Restore it from a backup, or delete it and log in again",
            ) from None

    def read(self, record_id: str) -> Kept | None:
        """Return what is kept under an id. None if nothing is."""
        record = self.backend.read(record_id)
        return None if record is None or record.kind == records.HEADER else self._opened(record)

    def find(self, marks: Iterable[Mark], *, inserts: bool = False) -> list[Kept]:
        """
        Return what has at least one of these marks, each checked to have it under its seal.

        What comes next *inserts*: the header has to be this store's, or nobody would find it.
        """
        asked = list(dict.fromkeys(marks))
        found = self.backend.find([("id", HEADER), *asked] if inserts else asked)
        if inserts:
            self.header.expect(next((record for record in found if record.id == HEADER), None))
        opened = [self._opened(record) for record in found if record.id != HEADER]
        for kept in opened:
            if self.its(kept, asked).isdisjoint(asked):
                raise StoreTampered(
                    "A stored record is found by something that is not under its seal",
                    token_id=records.token_id(records.record_id(kept.id)),
                    hint=records.CHANGED,
                )
        return opened

    def its(self, kept: Kept, asked: Iterable[Mark]) -> set[Mark]:
        """Return the marks of something in the fields *asked*, by what is under its seal."""
        fields = {field for field, _ in asked}
        found = zip(MARKS, records.found_by(kept, self._tenant_of), strict=True)
        its = {self.mark(field, value) for field, value in found if value and field in fields}
        # These two are tied to the seal: a record that opens has its own.
        return its | {("id", records.record_id(kept.id)), ("owner", str(kept.owner))}

    def _opened(self, record: Record) -> Kept:
        seen = self._cache.last(records.token_id(record.id))
        if seen is None or seen.version != record.version:
            return self.open(record)
        # Spares opening it; when it was last used is outside the version.
        used = records.last_used_at(record)
        return seen if seen.last_used_at == used else seen.but(last_used_at=used)

    def scan(
        self, mark: Mark | None = None, *, after: str | None = None, page: int = _PAGE
    ) -> Iterator[Record]:
        """Yield all records but the header, or those with a mark, unopened, in order of ids."""
        while found := self.backend.scan(after, page, mark=mark):
            yield from (record for record in found if record.kind != records.HEADER)
            last = found[-1].id
            # An id that is no text may be read as one that comes before it: no page twice.
            if len(found) < page or (after is not None and last <= after):
                return
            after = last

    def due(self, now: float) -> Iterator[Record]:
        """Yield the records that are due, unopened."""
        after = None
        while found := self.backend.due(now, _PAGE, after=after):
            yield from found
            if len(found) < _PAGE:
                return
            after = found[-1].due_at or 0.0, found[-1].id

    # Writing

    def new_id(self, owner: str) -> str:
        """Return the id of a new record for an owner."""
        return self.backend.id_for(owner) or _random()

    def may_become(self, record_id: str, owner: str) -> bool:
        """Tell whether a record can have another owner: its id may be made of the one it has."""
        return self.backend.id_for(owner) in (None, record_id)

    def put(self, kept: _Kept, *, replaces: str | None) -> _Kept:
        """Write something whole, with another version, as `Backend.write` does."""
        self.header.expect_there()
        written, record = self._sealed(kept)
        self.backend.write(record, replaces=replaces)
        if isinstance(written, Token):
            self._cache.note(written)
        return written

    def insert(self, several: Iterable[Token]) -> list[Token | None]:
        """Write new rows in one trip; return None for each that was not: `put` says why."""
        self.header.expect_there()
        sealed: list[tuple[Token, Record] | None] = []
        for row in several:
            sealed.append(None)
            with suppress(StoreError):
                sealed[-1] = self._sealed(row)
        left = set(self.backend.insert([each[1] for each in sealed if each]))
        return [each[0] if each and each[1].id not in left else None for each in sealed]

    def delete(self, record_id: str, *, replaces: str | None) -> bool:
        """Delete a record as `Backend.delete` does, and tell whether there was one."""
        return self.backend.delete(record_id, replaces=replaces)

    def _sealed(self, kept: _Kept) -> tuple[_Kept, Record]:
        new = _random()
        written = kept.but(version=new) if isinstance(kept, Token) else replace(kept, version=new)
        record = records.seal(written, self.header.keys, self._tenant_of, self._due_of)
        return cast("_Kept", written), record


def _random() -> str:
    return secrets.token_hex(WIDTH // 2)
