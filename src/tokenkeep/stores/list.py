"""
ListStore: the six methods over a list of rows, as an example to start from.

To keep tokens somewhere of your own, copy this class and replace what touches
``self._rows``: append, assign and remove become INSERT, UPDATE and DELETE, and
reading all rows may become a query for those that could match. Leave the
questions "which token is meant" and "what does a save change" to
`tokenkeep.lookup` and `tokenkeep.saving`: they are the same for every store.
Then subclass `tokenkeep.testing.StoreContract` to know that it is right.
"""

from __future__ import annotations

import secrets
import time
from threading import RLock

from tokenkeep import lookup, saving
from tokenkeep.store import TokenStore
from tokenkeep.token import Token, new_id

KEPT = (
    "id", "user", "client_id", "client_secret", "access_token", "refresh_token", "grant_token",
    "redirect_uri", "expires_at", "scope", "provider", "issuer", "api_domain", "data_center",
    "environment", "status", "created_at", "updated_at",
)  # fmt: skip
"""What is kept of a token, and its version: text, but for the three times in epoch seconds."""


class ListStore(TokenStore):
    """
    Keep tokens in a list, unsealed, until the process ends.

    It can't compare and write, so a token is renewed once in each process
    that has a store of this kind, not once among all of them. Open it after
    a fork, not before.
    """

    def __init__(self) -> None:
        self._rows: list[Token] = []
        self._writing = RLock()

    def find_token(self, token: Token) -> Token | None:
        return lookup.find(token, self.get_tokens())

    def find_token_by_id(self, token_id: str) -> Token | None:
        return next((row for row in self._rows if row.id == token_id), None)

    def save_token(self, token: Token) -> Token:
        token = saving.cleaned(token)
        # Without the lock, two threads could both find nothing and both append.
        with self._writing:
            by_id = self.find_token_by_id(token.id) if token.id else None
            login, now = secrets.token_hex(16), time.time()
            plan = saving.plan(token, self._rows, by_id=by_id, login=login, now=now)
            if plan.source is not None:
                # Saved before its user was known: its login is in the user's row now.
                self.delete_token(str(plan.source.id))
            saved = plan.row if plan.stored else plan.row.but(id=token.id or new_id())
            kept = {name: getattr(saved, name) for name in KEPT}
            # A version is another one after each write.
            row = Token().but(**kept, version=secrets.token_hex(16))
            if plan.stored is None:
                self._rows.append(row)
            else:
                self._rows = [row if old.id == row.id else old for old in self._rows]
            return row

    def delete_token(self, token_id: str) -> None:
        with self._writing:
            self._rows = [row for row in self._rows if row.id != token_id]

    def get_tokens(self) -> list[Token]:
        return list(self._rows)

    def delete_tokens(self) -> None:
        with self._writing:
            self._rows = []
