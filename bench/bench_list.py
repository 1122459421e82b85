"""List: get_tokens beside reading and opening the same rows by hand; what the iterator holds."""

from __future__ import annotations

import json
import tracemalloc
from collections import deque
from typing import TYPE_CHECKING, Any

from common import (
    SELECT_ALL,
    Case,
    against,
    fill,
    folder,
    in_turn,
    kept_connection,
    options,
    report,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tokenkeep import Renewal, Status, Token, open_store
from tokenkeep.integrations.zoho_sdk import SDKStore
from tokenkeep.token import Happening

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from tokenkeep import Vault

SALT, NONCE, HEAD = slice(1, 17), slice(17, 29), slice(29, None)
"""What is where in sealed bytes."""


class ByHand:
    """The floor: one select of all rows, HKDF, AES-GCM, JSON, the same dataclasses; no checks."""

    def __init__(self, db: sqlite3.Connection, vault: Vault) -> None:
        self._db = db
        keys = vault._rows.header.keys  # noqa: SLF001  # the floor has no way in of its own
        self._key, self._store_id = keys._keys[keys.newest], keys.store_id  # noqa: SLF001

    def tokens(self) -> list[Token]:
        return [
            self._token(*row)
            for row in self._db.execute(
                "SELECT id, version, owner, sealed, last_used_at FROM token"
                " WHERE kind = 'row' ORDER BY id"
            )
        ]

    def _token(
        self, id_: str, version: str, owner: str, sealed: bytes, used: float | None
    ) -> Token:
        key = HKDF(SHA256(), 32, sealed[SALT], b"tokenkeep 2 record").derive(self._key)
        bound = f"tokenkeep 2\0{self._store_id}\0{id_}\0row\0{version}\0{owner}".encode()
        plain = AESGCM(key).decrypt(sealed[NONCE], sealed[HEAD], bound)
        inside: dict[str, Any] = json.loads(plain)
        state = inside.pop("renewal")
        history = [
            Happening(what=what, at=at, by=by, count=count, since=since)
            for what, at, by, count, since in inside.pop("history", ())
        ]
        return Token(
            id=f"tk_{id_}",
            version=version,
            owner=owner,
            last_used_at=used,
            status=Status(inside.pop("status")),
            renewal=Renewal(mints=tuple(state.pop("mints", ())), **state),
            history=tuple(history),
            **inside,
        )


def cases(path: Path, n: int, rounds: int) -> list[Case]:
    path = path / f"{n}.db"
    store = SDKStore(f"sqlite:///{path}")
    vault = store.keeper.store
    fill(vault, path, n)
    db = kept_connection(path)
    by_hand = ByHand(db, vault)
    assert by_hand.tokens() == vault.get_tokens()
    took = in_turn(
        {
            "by hand": by_hand.tokens,
            "select alone": lambda: db.execute(SELECT_ALL).fetchall(),
            "Vault.get_tokens": vault.get_tokens,
            "Vault.iter_tokens": lambda: deque(vault.iter_tokens(), maxlen=0),
            "SDKStore.get_tokens": store.get_tokens,
        },
        rounds=rounds,
        calls=n,
    )
    db.close()
    store.close()
    return [
        against(took, "Vault.get_tokens", "by hand", n=n, target=2.0),
        against(took, "Vault.iter_tokens", "by hand", n=n),
        against(took, "SDKStore.get_tokens", "by hand", n=n, note="and makes OAuthTokens of them"),
        against(took, "by hand", "select alone", n=n, note="the floor beside a bare select"),
    ]


def peak(path: Path, n: int, *, listed: bool) -> float:
    """Return the most memory that listing *n* tokens held at once, in MB."""
    path = path / f"peak-{n}.db"
    vault = open_store(f"sqlite:///{path}", make=True)
    if not any(vault.iter_tokens()):
        fill(vault, path, n)
    deque(vault.iter_tokens(), maxlen=0)  # what is loaded or kept once and for all
    tracemalloc.start()
    if listed:
        assert len(vault.get_tokens()) == n
    else:
        assert sum(1 for _ in vault.iter_tokens()) == n
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    vault.close()
    return held / 1e6


def memory(path: Path) -> list[Case]:
    small, large = 1_000, 50_000
    few, many = (peak(path, n, listed=False) for n in (small, large))
    return [
        Case("iter_tokens", large, many, few, target=1.25, note=f"floor: {small:,} tokens"),
        Case("get_tokens", large, peak(path, large, listed=True), few, note="a list holds all"),
    ]


def main() -> None:
    given = options(__doc__)
    sizes = ((100, 60), (1_000, 30), (10_000, 10)) if given.full else ((100, 40), (1_000, 15))
    with folder() as path:
        found = [case for n, rounds in sizes for case in cases(path, n, rounds)]
        held = memory(path)
    report("list all", "µs a token", found, given)
    report("memory held while listing all", "MB at the peak", held, given)


if __name__ == "__main__":
    main()
