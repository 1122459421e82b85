"""
What every store promises, as tests: subclass, give one fixture, run pytest.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def open_store(self, tmp_path):
            return functools.partial(MyStore, tmp_path / "tokens")

Each call of what ``open_store`` returns stands for another process that opens
the same store, which is empty when a test begins. A store in memory returns
the same object each time. What a store may promise beyond that, comparing and
writing among threads and processes, is `SwapContract`.
"""

# ruff: noqa: S101, S106 -- these are tests: they assert, and their secrets are made up

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tokenkeep import lookup
from tokenkeep.errors import AmbiguousLookup, DuplicateRefreshToken, EmptyLookup, StoreConflict
from tokenkeep.testing._dead_contract import DeadContract
from tokenkeep.testing._store_fixtures import GIVEN, HARD_TEXTS, full, given
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from tokenkeep.store import TokenStore
    from tokenkeep.testing._store_fixtures import Factory

_AGAIN: dict[str, dict[str, Any]] = {
    "the same": {},
    "renewed": {"access_token": "renewed"},
    "login": {"access_token": "a2", "refresh_token": "r2", "grant_token": "g2"},
}
"""What a user who is stored already may come back with."""


_TEXTS = (
    *("client_id", "client_secret", "access_token", "refresh_token", "grant_token"),
    "redirect_uri",
)
"""The fields that may be any text of a provider's."""

ELSEWHERE: dict[str, str] = {
    "client_id": "other",
    "provider": "oauth2",
    "data_center": "eu",
    "environment": "sandbox",
}
"""What tells another row of the same user; a store may refuse names that nobody knows."""


