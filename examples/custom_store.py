"""
A token store of your own: the six methods, here over a table of SQLite's.

    from tokenkeep.integrations.zoho_sdk import SDKStore
    SDKStore(TableStore("mine.db"))          # the official SDK works with it

    import tokenkeep
    tokenkeep.Keeper(TableStore("mine.db"))  # and so does everything else

Which stored token is meant, and what a save changes, is the same for every
store: `tokenkeep.lookup` and `tokenkeep.saving` know. Yours is where tokens are
kept, and how two processes that save at the same time keep out of each other's way.

What to know before you do this: you see the tokens, so sealing them is up to
you (this one does not!), and they are renewed once in each process, not once
among all. For both, write a `tokenkeep.backends.Backend` instead (docs/stores.md).

Whether yours is right, the contract tells (tests/examples/test_custom_store.py):

    class TestTableStore(tokenkeep.testing.StoreContract):
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda: TableStore(tmp_path / "mine.db")
"""

import json
import secrets
import sqlite3
import time
from contextlib import closing, contextmanager
from pathlib import Path

from tokenkeep import Status, StoreUnavailable, Token, TokenStore, lookup, saving
from tokenkeep.token import new_id

CREATE = "CREATE TABLE IF NOT EXISTS token (id TEXT PRIMARY KEY, fields TEXT NOT NULL)"

KEPT = (
    "version", "user", "client_id", "client_secret", "access_token", "refresh_token",
    "grant_token", "redirect_uri", "expires_at", "scope", "provider", "issuer", "api_domain",
    "data_center", "environment", "status", "created_at", "updated_at",
)  # fmt: skip
"""The fields of a token that are kept beside its id."""


class TableStore(TokenStore):
    """Tokens as rows: an id, and the fields as JSON."""

    def __init__(self, path):
        self.path = path
        Path(path).touch(mode=0o600)  # what is in it is nobody else's to read
        with self.database() as database:
            database.execute(CREATE)

    def find_token(self, token):
        """Return the token that a partial one means, by user, by refresh token... or None."""
        return lookup.find(token, self.get_tokens())

    def find_token_by_id(self, token_id):
        """Return the token of an id, or None."""
        with self.database() as database:
            rows = database.execute("SELECT * FROM token WHERE id = ?", (token_id,)).fetchall()
        return token_of(rows[0]) if rows else None

    def save_token(self, token):
        """Save a token: as a new row, or as another state of the one it belongs to."""
        token = saving.cleaned(token)
        login, now = secrets.token_hex(16), time.time()
        with self.database() as database:
            # From here on other processes wait: two that save the same user
            # for the first time would both find no row, and both add one.
            database.execute("BEGIN IMMEDIATE")
            rows = [token_of(row) for row in database.execute("SELECT * FROM token")]
            by_id = next((row for row in rows if token.id and row.id == token.id), None)
            plan = saving.plan(token, rows, by_id=by_id, login=login, now=now)
            if plan.source is not None:
                # Saved before its user was known: its login is in the user's row now.
                database.execute("DELETE FROM token WHERE id = ?", (plan.source.id,))
            saved = plan.row if plan.stored else plan.row.but(id=token.id or new_id())
            # A version is another one after each write.
            saved = saved.but(version=secrets.token_hex(16))
            row = row_of(saved)
            database.execute("REPLACE INTO token VALUES (?, ?)", row)
            database.execute("COMMIT")
        return token_of(row)

    def delete_token(self, token_id):
        """Delete the token of an id; none of that id is fine."""
        with self.database() as database:
            database.execute("DELETE FROM token WHERE id = ?", (token_id,))

    def get_tokens(self):
        """Return all tokens."""
        with self.database() as database:
            return [token_of(row) for row in database.execute("SELECT * FROM token")]

    def delete_tokens(self):
        """Delete all tokens."""
        with self.database() as database:
            database.execute("DELETE FROM token")

    @contextmanager
    def database(self):
        """Open the file for one piece of work, and say what went wrong in tokenkeep's words."""
        try:
            with closing(sqlite3.connect(self.path, timeout=5, isolation_level=None)) as database:
                yield database
        except sqlite3.Error as exc:
            raise StoreUnavailable(f"{self.path} can't be used: {exc}") from exc


def row_of(token):
    """Return a token as a row."""
    return token.id, json.dumps({name: getattr(token, name) for name in KEPT})


def token_of(row):
    """Return a row as a token."""
    token_id, fields = row
    kept = json.loads(fields)
    return Token(**kept | {"id": token_id, "status": Status(kept["status"])})
