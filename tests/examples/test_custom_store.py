"""examples/custom_store.py keeps the contract of a store, and what it says about itself."""

from __future__ import annotations

import importlib.util
import multiprocessing
from pathlib import Path

import pytest

from tokenkeep import Keeper, StoreUnavailable, Token
from tokenkeep.testing import StoreContract

PATH = Path(__file__).parents[2] / "examples" / "custom_store.py"


def table_store(path):
    spec = importlib.util.spec_from_file_location("custom_store", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TableStore(path)


class TestContract(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path):
        return lambda: table_store(tmp_path / "mine.db")


def save(path, number):
    store = table_store(path)
    for _ in range(20):
        store.save_token(Token(user="ana", access_token=f"a{number}", provider="zoho"))


def test_processes_that_save_the_same_user(tmp_path):
    """Eight processes, one user: one row."""
    path = tmp_path / "mine.db"
    with multiprocessing.get_context("spawn").Pool(8) as pool:
        pool.starmap(save, [(path, number) for number in range(8)])

    assert len(table_store(path).get_tokens()) == 1


def test_a_keeper_renews_from_it(zoho, tmp_path):
    """It is all a keeper needs; that its file can't be used is tokenkeep's own error."""
    store = table_store(tmp_path / "mine.db")
    store.save_token(
        Token(
            user=zoho.user.name,
            client_id=zoho.client.client_id,
            client_secret=zoho.client.client_secret,
            refresh_token=zoho.refresh_token(),
            issuer=zoho.us.token_url,
        )
    )

    assert (tmp_path / "mine.db").stat().st_mode & 0o777 == 0o600
    assert Keeper(store).get(user=zoho.user.name).access_token
    with pytest.raises(StoreUnavailable):
        table_store(tmp_path)
