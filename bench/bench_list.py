"""List: get_tokens beside reading and opening the same rows by hand; what the iterator holds."""

from __future__ import annotations

import json
import tracemalloc
from collections import deque
from typing import TYPE_CHECKING, Any

from common import NAMES, Case, against, fill, folder, in_turn, kept_connection, options, report
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tokenkeep import Claim, Failure, Renewal, Status, Token, open_store
from tokenkeep.integrations.zoho_sdk import SDKStore

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

HEAD = 1 + 8 + 12
"""Format, key id and nonce, ahead of the sealed bytes."""


class ByHand:
    """The floor: one select of all rows, AES-GCM, JSON and the same dataclasses; no checks."""

    def __init__(self, db: sqlite3.Connection, key: bytes) -> None:
        self._db = db
        derive = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"tokenkeep 1 seal")
        self._decrypt = AESGCM(derive.derive(key)).decrypt

    def tokens(self) -> list[Token]:
        return [
            self._token(*row)
            for row in self._db.execute(
                "SELECT id, version, identity, sealed, last_used_at FROM token ORDER BY id"
            )
        ]

    def _token(
        self, id_: str, version: str, identity: str, sealed: bytes, used: float | None
    ) -> Token:
        bound = json.dumps(["tokenkeep 1", id_, identity, version]).encode()
        inside: dict[str, Any] = json.loads(self._decrypt(sealed[9:HEAD], sealed[HEAD:], bound))
        state = inside.pop("renewal")
        claim, failure, mints = state.pop("claim"), state.pop("failure"), state.pop("mints")
        renewal = Renewal(
            claim=Claim(**claim) if claim else None,
            failure=Failure(**failure) if failure else None,
            mints=tuple(mints),
            to_revoke=tuple(map(tuple, state.pop("to_revoke"))),
            **state,
        )
        return Token(
            id=id_,
            version=version,
            identity=identity,
            last_used_at=used,
            status=Status(inside.pop("status")),
            renewal=renewal,
            **inside,
        )


def cases(path: Path, n: int, rounds: int, key: bytes) -> list[Case]:
    path = path / f"{n}.db"
    store = SDKStore(open_store(f"sqlite:///{path}", keys_newest_first=[key]))
    vault = store.keeper.store
    fill(vault, path, n)
    db = kept_connection(path)
    by_hand = ByHand(db, key)
    assert sorted(t.id for t in by_hand.tokens()) == [t.id for t in vault.get_tokens()]
    assert by_hand.tokens() == vault.get_tokens()
    took = in_turn(
        {
            "by hand": by_hand.tokens,
            "select alone": lambda: db.execute(f"SELECT {NAMES} FROM token").fetchall(),
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
    vault = open_store(f"sqlite:///{path}")
    if not path.stat().st_size or vault.backend.scan(None, 1) == []:
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
    key = bytes(range(32))
    sizes = ((100, 60), (1_000, 30), (10_000, 10)) if given.full else ((100, 40), (1_000, 15))
    with folder() as path:
        found = [case for n, rounds in sizes for case in cases(path, n, rounds, key)]
        held = memory(path)
    report("list all", "µs a token", found, given)
    report("memory held while listing all", "MB at the peak", held, given)


if __name__ == "__main__":
    main()
