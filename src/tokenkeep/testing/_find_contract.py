"""The part of `StoreContract` about finding: what a partial token means."""

# ruff: noqa: S101, S105, S106 -- these are tests: they assert, and their secrets are made up

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING

import pytest

from tokenkeep.errors import AmbiguousLookup, EmptyLookup
from tokenkeep.testing._store_fixtures import StoreFixtures, full
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from tokenkeep.store import TokenStore
    from tokenkeep.testing._store_fixtures import Factory

_QUESTIONS = {
    "user": Token(user="ana"),
    "user and client": Token(user="ana", client_id="client"),
    "user and environment": Token(user="ana", environment="production"),
    "user over other tokens": Token(user="ana", client_id="client", refresh_token="unknown"),
    "access token": Token(access_token="access of ana"),
    "grant token": Token(grant_token="grant of ana", client_id="client", client_secret="s"),
    "refresh token": Token(refresh_token="refresh of ana", client_id="client"),
    "refresh beside a new grant": Token(
        grant_token="unknown", refresh_token="refresh of ana", client_id="client"
    ),
    "empty texts": Token(
        id="", user="", access_token="", grant_token="grant of ana", refresh_token=""
    ),
    "another client secret": Token(
        refresh_token="refresh of ana", client_id="client", client_secret="another"
    ),
}
"""Questions that mean the one token of ana."""

_ELSEWHERE = {
    "nobody": Token(user="nobody"),
    "user of another client": Token(user="ana", client_id="other"),
    "user of another environment": Token(user="ana", environment="sandbox"),
    "user of another data centre": Token(user="ana", data_center="eu"),
    "user of another provider": Token(user="ana", provider="oauth2"),
    "unknown id of a known user": Token(id="unknown", user="ana"),
    "access token with a client": Token(access_token="access of ana", client_id="client"),
    "access token with a secret": Token(access_token="access of ana", client_secret="s"),
    "refresh token without its client": Token(refresh_token="refresh of ana"),
    "refresh token of another client": Token(refresh_token="refresh of ana", client_id="other"),
    "refresh token as an access token": Token(access_token="refresh of ana"),
    "access token as a refresh token": Token(refresh_token="access of ana", client_id="client"),
    "unknown user with a known token": Token(user="nobody", access_token="access of ana"),
    "part of a name": Token(user="an"),
    "a pattern": Token(user="a%"),
    "another case": Token(user="ANA"),
    "a space behind": Token(user="ana "),
    "SQL": Token(user="x' OR '1'='1"),
}
"""Questions that mean nobody's, although ana's is the only token there is."""

_EMPTY = (
    Token(),
    Token(id="", user="", access_token="", refresh_token="", grant_token=""),
    Token(client_id="client", client_secret="client secret"),
    Token(environment="production", data_center="us", provider="zoho"),
)
"""Questions with nothing in them that could be looked for."""


class FindContract(StoreFixtures):
    """The promises of `TokenStore.find_token` and `TokenStore.find_token_by_id`."""

    def test_empty_at_first(self, store: TokenStore) -> None:
        """A new store holds nothing, and asking for something is no error."""
        assert store.get_tokens() == []
        assert list(store.iter_tokens()) == []
        assert store.find_token(Token(user="ana")) is None
        assert store.find_token_by_id("unknown") is None

    def test_find_token(self, connect: Factory) -> None:
        """A partial token finds the one it means, among others, for every process."""
        connect().save_token(full("bob"))
        ana, elsewhere = connect().save_token(full("ana")), connect()

        for name, question in _QUESTIONS.items():
            assert elsewhere.find_token(question) == ana, name

    def test_find_by_id(self, connect: Factory) -> None:
        """An id finds its token, if it is what else is asked for."""
        connect().save_token(full("bob"))
        ana = connect().save_token(full("ana"))

        assert connect().find_token_by_id(str(ana.id)) == ana
        same = Token(id=ana.id, user="ana", client_id="client", environment="production")
        assert connect().find_token(same) == ana
        for other in ({"user": "bob"}, {"client_id": "other"}, {"environment": "sandbox"}):
            assert connect().find_token(Token(id=ana.id).but(**other)) is None

    def test_find_nobodys(self, store: TokenStore) -> None:
        """What means no stored token is None, never the next best."""
        store.save_token(full("ana"))

        for name, question in _ELSEWHERE.items():
            assert store.find_token(question) is None, name
        for unknown in ("", "unknown", "1 or 1=1", "%", "a\0"):
            assert store.find_token_by_id(unknown) is None, unknown

    def test_find_nothing(self, store: TokenStore) -> None:
        """A question with nothing in it is an error, and never answers with any token."""
        store.save_token(full("ana"))

        for question in _EMPTY:
            with pytest.raises(EmptyLookup):
                store.find_token(question)

    def test_grant_before_refresh(self, store: TokenStore) -> None:
        """With both a grant and a refresh token that are stored, the grant decides."""
        store.save_token(full("ana"))
        bob = store.save_token(full("bob"))

        question = Token(
            grant_token="grant of bob", refresh_token="refresh of ana", client_id="client"
        )
        assert store.find_token(question) == bob

    def test_a_status_decides_nothing(self, store: TokenStore) -> None:
        """Of several none is chosen because the others are dead; a dead one alone is found."""
        dead = store.save_token(full())
        dead = store.save_token(dead.but(status=Status.REVOKED))
        assert store.find_token(Token(user="ana")) == dead

        store.save_token(full(client_id="other", refresh_token="r2", grant_token="g2"))

        with pytest.raises(AmbiguousLookup):
            store.find_token(Token(user="ana"))
        assert store.find_token(Token(user="ana", client_id="client")) == dead

    def test_answers_are_frozen(self, store: TokenStore) -> None:
        """What a store answers can't be changed by whoever asked, nor by what is saved later."""
        saved = store.save_token(full())
        found = store.find_token(Token(user="ana"))
        assert found is not None

        with pytest.raises(FrozenInstanceError):
            found.access_token = "changed"  # type: ignore[misc]  # the promise under test
        store.save_token(full(access_token="renewed"))

        assert found == saved

    def test_what_others_save_is_seen_at_once(self, connect: Factory) -> None:
        """A process that has found a token before sees what another one wrote since."""
        mine, yours = connect(), connect()
        saved = mine.save_token(full())
        for ask in (Token(id=saved.id), Token(user="ana")):
            assert yours.find_token(ask) == saved

        renewed = mine.save_token(full(access_token="renewed"))

        for ask in (Token(id=saved.id), Token(user="ana"), Token(access_token="renewed")):
            assert yours.find_token(ask) == renewed
        assert yours.find_token(Token(access_token="access of ana")) is None
