"""What stores promise of tokens that were revoked or rejected; part of `StoreContract`."""

# ruff: noqa: S101, S105, S106 -- these are tests: they assert, and their secrets are made up

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tokenkeep.testing._find_contract import FindContract
from tokenkeep.testing._store_fixtures import full
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from tokenkeep.store import TokenStore
    from tokenkeep.testing._store_fixtures import Factory


class DeadContract(FindContract):
    """The promises about tokens that are not handed out any more."""

    @pytest.mark.parametrize("status", [Status.REVOKED, Status.LOGIN_NEEDED])
    def test_a_save_can_end_a_token(self, connect: Factory, status: Status) -> None:
        """A save whose own status is one of the two sets it, for everybody at once."""
        saved = connect().save_token(full())
        elsewhere = connect()
        assert elsewhere.find_token_by_id(str(saved.id)) == saved

        dead = connect().save_token(saved.but(status=status))

        assert dead.status is status
        assert elsewhere.find_token_by_id(str(saved.id)) == dead
        if status is Status.REVOKED:
            assert dead.access_token is None

    @pytest.mark.parametrize("status", [Status.REVOKED, Status.LOGIN_NEEDED])
    def test_a_first_save_can_bring_a_dead_token(self, store: TokenStore, status: Status) -> None:
        """What was dead in the store it comes from does not come to life in this one."""
        dead = store.save_token(full().but(status=status))

        assert dead.status is status
        assert dead.refresh_token == full().refresh_token
        found = store.find_token_by_id(str(dead.id))
        assert found is not None
        assert found.status is status
        if status is Status.REVOKED:
            assert (dead.access_token, found.access_token) == (None, None)

    def test_a_first_save_can_bring_what_had_one_token(self, store: TokenStore) -> None:
        """Of a revoked access token nothing is left to find it by; its id still tells."""
        dead = store.save_token(Token(access_token="a", status=Status.REVOKED))

        assert store.find_token_by_id(str(dead.id)) == dead
        assert (dead.status, dead.access_token) == (Status.REVOKED, None)

    @pytest.mark.parametrize("status", [Status.REVOKED, Status.LOGIN_NEEDED])
    def test_the_stored_refresh_token_lifts_nothing(
        self, store: TokenStore, status: Status
    ) -> None:
        """A late save with the stored refresh token, or with none, does not bring it back."""
        saved = store.save_token(full())
        dead = store.save_token(saved.but(status=status))

        for late in (full(access_token="late"), Token(id=saved.id, access_token="late")):
            after = store.save_token(late)
            assert after == dead.but(version=after.version)
            assert store.find_token_by_id(str(saved.id)) == after

    @pytest.mark.parametrize("status", [Status.REVOKED, Status.LOGIN_NEEDED])
    @pytest.mark.parametrize(
        "login",
        [{"refresh_token": "r2"}, {"refresh_token": None, "grant_token": "g2"}],
        ids=["refresh", "grant"],
    )
    def test_a_new_login_does(
        self, store: TokenStore, status: Status, login: dict[str, Any]
    ) -> None:
        """Another refresh token, or a grant that is not the stored one, is a new login."""
        saved = store.save_token(full())
        store.save_token(saved.but(status=status))

        again = store.save_token(full(access_token="a2", **login))

        assert again.id == saved.id
        assert again.status is Status.OK
        assert again.access_token == "a2"
        if status is Status.REVOKED:
            # The revoked refresh token must not come back with an answer that omits one.
            assert again.refresh_token == login["refresh_token"]
