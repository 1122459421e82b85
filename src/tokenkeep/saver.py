"""Saver: one save, from what is stored to what is stored then, whoever writes meanwhile."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from tokenkeep import saving
from tokenkeep.cache import Cache, Entry
from tokenkeep.errors import StoreConflict, StoreUnavailable
from tokenkeep.lookup import SECRETS, Lookup
from tokenkeep.rows import TRIES, Rows
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.clock import Clock
    from tokenkeep.token import Claim

_UNSEEN = object()
"""A revision that no store has: what was written here may have been written over."""


class Saver:
    """
    Write saves into rows.

    Args:
        rows: Where they are.
        cache: Where what was written is kept for the next save.
        clock: The time.
        reread: Returns a token by its id, past the cache.
    """

    def __init__(
        self, rows: Rows, cache: Cache, clock: Clock, *, reread: Callable[[str], Token | None]
    ) -> None:
        self._rows = rows
        self._cache = cache
        self._clock = clock
        self._reread = reread

    def save(self, token: Token) -> Token:
        """
        Save a token.

        Args:
            token: Cleaned, and with its place.

        Raises:
            StoreUnavailable: It was not saved, or nobody can tell.
            StoreError: What is stored can't be read.
        """
        with suppress(StoreConflict):
            saved = self._saved_unread(token)
            if saved is not None:
                return saved
        login = secrets.token_hex(16)
        brought = False
        for _ in range(TRIES):
            try:
                stored = self.matching(token)
                brought |= stored is None or saving.brings_another(stored, token)
                if stored is None or stored.renewal.login != login:
                    # Else an earlier try was committed, although it failed.
                    stored = self._saved(stored, token, login)
                return self.gathered(stored, login) if brought else stored
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

    def save_over(self, seen: Token | None, token: Token) -> Token:
        """
        Save a token over the row that was seen, and over nothing else.

        Args:
            seen: As `matching` returned it. None makes a new row.
            token: As for `save`.

        Raises:
            StoreConflict: Somebody wrote meanwhile; nothing was saved.
            StoreUnavailable: It was not saved, or nobody can tell.
            StoreError: What is stored can't be read.
        """
        login = secrets.token_hex(16)
        try:
            saved = self._saved(seen, token, login, joins=False)
            brought = seen is None or saving.brings_another(seen, token)
            return self.gathered(saved, login) if brought else saved
        except StoreUnavailable:
            committed = self._committed(token, login)
            if committed is None:
                raise
            return committed

    def matching(self, token: Token) -> Token | None:
        """Return the row that a save updates, pending ones too, read past the cache."""
        if token.id:
            row = self._reread(token.id) or self._rows.read(token.id)
            if row is not None and saving.same_thing(row, token):
                return row  # an id goes first: the rest need not be read
        rows = self._sharing(token)
        if token.user:
            rows += self._rows.having(Lookup("user", token.user))
        if self._rows.finds_late:
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

    def _saved_unread(self, token: Token) -> Token | None:
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
        if saving.brings_another(last, token):
            return None
        wanted = saving.merged(last, token, login="", now=self._clock.now())
        if wanted is last or last.user != wanted.user:
            return None
        return self.noted(self._rows.swap(wanted))

    def noted(self, written: Token) -> Token:
        """Keep what was just written for the next save; no reader is given it unasked."""
        if written.status not in (Status.PENDING, Status.MOVED):
            self._cache.put(("id", written.id), Entry(written, _UNSEEN, 0.0))
        return written

    def _saved(
        self, stored: Token | None, token: Token, login: str, *, joins: bool = True
    ) -> Token:
        """
        Write a save; a row without a name that learns its user becomes that user's.

        Args:
            stored: As `matching` returned it.
            token: What is saved.
            login: Nonce for a new login.
            joins: Whether that user may have a row of his own by now, to be written over.
        """
        now = self._clock.now()
        if stored is None:
            # Of what is given: of a revoked one there may be nothing left to go by.
            identity = self._rows.identities(token)[0]
            return self._rows.insert(saving.first(token, login=login, now=now), identity)
        wanted = saving.merged(stored, token, login=login, now=now)
        if wanted is stored:
            return stored
        if stored.user or not wanted.user:
            return self.noted(self._rows.swap(wanted))
        identity = self._rows.identities(wanted)[0]
        try:
            if self._rows.may_become(stored, identity):
                return self._rows.swap(wanted.but(identity=identity))
            # Its claim too: a renewal that is under way goes on in the user's row.
            owner = self._rows.insert(saving.inherited(wanted, stored), identity)
        except StoreConflict:
            owners = self._rows.taken([identity])
            if not joins or not owners or owners[0].id == stored.id:
                raise
            owner = owners[0]
        return self._joined(stored, wanted, owner, login)

    def gathered(self, saved: Token, login: str) -> Token:
        """
        Let rows without a name that hold the login just saved lead to its user's row.

        Looked for after the write: of two who save the same login with a name and
        without one at the same time, at least the later one sees both. If one of
        the rows is revoked, the others end with it.

        Args:
            saved: As it is stored.
            login: Nonce for a new login.

        Returns:
            The row that the login is in now.
        """
        for _ in range(TRIES):
            try:
                return self._gathered_once(saved, login)
            except StoreConflict:
                stored = self._rows.read(str(saved.id))
                if stored is None:
                    return saved  # deleted meanwhile: that stands
                saved = stored
        raise StoreConflict("Others kept writing this token", token_id=saved.id, user=saved.user)

    def _gathered_once(self, saved: Token, login: str) -> Token:
        if saved.status is Status.LOGIN_NEEDED:
            return saved
        sharing = self._sharing(saved)
        owners = (row for row in sharing if row.user and saving.twins(row, [saved]))
        owner = next(owners, None)
        twins = saving.twins(saved, sharing) if owner is None else [owner]
        revoked = [row for row in (saved, *twins) if row.status is Status.REVOKED]
        if any(row.refresh_token for row in revoked):
            return self._ended(saved, twins)
        if owner is not None:
            return self._joined(saved, saved, owner, login)
        for twin in twins:
            saved = self._joined(twin, saved, saved, login)
        return saved

    def _ended(self, saved: Token, twins: list[Token]) -> Token:
        """Write that the rows of a login that was revoked in one of them are."""
        now = self._clock.now()
        for row in twins:
            if row.status is not Status.REVOKED:
                self._rows.swap(saving.died(row, Status.REVOKED, now))
        dead = saving.died(saved, Status.REVOKED, now)
        return saved if dead is saved else self._rows.swap(dead)

    def _sharing(self, token: Token) -> list[Token]:
        """Return the rows that have one of a token's secrets, each once."""
        rows = []
        for field, name in SECRETS.items():
            if getattr(token, name):
                rows += self._rows.having(Lookup(field, getattr(token, name)))
        return list({row.id: row for row in rows}.values())

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
                if current is None or current.status is Status.REVOKED:
                    return current or again  # deleted or revoked meanwhile: that stands
                # What went in is in. More goes in only if that login goes on in the nameless row.
                is_its = wanted.refresh_token == nameless.refresh_token
                is_same = current.renewal.login == owner.renewal.login
                goes_on = is_its and is_same and again.pair != nameless.pair
                wanted = again.but(user=wanted.user) if goes_on else current
                nameless, owner = again, current
            else:
                return owner
        raise StoreConflict("Others kept writing this token", token_id=owner.id, user=owner.user)

    def _committed(self, token: Token, login: str) -> Token | None:
        """Return the row that a write of unknown outcome made after all."""
        try:
            stored = self.matching(token)
        except StoreUnavailable:
            return None
        return stored if stored is not None and stored.renewal.login == login else None
