"""Revoke all: a thousand tokens of one client, of many that are stored and of none besides."""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING, Any

from common import (
    INSERT,
    Case,
    folder,
    insert_very_many,
    kept_connection,
    made_up,
    options,
    report,
    seal,
)

from tokenkeep import Keeper, open_store, saving
from tokenkeep.backends.base import WIDTH
from tokenkeep.backends.rows import COLUMNS, to_row
from tokenkeep.providers import Providers
from tokenkeep.providers.zoho import Zoho

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokenkeep import Token, Vault

WANTED = 1_000
CLIENT = "1000.LEAKEDCLIENT00000000000000000"
AT_MOST = 10.0
"""Seconds: it is a person who waits for it."""


class Near(Providers):
    """A Zoho that confirms every revocation at once: what a real one takes is not ours."""

    class Confirming(Zoho):
        def revoke(self, token: Token) -> bool:
            del token
            return True

    def named(self, name: str) -> Zoho:
        del name
        return self.zoho

    zoho = Confirming()


def wanted(vault: Vault) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the client."""
    for number in range(WANTED):
        token = made_up(number).but(client_id=CLIENT)
        row = saving.first(token, login=secrets.token_hex(16), now=time.time())
        yield to_row(seal(vault, row))


def others(n: int, like: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield rows of others, as large as a token's; none opens: who read one would say so."""
    row = dict(zip(COLUMNS, like, strict=True))
    row["sealed"] = os.urandom(len(row["sealed"]))
    own = [name for name, value in row.items() if isinstance(value, str) and len(value) == WIDTH]
    state, client = row["state"], secrets.token_hex(WIDTH // 2)
    for _ in range(n):
        digits = os.urandom(WIDTH // 2 * len(own)).hex()
        row |= {name: digits[i * WIDTH :][:WIDTH] for i, name in enumerate(own)}
        yield tuple((row | {"state": state, "client": client}).values())


class Revoked:
    """
    A store with the rows of the client and so many others.

    Args:
        path: Of its database.
        n: How many there are in all.
    """

    def __init__(self, path: Path, n: int) -> None:
        vault = open_store(f"sqlite:///{path}", make=True)
        self._rows = list(wanted(vault))
        self._db = kept_connection(path)
        insert_very_many(self._db, others(n - WANTED, self._rows[0]))
        self._keeper = Keeper(vault, providers=Near())

    def once(self) -> tuple[float, float]:
        """Return how long it takes until all are revoked here, and all is confirmed, in s."""
        # What the last one has done is undone.
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany(
                "DELETE FROM token WHERE id = ?", [each[:1] for each in self._rows]
            )
            self._db.executemany(INSERT, self._rows)
        start = time.perf_counter()
        told = self._keeper.revoke_all(client_id=CLIENT)
        here = time.perf_counter() - start
        assert [each.outcome for each in told] == ["confirmed"] * WANTED
        return here, time.perf_counter() - start

    def by_hand(self) -> float:
        """Return how long the same number of bare writes takes, two for each row, in s."""
        start = time.perf_counter()
        for number, each in enumerate(self._rows * 2):
            self._db.execute(
                "UPDATE token SET last_used_at = ? WHERE id = ?", (float(number), each[0])
            )
        return time.perf_counter() - start

    def close(self) -> None:
        self._db.close()
        self._keeper.close()


def main() -> None:
    given = options(__doc__, rows=100_000)
    rounds, n = (10, 1_000_000) if given.full else (3, given.rows)
    with folder() as path:
        few, many = Revoked(path / "few.db", WANTED), Revoked(path / "many.db", n)
        took = [(few.once(), many.once(), many.by_hand()) for _ in range(rounds + 1)][1:]
        few.close()
        many.close()
    alone, both, bare = (min(each) for each in zip(*took, strict=True))
    found = [
        Case("until revoked here", n, both[0], alone[0], note=f"floor: {WANTED:,} rows in all"),
        Case("until confirmed", n, both[1], alone[1], target=1.5, note="floor: likewise"),
        Case("until confirmed, in s", n, both[1], target=AT_MOST),
        Case("bare writes, as many", n, both[1], bare, note="floor: UPDATE of one column"),
    ]
    report(f"revoke {WANTED:,} tokens of one client", "s", found, given)


if __name__ == "__main__":
    main()
