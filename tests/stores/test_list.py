from __future__ import annotations

import pytest

from tokenkeep import Keeper, Token
from tokenkeep.stores.list import ListStore
from tokenkeep.testing import StoreContract


class TestContract(StoreContract):
    @pytest.fixture
    def open_store(self):
        store = ListStore()
        return lambda: store


def test_a_keeper_renews_from_it(zoho):
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

    assert valid.access_token
    assert saved.id == valid.id
    assert store.get_tokens()[0].access_token == valid.access_token
