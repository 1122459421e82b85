"""Of several tokens of one user, the one that was written last."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from tokenkeep.token import Token

_KEEP_LATEST = """
    INSERT INTO latest VALUES (?, ?, ?) ON CONFLICT (user) DO UPDATE
    SET written = excluded.written, id = excluded.id
    WHERE (excluded.written, excluded.id) > (written, id)
"""


class Latest:
    """
    Remember for each user the token that was written last.

    Kept in a temporary database of keyed digests, so memory does not grow
    with the number of tokens.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)
        # An empty name is a temporary database that spills to disk and has no file name.
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE latest (user BLOB PRIMARY KEY, written REAL, id TEXT)")
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    def add(self, token: Token) -> None:
        """Take a token into account."""
        if token.user:
            written = token.updated_at or token.created_at or 0.0
            self._db.execute(_KEEP_LATEST, (self._digest(token.user), written, token.id))

    def is_it(self, token: Token) -> bool:
        """Tell whether none of its user was written later; True for one without a user."""
        if not token.user:
            return True
        asked = "SELECT id FROM latest WHERE user = ?"
        with closing(self._db.execute(asked, (self._digest(token.user),))) as found:
            return found.fetchone() in (None, (token.id,))

    def _digest(self, user: str) -> bytes:
        return blake2b(user.encode(), key=self._key, digest_size=16).digest()
