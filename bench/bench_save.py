"""Save: a stored token, one never seen by this process, and a new user's, beside one upsert."""

from __future__ import annotations

import os
import secrets
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from common import (
    SELECT,
    UPSERT,
    access_token,
    against,
    copy_of,
    fill,
    folder,
    in_turn,
    made_up,
    options,
    record_id,
    report,
)

from tokenkeep.backends.rows import COLUMNS
from tokenkeep.integrations.zoho_sdk import SDKStore, theirs

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from common import Case

SAVES = 10
"""How many different tokens one round saves."""

SAME = "upsert, same table"
BARE = "upsert, no other index"
NEW = "upsert of a new row, same table"

FIXED = ("kind", "key", "client", "state", "last_used_at")
"""What two users' rows may have in common."""


def upserts(db: sqlite3.Connection, ids: list[str]) -> Callable[[], None]:
    """Return the floor: for each row a new access mark, version and sealed blob."""
    rows = [list(db.execute(SELECT, (record_id(i),)).fetchone()) for i in ids]
    access, version, sealed = map(COLUMNS.index, ("access", "version", "sealed"))

    def upsert() -> None:
        for row in rows:
            row[access] = secrets.token_hex(16)
            row[version] = secrets.token_hex(16)
            row[sealed] = os.urandom(len(row[sealed]))
            db.execute(UPSERT, row)

    return upsert


def inserts(db: sqlite3.Connection, like: str) -> Callable[[], None]:
    """Return the floor of a first save: the same upsert, of a row that is not there."""
    row = list(db.execute(SELECT, (record_id(like),)).fetchone())
    sealed = COLUMNS.index("sealed")
    own = [i for i, name in enumerate(COLUMNS) if name not in FIXED and row[i] is not None]
    row[COLUMNS.index("due_at")] = time.time()  # as for each new login

    def insert() -> None:
        for _ in range(SAVES):
            for column in own:
                row[column] = secrets.token_hex(16)
            row[sealed] = os.urandom(len(row[sealed]))
            db.execute(UPSERT, row)

    return insert


def cases(path: Path, n: int, rounds: int) -> list[Case]:
    source = path / f"{n}.db"
    store, other = (SDKStore(f"sqlite:///{source}") for _ in range(2))
    vault = store.keeper.store
    every = fill(vault, source, n)
    ids = every[:: n // SAVES][:SAVES]
    same, fresh = (copy_of(source, path / f"{n}-{name}.db") for name in ("same", "new"))
    bare = copy_of(source, path / f"{n}-bare.db", indexes=False)
    stored = [vault.find_token_by_id(i) for i in ids]

    def for_sdk(tokens: Iterable[Any]) -> list[Any]:
        return [theirs(each, each.expires_at, each.id) for each in tokens]

    known = for_sdk(stored)
    # Read by the one store, saved by the other, which has seen none of them.
    unseen = iter(for_sdk(map(vault.find_token_by_id, every[: (rounds + 1) * SAVES])))
    new = iter(for_sdk(map(made_up, range(n, n + (rounds + 1) * SAVES))))
    newer = iter(range(2 * n + rounds * SAVES, 10**9))

    def save(store: SDKStore, tokens: Iterable[Any]) -> None:
        for token in islice(tokens, SAVES):
            token.set_access_token(access_token())
            store.save_token(token)

    def in_vault() -> None:
        for token in stored:
            vault.save_token(token.but(access_token=access_token(), version=None))

    def renewal() -> None:
        for i in ids:
            token = vault.reread(i)
            vault.swap(token.but(access_token=access_token()))

    took = in_turn(
        {
            SAME: upserts(same, ids),
            BARE: upserts(bare, ids),
            NEW: inserts(fresh, ids[0]),
            "SDKStore.save_token": lambda: save(store, known),
            "SDKStore.save_token, not seen before": lambda: save(other, unseen),
            "SDKStore.save_token, a new user": lambda: save(store, new),
            "Vault.save_token": in_vault,
            "Vault.save_token, a new user": lambda: [
                vault.save_token(made_up(next(newer))) for _ in ids
            ],
            "Vault.swap": renewal,
        },
        rounds=rounds,
        calls=SAVES,
    )
    for db in (same, fresh, bare):
        db.close()
    for each in (store, other):
        each.close()
    sdk, vaults = "SDKStore.save_token", "Vault.save_token"
    update, insert = "floor: an update", "floor: an insert"
    return [
        against(took, sdk, SAME, n=n, target=2.0, note=update),
        against(took, sdk, BARE, n=n, note="floor: an update without the other indexes"),
        against(took, f"{sdk}, not seen before", SAME, n=n, target=2.0, note=update),
        against(took, f"{sdk}, a new user", NEW, n=n, target=2.0, note=insert),
        against(took, f"{sdk}, a new user", SAME, n=n, note=update),
        against(took, vaults, SAME, n=n, target=2.0, note=update),
        against(took, f"{vaults}, a new user", NEW, n=n, target=2.0, note=insert),
        against(took, "Vault.swap", SAME, n=n, target=2.0, note="a renewal's read and write"),
    ]


def main() -> None:
    given = options(__doc__)
    sizes = (1_000, 10_000, 100_000) if given.full else (1_000, 10_000)
    with folder() as path:
        found = [case for n in sizes for case in cases(path, n, 200 if given.full else 80)]
    report("save, on disk", "µs a call", found, given)


if __name__ == "__main__":
    main()
