"""The teaching example, and the vault over each embedded backend, opened as users open it."""

from __future__ import annotations

import os
from functools import partial

import pytest

import tokenkeep
from tokenkeep import Keeper, Token
from tokenkeep.stores.list import ListStore
from tokenkeep.testing import SharedSwapContract, StoreContract, SwapContract


def _opener(url):
    return partial(tokenkeep.open_store, url, keys_newest_first=[os.urandom(32)], environ={})


class TestSQLite(StoreContract, SharedSwapContract):
    @pytest.fixture
    def open_store(self, tmp_path):
        return _opener(f"sqlite:///{tmp_path}/tokens.db")


class TestFile(StoreContract, SharedSwapContract):
    @pytest.fixture
    def open_store(self, tmp_path):
        return _opener(f"file:///{tmp_path}/tokens.json")


@pytest.mark.parametrize("url", ["memory:", "sqlite:///:memory:"])
class TestMemory(StoreContract, SwapContract):
    @pytest.fixture
    def open_store(self, url):
        store = _opener(url)()
        return lambda: store


class TestList(StoreContract):
    @pytest.fixture
    def open_store(self):
        store = ListStore()
        return lambda: store


def test_a_keeper_renews_from_a_list(zoho):
    """A store of six methods is all that a keeper needs."""
    store = ListStore()
    saved = store.save_token(
        Token(
            user=zoho.user.name,
            client_id=zoho.client.client_id,
            client_secret=zoho.client.client_secret,
            refresh_token=zoho.refresh_token(),
            issuer=zoho.us.token_url,
        )
    )

    valid = Keeper(store).get(user=zoho.user.name)

    assert saved.id == valid.id
    assert store.get_tokens()[0].access_token == valid.access_token
