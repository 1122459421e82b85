"""examples/custom_store.py keeps the contract of a store, and what it says about itself."""

from __future__ import annotations

import pytest
from emulated import login

from custom_store import TableStore
from tokenkeep import Keeper, StoreUnavailable, Token
from tokenkeep.testing import StoreContract


class TestContract(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path):
        return lambda: TableStore(tmp_path / "mine.db")


def test_processes_that_save_the_same_user(tmp_path, fork_together):
    """Eight processes, one user: one row."""
    path = tmp_path / "mine.db"

    def save(number):
        store = TableStore(path)
        for _ in range(20):
            store.save_token(Token(user="ana", access_token=f"a{number}", provider="zoho"))

    fork_together(save, 8)

    assert len(TableStore(path).get_tokens()) == 1


def test_a_keeper_renews_from_it(zoho, tmp_path):
    """It is all a keeper needs; that its file can't be used is tokenkeep's own error."""
    store = TableStore(tmp_path / "mine.db")
    store.save_token(login(zoho))

    assert (tmp_path / "mine.db").stat().st_mode & 0o777 == 0o600
    assert Keeper(store).get(user=zoho.user.name).access_token
    with pytest.raises(StoreUnavailable):
        TableStore(tmp_path)