class StoreContract(DeadContract):
    """The promises of the six methods of `TokenStore`."""

    # Saving

    def test_comes_back_as_saved(self, connect: Factory) -> None:
        """Every field comes back as it was saved, to whoever asks, with an id and a version."""
        saved = connect().save_token(full())

        assert given(saved) == given(full())
        assert saved.id
        assert saved.version
        assert saved.status is Status.OK
        assert connect().find_token_by_id(saved.id) == saved

    def test_none_stays_none(self, store: TokenStore) -> None:
        """What was not given is None, not an empty text or zero."""
        saved = store.save_token(Token(access_token="a"))

        known = {name for name in GIVEN if getattr(saved, name) is not None}
        assert known - {"provider", "data_center", "environment", "issuer"} == {"access_token"}
        assert store.find_token_by_id(str(saved.id)) == saved

    def test_any_text(self, connect: Factory) -> None:
        """A text in any field comes back as it was, and finds its token, none that is alike."""
        store = connect()
        saved: list[Token] = []
        for number, text in enumerate(HARD_TEXTS):
            # No store takes a secret that can't be what the provider gave.
            sent = f"secret {number}" if lookup.what_is_wrong(text) else text
            hard = full(**dict.fromkeys(_TEXTS, sent)).but(user=text, scope=text)
            saved.append(store.save_token(hard))
            assert given(saved[-1]) == given(hard)

        assert _by_id(connect().get_tokens()) == _by_id(saved)
        for each in saved:
            whose: dict[str, Any] = {"client_id": each.client_id}
            for question in (
                Token(user=each.user),
                Token(access_token=each.access_token),
                Token(grant_token=each.grant_token, **whose),
                Token(refresh_token=each.refresh_token, **whose),
            ):
                assert store.find_token(question) == each

    def test_an_id_that_a_caller_brings(self, connect: Factory) -> None:
        """A token is found by the id it was first saved with, as long as it is there."""
        store = connect()
        store.save_token(full("bob"))
        for chosen in ("2", "customer-42", "o'brien", "1 or 1=1", "a\0", "\U0001f511"):
            saved = store.save_token(full(id=chosen))

            found = connect().find_token_by_id(chosen)
            assert found is not None
            assert (found.user, found.version) == ("ana", saved.version)
            renewed = store.save_token(full(id=chosen, access_token="renewed"))
            assert (renewed.id, len(store.get_tokens())) == (saved.id, 2)
            connect().delete_token(chosen)
            assert connect().find_token_by_id(chosen) is None
            assert [token.user for token in store.get_tokens()] == ["bob"]

    def test_nothing_to_save(self, store: TokenStore) -> None:
        """A save without any token, and not of a user's client, is an error and stores nothing."""
        nothing = {"access_token": "", "refresh_token": None, "grant_token": None}

        for whom in ("user", "client_id"):
            with pytest.raises(EmptyLookup):
                store.save_token(full(**nothing | {whom: None}))

        assert store.get_tokens() == []

    @pytest.mark.parametrize("again", _AGAIN.values(), ids=_AGAIN)
    def test_a_user_is_one_row(self, connect: Factory, again: dict[str, Any]) -> None:
        """A user who comes again, with whatever tokens, is updated and never doubled."""
        first = connect().save_token(full())

        second = connect().save_token(full(**again))

        assert second.id == first.id
        assert given(second) == given(full(**again))
        assert connect().get_tokens() == [second]

    def test_a_write_is_another_version(self, store: TokenStore) -> None:
        """Each write gives a version that was not there before."""
        versions = {store.save_token(full(access_token=f"{n}")).version for n in range(5)}

        assert len(versions) == 5  # noqa: PLR2004  # as many as were written

    @pytest.mark.parametrize("name", ["refresh_token", "grant_token", "access_token"])
    def test_a_nameless_token_is_one_row(self, store: TokenStore, name: str) -> None:
        """The same credential without a user, saved twice, is one row."""
        where: dict[str, Any] = {
            name: "credential",
            "provider": "zoho",
            "data_center": "us",
            "environment": "production",
        }
        token = Token(client_id="client", **where)
        first = store.save_token(token)

        second = store.save_token(token.but(scope="more"))

        assert second.id == first.id
        assert store.get_tokens() == [second]
        assert second.scope == "more"

    def test_strangers_are_rows_of_their_own(self, store: TokenStore) -> None:
        """Tokens without a user, and with nothing in common, never meet."""
        tokens = [store.save_token(full(None, access_token=f"{n}", refresh_token=f"{n}",
                                        grant_token=f"{n}")) for n in range(3)]  # fmt: skip

        assert _by_id(store.get_tokens()) == _by_id(tokens)

    def test_update_by_id(self, store: TokenStore) -> None:
        """A save with the store's id updates that row."""
        first = store.save_token(full())

        second = store.save_token(Token(id=first.id, access_token="renewed", expires_at=5.0))

        assert given(second) == given(full(access_token="renewed", expires_at=5.0))
        assert store.get_tokens() == [second]

    def test_what_is_none_stays_as_stored(self, store: TokenStore) -> None:
        """Fields that a save leaves out, or gives as empty texts, stay as they are."""
        saved = store.save_token(full())

        again = store.save_token(
            full(refresh_token=None, grant_token="", scope=None, client_secret="", api_domain=None)
        )

        assert given(again) == given(saved)

    def test_an_end_belongs_to_its_access_token(self, store: TokenStore) -> None:
        """A new access token without an end does not get the end of the old one."""
        store.save_token(full(expires_at=1.0))

        assert store.save_token(full(access_token="new", expires_at=None)).expires_at is None

    @pytest.mark.parametrize("name", ELSEWHERE)
    def test_same_user_elsewhere_is_another_row(self, store: TokenStore, name: str) -> None:
        """One user with another client, data centre or environment is another token."""
        here = store.save_token(full())
        login = {"refresh_token": "r2", "access_token": "a2", "grant_token": "g2"}
        there = store.save_token(full(**{name: ELSEWHERE[name]}, api_domain=None, **login))

        assert here.id != there.id
        assert _by_id(store.get_tokens()) == _by_id([here, there])
        for each in (here, there):
            assert store.find_token_by_id(str(each.id)) == each
            assert store.find_token(Token(user="ana").but(**{name: getattr(each, name)})) == each
        with pytest.raises(AmbiguousLookup, match=name):
            store.find_token(Token(user="ana"))

    def test_a_shared_credential_mixes_nobody(self, store: TokenStore) -> None:
        """A user who brings the tokens of another one does not touch that one's row."""
        ana = store.save_token(full("ana"))

        with pytest.raises(DuplicateRefreshToken) as refused:
            store.save_token(full("ana").but(user="bob"))
        with pytest.raises(StoreConflict):
            store.save_token(full("evil", id=ana.id))

        assert refused.value.token_id == ana.id
        assert store.get_tokens() == [ana]

    @pytest.mark.parametrize("name", ["user", "client_id", "environment", "data_center"])
    def test_a_refresh_token_is_in_one_row(self, store: TokenStore, name: str) -> None:
        """The same refresh token for somebody or somewhere else is refused, dead or alive."""
        saved = store.save_token(full())
        other = full(**{name: ELSEWHERE.get(name, "other")}, api_domain=None)
        other = other.but(refresh_token=saved.refresh_token)

        with pytest.raises(DuplicateRefreshToken):
            store.save_token(other)
        dead = store.save_token(saved.but(status=Status.REVOKED))
        with pytest.raises(DuplicateRefreshToken):
            store.save_token(other)

        assert store.get_tokens() == [dead]

    def test_a_copy_out_of_date_changes_no_token(self, store: TokenStore) -> None:
        """What was read before somebody else wrote does not put its tokens back."""
        mine = store.save_token(full())
        theirs = store.save_token(full(access_token="renewed"))

        with pytest.raises(StoreConflict):
            store.save_token(mine.but(scope="more"))
        changed = store.save_token(theirs.but(scope="more"))

        assert (changed.access_token, changed.scope) == ("renewed", "more")
        assert store.get_tokens() == [changed]

    def test_a_nameless_row_learns_its_user(self, store: TokenStore) -> None:
        """When its user becomes known, the row is that user's; no second one is made."""
        nameless = store.save_token(full(None))

        named = store.save_token(nameless.but(user="ana"))

        assert named.id == nameless.id
        assert named.user == "ana"
        assert store.find_token(Token(user="ana")) == named
        assert store.get_tokens() == [named]

    def test_a_nameless_row_turns_out_to_be_a_users(self, store: TokenStore) -> None:
        """If that user has a row already, it is written, and stays the only one."""
        owner = store.save_token(full("ana"))
        login = {"access_token": "a2", "refresh_token": "r2", "grant_token": "g2"}
        nameless = store.save_token(full(None, **login))

        named = store.save_token(nameless.but(user="ana"))

        assert named.id == owner.id
        assert given(named) == given(full("ana", **login))
        assert store.get_tokens() == [named]
        assert store.find_token(Token(refresh_token="r2", client_id="client")) == named

    def test_a_login_is_kept_once(self, store: TokenStore) -> None:
        """A user's new login that was saved before without a name is that user's alone."""
        login = {"access_token": "a2", "refresh_token": "r2", "grant_token": "g2"}
        store.save_token(full(None, **login))
        owner = store.save_token(full("ana"))

        named = store.save_token(full("ana", **login))

        assert named.id == owner.id
        assert store.get_tokens() == [named]

    def test_a_revoked_login_gets_no_name(self, store: TokenStore) -> None:
        """What was revoked without a name does not come back as a user's."""
        nameless = store.save_token(full(None, refresh_token="r2", grant_token=None))
        store.save_token(nameless.but(status=Status.REVOKED))
        owner = store.save_token(full("ana"))

        after = store.save_token(full("ana", refresh_token="r2", grant_token=None))

        assert after.status is Status.REVOKED
        assert store.find_token_by_id(str(owner.id)) == owner

    # Listing and deleting

    def test_get_tokens(self, connect: Factory) -> None:
        """All tokens are listed, once each and whole, in both forms."""
        saved = [connect().save_token(full(f"user {n}")) for n in range(20)]

        assert _by_id(connect().get_tokens()) == _by_id(saved)
        assert _by_id(list(connect().iter_tokens())) == _by_id(saved)

    def test_delete_token(self, connect: Factory) -> None:
        """A deleted token is gone for everybody, from every question; the others stay."""
        ana, bob = connect().save_token(full("ana")), connect().save_token(full("bob"))
        elsewhere = connect()
        assert elsewhere.find_token(Token(user="ana")) == ana

        connect().delete_token(str(ana.id))

        assert elsewhere.find_token_by_id(str(ana.id)) is None
        assert elsewhere.find_token(Token(user="ana")) is None
        assert elsewhere.find_token(Token(access_token=ana.access_token)) is None
        assert elsewhere.get_tokens() == [bob]

    def test_delete_is_silent(self, store: TokenStore) -> None:
        """Deleting an id that is not there is no error, and deletes nothing."""
        saved = store.save_token(full())

        for unknown in ("unknown", "", "1 or 1=1", "%", "a\0"):
            store.delete_token(unknown)

        assert store.get_tokens() == [saved]

    def test_an_id_is_not_used_again(self, store: TokenStore) -> None:
        """After a delete the same user is another row: old ids never name somebody else's."""
        first = store.save_token(full())
        store.delete_token(str(first.id))

        second = store.save_token(full())

        assert second.id != first.id
        assert store.find_token_by_id(str(first.id)) is None

    def test_what_was_deleted_stays_so(self, store: TokenStore) -> None:
        """A copy of a deleted token is not saved again, under its id or another."""
        saved = store.save_token(full())
        store.delete_token(str(saved.id))

        for copy in (saved, full(id=saved.id)):
            with pytest.raises(StoreConflict):
                store.save_token(copy)

        assert store.get_tokens() == []

    def test_delete_tokens(self, connect: Factory) -> None:
        """All tokens go, for everybody, and the store is usable afterwards."""
        elsewhere = connect()
        tokens = [elsewhere.save_token(full(user)) for user in ("ana", "bob")]

        connect().delete_tokens()

        assert elsewhere.get_tokens() == []
        assert elsewhere.find_token_by_id(str(tokens[0].id)) is None
        connect().delete_tokens()
        assert elsewhere.save_token(full()).user == "ana"

    def test_repr_shows_no_secret(self, store: TokenStore) -> None:
        """Neither a store nor what it returns shows a secret in its ``repr``."""
        saved = store.save_token(full())

        for name in ("access_token", "refresh_token", "grant_token", "client_secret"):
            assert str(getattr(saved, name)) not in repr((store, saved))


def _by_id(tokens: list[Token]) -> list[Token]:
    return sorted(tokens, key=lambda token: str(token.id))
