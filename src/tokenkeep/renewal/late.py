"""
LATE: an answer that could not be saved on its claim.

One function for a late holder, a write of unknown outcome and a journal's replay.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from tokenkeep import saving
from tokenkeep.errors import (
    ConfigurationError,
    LookupFailed,
    RenewalError,
    StoreConflict,
    TokenKeepError,
)
from tokenkeep.renewal.outcomes import read_again, renewed, what_of
from tokenkeep.swapping import attempts
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.journal import Entry, Journal
    from tokenkeep.providers.base import Provider
    from tokenkeep.store import Store


MOST_UNREAD = 3
"""
How many answers to one refresh token are kept that can't be read: the first ones, and the
last. A provider that answers so for days must not fill the disk.
"""


class Late:
    """
    Decide what becomes of an answer, on the row as it is now.

    Its journal entry goes only after the write or the decision is final.
    """

    def __init__(self, store: Store, journal: Journal, report: Callable[..., None]) -> None:
        self._store = store
        self._journal = journal
        self._report = report

    def settle(self, entry: Entry, provider: Provider) -> Token | None:
        """
        Save an answer if it still may be, else discard it: None then, read again.

        A refresh token that is discarded is not forgotten alive: it is
        revoked, or its user's row sees to that.

        Raises:
            StoreUnavailable: It can't be decided now; the journal keeps it.
        """
        for _ in attempts(entry.asked.id, entry.asked.user):
            row = self._store.reread(str(entry.asked.id))
            with suppress(StoreConflict):
                return self._settled(entry, row, provider)
        return None

    def left(self, row: Token, provider: Provider) -> Entry | None:
        """
        Return this host's answer for a row that could not be saved. None if there is none.

        One that could not be read is read again. One of another row, which had the same
        pair and is gone, only waits to be taken back: that is a sweep's business, and
        holds no caller up.
        """
        kept = self._journal.answers(row.refresh_token)
        entry = next((e for e in kept if e.unread is None and e.base == row.pair), None)
        if entry is None:
            waiting = [e for e in kept if e.unread is not None and not is_over(e, row)]
            read = (read_again(each, row, provider) for each in waiting)
            entry = next(filter(None, read), None)
        if entry is None or entry.asked.id == row.id:
            return entry
        led_to = self._store.reread(str(entry.asked.id))
        return entry if led_to is not None and led_to.id == row.id else None

    def replay(self, entry: Entry, provider: Provider) -> Literal["saved", "discarded", "unread"]:
        """
        Settle an answer of the journal, and say what became of it.

        One that still can't be read is kept, and reported, while there may be the only
        token in it: until its refresh token is stored no more, or was good for another renewal.
        """
        if entry.unread is None:
            return "discarded" if self.settle(entry, provider) is None else "saved"
        row = self._store.reread(str(entry.asked.id))
        is_out = row is None or row.refresh_token != entry.base[1] or is_over(entry, row)
        read = read_again(entry, row, provider)
        if read is not None and row is not None and is_over(entry, row):
            with suppress(StoreConflict):  # then the next sweep
                self._see_to(read, row, provider)
                self._report("superseded", row)
                self.forget(entry, row)
            return "discarded"
        if read is not None:
            return "discarded" if self.settle(read, provider) is None else "saved"
        about = row or entry.asked
        # There may be a token in it that goes on working at the provider.
        self._report("superseded" if is_out else "unreadable", about)
        if is_out:
            self.forget(entry, row)
        return "discarded" if is_out else "unread"

    def keep_unread(self, entry: Entry, token: Token, error: TokenKeepError) -> None:
        """Keep an answer that could not be read, and say so in the *error* it is raised with."""
        is_kept = False
        try:
            answers = self._journal.answers(entry.base[1])
            kept = [each for each in answers if each.unread is not None]
            self._journal.put(entry)
            is_kept = True
            if len(kept) >= MOST_UNREAD:
                self._journal.remove(kept[-1])
            error.hint = (
                "The refresh token may be spent, and the new one in that answer. It is kept: "
                "teach tokenkeep to read it (docs/providers.md, read_answer), then: "
                f"tokenkeep renew {token.id}"
            )
        except (TokenKeepError, OSError) as exc:
            self._report("unjournaled", token, error=what_of(exc))
        self._report("unreadable", token, error=error.what, kept=is_kept)

    def keep(self, entry: Entry, token: Token) -> Entry:
        """Put an answer into the journal; a failure is reported."""
        try:
            return self._journal.put(entry)
        except (TokenKeepError, OSError) as exc:
            self._report("unjournaled", token, error=what_of(exc))
            return entry

    def forget(self, entry: Entry, token: Token | None) -> Token | None:
        """
        Take an answer out of the journal, now that what becomes of it is final: *token*, returned.

        One that can't be removed is only reported: replaying it is harmless.
        """
        try:
            if entry.name is not None:
                self._journal.remove(entry)
        except (TokenKeepError, OSError) as exc:
            about = token or entry.asked
            self._report("unjournaled", about, error=what_of(exc))
        return token

    def _settled(self, entry: Entry, stored: Token | None, provider: Provider) -> Token | None:
        if stored is None or stored.status is Status.REVOKED:
            if self._taken_back(entry, stored, provider):
                self.forget(entry, None)
            return None
        # A provider may answer the base itself, with another end: that is not saved yet.
        if stored.pair == entry.pair != entry.base:
            return self.forget(entry, stored)
        if entry.refresh_token == entry.base[1]:
            wanted = stored.pair == entry.base and stored.status is not Status.LOGIN_NEEDED
        else:
            # The stored refresh token was spent for this one, whatever access
            # token, or verdict, somebody has put beside it since.
            wanted = stored.refresh_token == entry.base[1]
        if wanted:
            return self.forget(entry, self._store.swap(renewed(stored, entry)))
        self._see_to(entry, stored, provider)
        self._report("superseded", stored)
        return self.forget(entry, None)

    def _see_to(self, entry: Entry, row: Token, provider: Provider) -> None:
        """
        Let a row see to the refresh token of an answer that came too late for it.

        Raises:
            StoreConflict: Somebody wrote the row meanwhile.
        """
        seen_to = _with_late(row, entry, revokes_grant=provider.profile.revokes_grant)
        if seen_to is not row:
            self._store.swap(seen_to)

    def _taken_back(self, entry: Entry, stored: Token | None, provider: Provider) -> bool:
        """Revoke a fresh token whose row was deleted or revoked meanwhile. False: not yet."""
        # The refresh token that was there is the business of who deleted or revoked the row.
        is_new = entry.refresh_token != entry.base[1]
        fresh = entry.asked.but(
            access_token=entry.access_token, refresh_token=entry.refresh_token if is_new else None
        )
        if stored is None and provider.profile.revokes_grant and fresh.user:
            newer = newer_login(self._store, fresh)
            if newer is not None:
                self._see_to(entry, newer, provider)
                return True
        try:
            provider.revoke(fresh)
        except (RenewalError, ConfigurationError) as exc:
            self._report("revocation_pending", stored or fresh, error=exc.what)
            if entry.name is None:
                self.keep(entry, fresh)
            return False
        return True


def _with_late(row: Token, entry: Entry, *, revokes_grant: bool) -> Token:
    """Return a row that sees to the refresh token of an answer that came too late for it."""
    fresh = entry.refresh_token
    if fresh is None or fresh == entry.base[1] or fresh in row.pair:
        return row
    if saving.is_older(row, fresh):
        return row  # it went on from there
    spent = ("refresh_token", entry.base[1])
    seen_to = saving.superseded(row, [("refresh_token", fresh)], revokes_grant=revokes_grant)
    renewal = seen_to.renewal
    return seen_to.with_renewal(
        to_revoke=tuple(each for each in renewal.to_revoke if each != spent),
        replaced=tuple(each for each in renewal.replaced if each != spent),
    )


def is_over(entry: Entry, row: Token) -> bool:
    """Tell whether a row was renewed since an answer came that could not be read."""
    return entry.unread is not None and row.renewal.renewed_at != entry.unread["renewed_at"]


def newer_login(store: Store, gone: Token) -> Token | None:
    """
    Return the row of a login that came after a deleted row, of the same user and client.

    None if there is none that works.
    """
    asked = Token(
        user=gone.user,
        provider=gone.provider,
        client_id=gone.client_id,
        data_center=gone.data_center,
        environment=gone.environment,
    )
    try:
        found = store.find_token(asked)
    except LookupFailed:
        return None
    newer = None if found is None else store.reread(str(found.id))
    return newer if newer is not None and newer.status is Status.OK else None
