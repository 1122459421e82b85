"""The vault over each embedded backend, opened as users open it."""

from __future__ import annotations

import os
from functools import partial

import pytest

import tokenkeep
from tokenkeep.testing import SharedSwapContract, StoreContract, SwapContract


class TestSQLite(StoreContract, SharedSwapContract):
    @pytest.fixture
    def open_store(self, tmp_path):
        return _opener(f"sqlite:///{tmp_path}/tokens.db")


class TestFile(StoreContract, SharedSwapContract):
    @pytest.fixture
    def open_store(self, tmp_path):
        return _opener(f"file:///{tmp_path}/tokens.json")


class TestMemory(StoreContract, SwapContract):
    @pytest.fixture
    def open_store(self):
        store = _opener("memory:")()
        return lambda: store


class TestSQLiteInMemory(StoreContract, SwapContract):
    @pytest.fixture
    def open_store(self):
        store = _opener("sqlite:///:memory:")()
        return lambda: store


def _opener(url):
    return partial(tokenkeep.open_store, url, keys_newest_first=[os.urandom(32)], environ={})
