"""The vault over servers: what users of a store are promised, and what Redis gets to see."""

from __future__ import annotations

import functools
import os

import pytest
import redis

from tokenkeep import KeyRing, Token, Vault
from tokenkeep.backends import open_backend
from tokenkeep.testing import SharedSwapContract, StoreContract


def vault(url, key=bytes(32)):
    return Vault(open_backend(url), KeyRing([key]), max_staleness=0.0)


class TestRedis(StoreContract, SharedSwapContract):
    @pytest.fixture
    def open_store(self, redis_server):
        return functools.partial(vault, redis_server.url())


def test_nothing_in_clear(redis_server):
    """Invariant 10: no secret is in any key, nor in the server's append-only file."""
    url, mark = redis_server.url(), os.urandom(16).hex()
    store = vault(url, os.urandom(32))
    token = Token(
        user="ana",
        client_secret=f"{mark}.secret",
        access_token=f"{mark}.access",
        refresh_token=f"{mark}.refresh",
        grant_token=f"{mark}.grant",
    )
    stored = store.save_token(token)
    store.swap(stored.but(access_token=f"{mark}.other"))
    store.close()

    with redis.Redis.from_url(url) as client:
        kept = {name: client.dump(name) for name in client.scan_iter()}
    assert mark not in repr(kept)
    assert stored.id.removeprefix("tk_") in repr(kept)
    files = [each for each in (redis_server.folder / "data").rglob("*") if each.is_file()]
    assert any(b"tokenkeep" in each.read_bytes() for each in files)
    assert not [each for each in files if mark.encode() in each.read_bytes()]
