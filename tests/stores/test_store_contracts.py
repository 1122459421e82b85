"""The teaching example, and the vault in memory and over SQLite, opened as users open it."""

from __future__ import annotations

import os
from functools import partial

import pytest

import tokenkeep
from tokenkeep.stores.list import ListStore
from tokenkeep.testing import SharedSwapContract, StoreContract, SwapContract


def _opener(url):
    return partial(tokenkeep.open_store, url, keys_newest_first=[os.urandom(32)], environ={})


class TestSQLite(StoreContract, SharedSwapContract):
    @pytest.fixture
    def open_store(self, tmp_path):
        return _opener(f"sqlite:///{tmp_path}/tokens.db")


class TestMemory(StoreContract, SwapContract):
    @pytest.fixture
    def open_store(self):
        store = _opener("memory:")()
        return lambda: store


class TestList(StoreContract):
    @pytest.fixture
    def open_store(self):
        store = ListStore()
        return lambda: store
