"""Save: a new access token for a stored row, beside one upsert with synchronous=FULL."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

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
    report,
)

from tokenkeep.backends.rows import COLUMNS
from tokenkeep.integrations.zoho_sdk import SDKStore, zoho_tokens

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from common import Case

SAVES = 10
"""How many different tokens one round saves."""

SAME = "upsert, same table"
BARE = "upsert, no other index"


def upserts(db: sqlite3.Connection, ids: list[str]) -> Callable[[], None]:
    """Return the floor: for each row a new access digest, version and sealed blob."""
    rows = [list(db.execute(SELECT, (i,)).fetchone()) for i in ids]
    access, version, sealed = map(COLUMNS.index, ("access", "version", "sealed"))

    def upsert() -> None:
        for row in rows:
            row[access] = secrets.token_hex(32)
            row[version] = secrets.token_hex(16)
            row[sealed] = os.urandom(len(row[sealed]))
            db.execute(UPSERT, row)

    return upsert


def cases(path: Path, n: int, rounds: int) -> list[Case]:
    source = path / f"{n}.db"
    store = SDKStore(f"sqlite:///{source}")
    vault = store.keeper.store
    ids = fill(vault, source, n)[:: n // SAVES][:SAVES]
    same = copy_of(source, path / f"{n}-same.db")
    bare = copy_of(source, path / f"{n}-bare.db", indexes=False)
    stored = [vault.find_token_by_id(i) for i in ids]
    known = [zoho_tokens.made(token, token.expires_at) for token in stored]
    new = iter(range(n, 10**9))

    def by_sdk() -> None:
        for token in known:
            token.set_access_token(access_token())
            store.save_token(token)

    def in_vault() -> None:
        for token in stored:
            vault.save_token(token.but(access_token=access_token()))

    def renewal() -> None:
        for i in ids:
            token = vault.reread(i)
            vault.swap(token.but(access_token=access_token()))

    def first_save() -> None:
        for _ in ids:
            vault.save_token(made_up(next(new)))

    took = in_turn(
        {
            SAME: upserts(same, ids),
            BARE: upserts(bare, ids),
            "SDKStore.save_token": by_sdk,
            "Vault.save_token": in_vault,
            "Vault.swap": renewal,
            "Vault.save_token, first": first_save,
        },
        rounds=rounds,
        calls=SAVES,
    )
    for db in (same, bare):
        db.close()
    store.close()
    return [
        against(took, "SDKStore.save_token", SAME, n=n, target=1.5, note="of a stored token"),
        against(took, "SDKStore.save_token", BARE, n=n, note="floor: without the other indexes"),
        against(took, "Vault.save_token", SAME, n=n, target=1.5, note="of a stored token"),
        against(took, "Vault.swap", SAME, n=n, target=1.5, note="a renewal's write"),
        against(took, "Vault.save_token, first", SAME, n=n, note="an insert; floor: an update"),
    ]


def main() -> None:
    given = options(__doc__)
    sizes = (100, 10_000, 100_000) if given.full else (100, 10_000)
    with folder() as path:
        found = [case for n in sizes for case in cases(path, n, 150 if given.full else 60)]
    report("save, on disk", "µs a call", found, given)


if __name__ == "__main__":
    main()
