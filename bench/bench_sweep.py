"""Sweep: a hundred rows that are due, of many that are stored and of a thousand."""

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

from tokenkeep import Claim, Keeper, Policies, Policy, Status, open_store, saving
from tokenkeep.backends.base import WIDTH
from tokenkeep.backends.rows import COLUMNS, to_row
from tokenkeep.providers import Providers
from tokenkeep.providers.zoho import Zoho
from tokenkeep.records import Lease
from tokenkeep.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokenkeep import Token, Vault

DUE = 100
FEW = 1_000
MONTH = 30 * 86_400.0
SESSION = 12 * 3600.0
LONGEST = 1000.0
"""What a sweep of a million may take, in ms."""


class Near(Providers):
    """A Zoho that confirms every revocation at once: what a real one takes is not ours."""

    class Confirming(Zoho):
        def revoke(self, token: Token) -> None:
            del token

        def probe(self, issuer: str) -> None:
            del issuer

    def named(self, name: str) -> Zoho:
        del name
        return self.zoho

    zoho = Confirming()


def due(vault: Vault) -> Iterator[tuple[Any, ...]]:
    """Yield rows to revoke, and leases of those gone."""
    now = time.time() - 3600
    for number in range(DUE):
        token = saving.first(made_up(number), login=secrets.token_hex(16), now=now)
        if number % 4 == 0:
            claim = Claim(nonce=secrets.token_hex(16), holder="{}", taken_at=now, length=60.0)
            kept = Lease(id="", version="", owner="", claim=claim)
        else:
            kept = saving.died(token, Status.REVOKED, now)
        yield to_row(seal(vault, kept))


def over(vault: Vault) -> Iterator[tuple[Any, ...]]:
    """Yield rows of sessions that a policy ends."""
    began = time.time() - SESSION - 3600
    for number in range(DUE):
        token = saving.first(made_up(number), login=secrets.token_hex(16), now=began)
        yield to_row(seal(vault, token))


def rule(url: str) -> None:
    """Let sessions end after half a day in a store; each row there is was looked at since."""
    clock = FakeClock(time.time() - MONTH)
    with open_store(url, clock=clock, make=True) as vault:
        vault.set_policies(Policies([Policy(name="sessions", max_session=SESSION)]))
        clock.advance(3600)
        vault.apply_policies()


def others(n: int, like: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """
    Yield rows that are not due, of which every tenth will be.

    They are as large as a token's and don't open: a sweep that read one would say so.
    """
    row = dict(zip(COLUMNS, like, strict=True))
    sealed, later = os.urandom(len(row["sealed"])), time.time() + MONTH
    own = [name for name, value in row.items() if isinstance(value, str) and len(value) == WIDTH]
    for number in range(n):
        digits = os.urandom(WIDTH // 2 * len(own)).hex()
        row |= {name: digits[i * WIDTH :][:WIDTH] for i, name in enumerate(own)}
        row["sealed"], row["due_at"] = sealed, later if number % 10 == 0 else None
        yield tuple(row.values())


class Swept:
    """
    A store of so many rows, and its sweep.

    Args:
        path: Of its database.
        n: How many.
        by_policy: Whether what is due is to be ended by a policy.
    """

    def __init__(self, path: Path, n: int, *, by_policy: bool = False) -> None:
        if by_policy:
            rule(f"sqlite:///{path}")
        vault = open_store(f"sqlite:///{path}", make=True)
        self._ended = DUE if by_policy else 0
        self._due = list(over(vault) if by_policy else due(vault))
        self._db = kept_connection(path)
        insert_very_many(self._db, others(n - DUE, self._due[1]))
        self._keeper = Keeper(vault, providers=Near())

    def once(self) -> float:
        """Return how long a sweep takes, in ms."""
        # What the last one has done is undone.
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany(
                "DELETE FROM token WHERE id = ?", [each[:1] for each in self._due]
            )
            self._db.executemany(INSERT, self._due)
        start = time.perf_counter()
        swept = self._keeper.sweep()
        took = time.perf_counter() - start
        assert swept.revoked + swept.deleted == DUE, swept
        assert swept.ended == self._ended, swept
        return took * 1000

    def close(self) -> None:
        self._db.close()
        self._keeper.close()


def main() -> None:
    given = options(__doc__, rows=100_000)
    rounds, n = (20, 1_000_000) if given.full else (10, given.rows)
    with folder() as path:
        few, many = Swept(path / "few.db", FEW), Swept(path / "many.db", n)
        ruled = Swept(path / "ruled.db", n, by_policy=True)
        took = [(few.once(), many.once(), ruled.once()) for _ in range(rounds + 1)][1:]
        for each in (few, many, ruled):
            each.close()
    floor, ours, by_policy = (min(each) for each in zip(*took, strict=True))
    note = f"floor: {FEW:,} rows, of which {DUE} are due, too"
    found = [
        Case("Keeper.sweep", n, ours, floor, target=1.25, note=note),
        Case("Keeper.sweep, by policy", n, by_policy, target=LONGEST),
    ]
    report(f"sweep, {DUE} rows are due", "ms a sweep", found, given)


if __name__ == "__main__":
    main()
