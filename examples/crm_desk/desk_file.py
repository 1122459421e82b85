"""The desk's own file, which all workers share."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from crm_desk.connections import Connections
from tokenkeep.errors import StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.fernet import Fernet

logger = logging.getLogger("crm_desk")

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


class DeskFile:
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
        self.key = key
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
            raise unavailable(path, exc) from exc

    def close(self) -> None:
        """Close the file; who needs it still opens it again."""
        self._connections.close()

    def do(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """
        Execute a statement, and return its rows.

        Raises:
            StoreUnavailable: That can't be done.
        """
        try:
            with self._connections.lend() as database:
                return database.execute(statement, values).fetchall()
        except sqlite3.Error as exc:
            raise unavailable(self._path, exc) from exc


def digest(name: str) -> str:
    """Return what is stored for a name: somebody who reads the file learns none."""
    return hashlib.sha256(name.encode()).hexdigest()


def unavailable(path: Path, error: Exception) -> StoreUnavailable:
    """Log why the file can't be used, and return what is raised."""
    logger.warning("%s: %s", path, error)
    return StoreUnavailable(
        f"The desk's own file {path} can't be used: {error}",
        hint="It has to be on a local disk with room, writable for the user who runs the desk",
    )
