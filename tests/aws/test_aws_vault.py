"""The vault over Secrets Manager, where an id is an owner: what users of a store are promised."""

from __future__ import annotations

import functools

import pytest

from tokenkeep import KeyRing, Token, Vault
from tokenkeep.backends import open_backend
from tokenkeep.testing import SharedSwapContract, StoreContract, store_contract
from tokenkeep.testing._store_fixtures import StoreFixtures
from tokenkeep.testing.store_contract import HARD_TEXTS, full

SHORT_TEXTS = tuple(text for text in HARD_TEXTS if len(text) < 1000)
"""Those that a secret holds."""


def vault(url):
    return Vault(open_backend(url), KeyRing([bytes(32)]), max_staleness=0.0)


class TestIdsOfOwners(StoreFixtures):
    """That changes two of the promises."""

    @pytest.fixture
    def open_store(self, aws):
        return functools.partial(vault, aws.url())

    def test_a_nameless_row_learns_its_user(self, store):
        """Its user's row is made, and the old id leads there."""
        nameless = store.save_token(full(None))

        named = store.save_token(nameless.but(user="ana"))

        assert named.user == "ana"
        assert store.find_token_by_id(nameless.id) == named
        assert store.find_token(Token(user="ana")) == named
        assert store.get_tokens() == [named]

    def test_an_id_is_not_used_again(self, store):
        """After a delete the same user is the same row in another version; nobody else is."""
        first = store.save_token(full("ana"))
        store.delete_token(first.id)
        assert store.find_token_by_id(first.id) is None

        other, second = store.save_token(full("bob")), store.save_token(full("ana"))

        assert first.id == second.id != other.id
        assert first.version != second.version


@pytest.mark.slow
class TestSecretsManager(TestIdsOfOwners, StoreContract, SharedSwapContract):
    """The others hold as they are."""

    @pytest.fixture(autouse=True)
    def short_texts(self, monkeypatch):
        monkeypatch.setattr(store_contract, "HARD_TEXTS", SHORT_TEXTS)
