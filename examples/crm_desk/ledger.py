"""What all workers share besides the tokens: logins under way, drafts, counts and events."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import Any, NamedTuple

from cryptography.fernet import InvalidToken

from crm_desk.desk_file import digest
from crm_desk.ends import Ends
from tokenkeep.errors import StoreUnavailable

LOGIN_LIFE = 600.0
"""How long a person may take to consent, in seconds."""

DRAFT_LIFE = 86_400.0
"""How long a form that could not be sent is kept, in seconds."""

MOST = 20
"""How many forms that could not be sent are kept of a person."""

EVENTS = 6
"""How many events of a login are kept."""

_KEEP_LATEST = (
    "DELETE FROM kept WHERE name IN (SELECT name FROM owned JOIN kept USING (name)"
    " WHERE owner = ? ORDER BY until DESC LIMIT -1 OFFSET ?)"
)
_COUNT = (
    "INSERT INTO count VALUES (?, ?, 1)"
    " ON CONFLICT (token_id, name) DO UPDATE SET number = number + 1"
)
_NOTE = "INSERT INTO event (token_id, at, text, process) VALUES (?, ?, ?, ?)"
_FORGET_EVENTS = (
    "DELETE FROM event WHERE token_id = ? AND number NOT IN"
    " (SELECT number FROM event WHERE token_id = ? ORDER BY number DESC LIMIT ?)"
)


class Event(NamedTuple):
    """Something that happened: when in epoch seconds, what, and in which process."""

    at: float
    text: str
    process: int


class Ledger(Ends):
    """What is kept for later, counted and noted, besides what has ended."""

    def keep(self, name: str, facts: dict[str, Any], life: float, *, of: str = "") -> None:
        """
        Keep something until it is asked for.

        Args:
            name: Unguessable; what it is asked for by.
            facts: Ready for JSON; may be secret.
            life: How long, in seconds.
            of: Whose it is, of whom the latest `MOST` are kept. Empty if nobody's.

        Raises:
            StoreUnavailable: It can't be kept.
        """
        sealed = self.key.encrypt(json.dumps(facts).encode())
        now = time.time()
        self.do("DELETE FROM kept WHERE until < ?", now)
        self.do("REPLACE INTO kept VALUES (?, ?, ?)", digest(name), now + life, sealed)
        if of:
            self.do("DELETE FROM owned WHERE name NOT IN (SELECT name FROM kept)")
            self.do("REPLACE INTO owned VALUES (?, ?)", digest(name), digest(of))
            self.do(_KEEP_LATEST, digest(of), MOST)

    def take(self, name: str) -> dict[str, Any] | None:
        """
        Return what was kept, and keep it no longer.

        Args:
            name: As for `keep`.

        Returns:
            None if there is nothing, or not any more.

        Raises:
            StoreUnavailable: That can't be told.
        """
        # Read and deleted in one statement: of two that come with the same
        # name at the same time, to whichever worker, one gets it.
        return self._read("DELETE FROM kept WHERE name = ? RETURNING until, sealed", name)

    def look(self, name: str) -> dict[str, Any] | None:
        """As `take`, but it is kept on."""
        return self._read("SELECT until, sealed FROM kept WHERE name = ?", name)

    def count(self, token_id: str, name: str) -> None:
        """Count one of *name* for a login. What can't be counted is not: nobody waits for it."""
        with suppress(StoreUnavailable):
            self.do(_COUNT, token_id, name)

    def note(self, token_id: str, text: str) -> None:
        """Note an event of a login, and forget its oldest."""
        with suppress(StoreUnavailable):
            self.do(_NOTE, token_id, time.time(), text, os.getpid())
            self.do(_FORGET_EVENTS, token_id, token_id, EVENTS)

    def counts(self, token_id: str) -> dict[str, int]:
        """Return the counts of a login by name; empty if they can't be read."""
        with suppress(StoreUnavailable):
            return dict(self.do("SELECT name, number FROM count WHERE token_id = ?", token_id))
        return {}

    def events(self, token_id: str) -> list[Event]:
        """Return the latest events of a login, the newest first; empty if they can't be read."""
        asked = "SELECT at, text, process FROM event WHERE token_id = ? ORDER BY number DESC"
        with suppress(StoreUnavailable):
            return [Event(*row) for row in self.do(asked, token_id)]
        return []

    def forget(self, token_id: str) -> None:
        """
        Delete what is known of a login whose token is deleted.

        When it was ended is kept: some stores make ids of what a token is for,
        and with the next login of this person the same one comes again.
        """
        with suppress(StoreUnavailable):
            self.do("DELETE FROM count WHERE token_id = ?", token_id)
            self.do("DELETE FROM event WHERE token_id = ?", token_id)

    def _read(self, statement: str, name: str) -> dict[str, Any] | None:
        rows = self.do(statement, digest(name))
        if not rows or rows[0][0] < time.time():
            return None
        try:
            facts: dict[str, Any] = json.loads(self.key.decrypt(rows[0][1]))
        except InvalidToken:
            return None  # kept under another session key
        return facts
