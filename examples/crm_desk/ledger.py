"""What all workers share besides the tokens: logins under way, drafts, counts and events."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.fernet import InvalidToken

from crm_desk.connections import Connections
from tokenkeep.errors import StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.fernet import Fernet

logger = logging.getLogger("crm_desk")

LOGIN_LIFE = 600.0
"""How long a person may take to consent, in seconds."""

DRAFT_LIFE = 86_400.0
"""How long a form that could not be sent is kept, in seconds."""

MOST = 20
"""How many forms that could not be sent are kept of a person."""

EVENTS = 6
"""How many events of a login are kept."""

_TABLES = """
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, until REAL, sealed BLOB);
CREATE TABLE IF NOT EXISTS owned (name TEXT PRIMARY KEY, owner TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS owned_owner ON owned (owner);
CREATE TABLE IF NOT EXISTS count (
    token_id TEXT, name TEXT, number INTEGER, PRIMARY KEY (token_id, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event (
    number INTEGER PRIMARY KEY, token_id TEXT, at REAL, text TEXT, process INTEGER);
CREATE INDEX IF NOT EXISTS event_token ON event (token_id);
CREATE TABLE IF NOT EXISTS login (token_id TEXT PRIMARY KEY, since REAL, ended INTEGER);
"""
_KEEP_LATEST = (
    "DELETE FROM kept WHERE name IN (SELECT name FROM owned JOIN kept USING (name)"
    " WHERE owner = ? ORDER BY until DESC LIMIT -1 OFFSET ?)"
)
_BEGIN = (
    "INSERT INTO login VALUES (?, 0, 0) ON CONFLICT (token_id) DO UPDATE"
    " SET since = iif(ended, max(?, since + 0.001), since), ended = 0 RETURNING since"
)
_END = (
    "INSERT INTO login VALUES (?, 0, 1) ON CONFLICT (token_id) DO UPDATE"
    " SET ended = 1 WHERE since <= ?"
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


class Ledger:
    """
    A small SQLite file beside the session key.

    Args:
        path: Of the file, which is made if missing, for its owner alone.
        key: Seals what is kept for later.

    Raises:
        StoreUnavailable: It can't be opened.
    """

    def __init__(self, path: Path, key: Fernet) -> None:
        self._path = path
        self._key = key
        self._connections = Connections(path)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            with self._connections.lend() as database:
                database.executescript(_TABLES)
                # Of workers that start together one does it, for all and for good.
                with suppress(sqlite3.OperationalError):
                    database.execute("PRAGMA journal_mode = WAL").close()
        except (OSError, sqlite3.Error) as exc:
            raise _unavailable(path, exc) from exc

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
        sealed = self._key.encrypt(json.dumps(facts).encode())
        now = time.time()
        self._do("DELETE FROM kept WHERE until < ?", now)
        self._do("REPLACE INTO kept VALUES (?, ?, ?)", _digest(name), now + life, sealed)
        if of:
            self._do("DELETE FROM owned WHERE name NOT IN (SELECT name FROM kept)")
            self._do("REPLACE INTO owned VALUES (?, ?)", _digest(name), _digest(of))
            self._do(_KEEP_LATEST, _digest(of), MOST)

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

    def end(self, browser: str, life: float) -> bool:
        """
        Note that a browser's name has ended: it has logged out, or has another name now.

        Args:
            browser: Its random name.
            life: How long copies of its cookie would be good, in seconds.

        Returns:
            Whether nobody did before: of several that end a name, one goes on from it.

        Raises:
            StoreUnavailable: That can't be noted.
        """
        facts = _digest(f"ended {browser}"), time.time() + life, self._key.encrypt(b"{}")
        return bool(self._do("INSERT OR IGNORE INTO kept VALUES (?, ?, ?) RETURNING 1", *facts))

    def has_ended(self, browser: str) -> bool:
        """
        Tell whether a browser's name has ended.

        Raises:
            StoreUnavailable: That can't be told.
        """
        return self.look(f"ended {browser}") is not None

    def begin_login(self, token_id: str) -> float:
        """
        Note that somebody has logged in.

        Returns:
            Since when logins of this id are good, in epoch seconds: 0 unless
            it was ended before. Sessions with an earlier one are over.

        Raises:
            StoreUnavailable: That can't be noted.
        """
        [(since,)] = self._do(_BEGIN, token_id, time.time())
        return float(since)

    def end_login(self, token_id: str, since: float) -> None:
        """
        Note that a login was ended by its person, or by Zoho.

        It opens nothing; that it doesn't come back to life where it was in
        use, when its person logs in again anywhere, is what this is for.

        Args:
            token_id: Its id.
            since: As the session has it that noticed the end; one that is
                noticed late does not end the login after it.

        Raises:
            StoreUnavailable: That can't be noted.
        """
        self._do(_END, token_id, since)

    def login_since(self, token_id: str) -> float:
        """
        Return since when logins of this id are good, as `begin_login`.

        Raises:
            StoreUnavailable: That can't be told.
        """
        rows = self._do("SELECT since FROM login WHERE token_id = ?", token_id)
        return float(rows[0][0]) if rows else 0.0

    def count(self, token_id: str, name: str) -> None:
        """Count one of *name* for a login. What can't be counted is not: nobody waits for it."""
        with suppress(StoreUnavailable):
            self._do(_COUNT, token_id, name)

    def note(self, token_id: str, text: str) -> None:
        """Note an event of a login, and forget its oldest."""
        with suppress(StoreUnavailable):
            self._do(_NOTE, token_id, time.time(), text, os.getpid())
            self._do(_FORGET_EVENTS, token_id, token_id, EVENTS)

    def counts(self, token_id: str) -> dict[str, int]:
        """Return the counts of a login by name; empty if they can't be read."""
        with suppress(StoreUnavailable):
            return dict(self._do("SELECT name, number FROM count WHERE token_id = ?", token_id))
        return {}

    def events(self, token_id: str) -> list[Event]:
        """Return the latest events of a login, the newest first; empty if they can't be read."""
        asked = "SELECT at, text, process FROM event WHERE token_id = ? ORDER BY number DESC"
        with suppress(StoreUnavailable):
            return [Event(*row) for row in self._do(asked, token_id)]
        return []

    def forget(self, token_id: str) -> None:
        """
        Delete what is known of a login whose token is deleted.

        When it was ended is kept: some stores make ids of what a token is for,
        and with the next login of this person the same one comes again.
        """
        with suppress(StoreUnavailable):
            self._do("DELETE FROM count WHERE token_id = ?", token_id)
            self._do("DELETE FROM event WHERE token_id = ?", token_id)

    def _read(self, statement: str, name: str) -> dict[str, Any] | None:
        rows = self._do(statement, _digest(name))
        if not rows or rows[0][0] < time.time():
            return None
        try:
            facts: dict[str, Any] = json.loads(self._key.decrypt(rows[0][1]))
        except InvalidToken:
            return None  # kept under another session key
        return facts

    def close(self) -> None:
        """Close the file; who needs it still opens it again."""
        self._connections.close()

    def _do(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """
        Execute a statement, and return its rows.

        Raises:
            StoreUnavailable: That can't be done.
        """
        try:
            with self._connections.lend() as database:
                return database.execute(statement, values).fetchall()
        except sqlite3.Error as exc:
            raise _unavailable(self._path, exc) from exc


def _digest(name: str) -> str:
    """Return what is stored for a name: somebody who reads the file learns none."""
    return hashlib.sha256(name.encode()).hexdigest()


def _unavailable(path: Path, error: Exception) -> StoreUnavailable:
    logger.warning("%s: %s", path, error)
    return StoreUnavailable(
        f"The desk's own file {path} can't be used: {error}",
        hint="It has to be on a local disk with room, writable for the user who runs the desk",
    )
