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

# ruff: noqa: S101, S105, S106 -- these are tests: they assert, and their secrets are made up

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING, Any

import pytest

from tokenkeep import lookup
from tokenkeep.errors import AmbiguousLookup, DuplicateRefreshToken, EmptyLookup, StoreConflict
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokenkeep.store import TokenStore

    Factory = Callable[[], TokenStore]

__all__ = ["StoreContract"]

_FULL: dict[str, Any] = {
    "client_id": "client",
    "client_secret": "client secret",
    "redirect_uri": "https://example.com/back",
    "expires_at": 4102444800.0,
    "scope": "ZohoCRM.modules.ALL",
    "provider": "zoho",
    "issuer": "https://accounts.zoho.com/oauth/v2/token",
    "api_domain": "https://www.zohoapis.com",
    "data_center": "us",
    "environment": "production",
}
GIVEN = ("user", "access_token", "refresh_token", "grant_token", *_FULL)
"""The fields of a token that its caller gives; the others belong to the store."""

HARD_TEXTS = (
    *(" ", "a", "A", "a ", " a", "a\0", "a\0b", "\n\r\t", "\ufeff\u202e", "x" * 65536),
    *("1 or 1=1", "'; DROP TABLE token; --", '"quoted" \\ %s ? :id', "o'brien@example.com:1"),
    *("caf\u00e9", "cafe\u0301", "CAF\u00c9", "stra\u00dfe", "strasse"),
    "\U0001f511 \U0001f469\u200d\U0001f4bb",
)
"""Texts that look alike to a careless comparison, or break careless quoting."""

LOGIN: dict[str, Any] = {"access_token": "a2", "refresh_token": "r2", "grant_token": "g2"}
_AGAIN: dict[str, dict[str, Any]] = {
    "the same": {},
    "renewed": {"access_token": "renewed"},
    "login": LOGIN,
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

_QUESTIONS = {
    "user": Token(user="ana"),
    "user and client": Token(user="ana", client_id="client"),
    "user and environment": Token(user="ana", environment="production"),
    "user over other tokens": Token(user="ana", client_id="client", refresh_token="unknown"),
    "access token": Token(access_token="access of ana"),
    "grant token": Token(grant_token="grant of ana", client_id="client", client_secret="s"),
    "refresh token": Token(refresh_token="refresh of ana", client_id="client"),
    "grant before refresh token": Token(
        grant_token="grant of ana", refresh_token="refresh of bob", client_id="client"
    ),
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


def full(user: str | None = "ana", **changes: Any) -> Token:
    """Return a token to save, with every field a caller may give."""
    secrets = {f"{kind}_token": f"{kind} of {user}" for kind in ("access", "refresh", "grant")}
    return Token(**({"user": user} | secrets | _FULL | changes))


def given(token: Token) -> dict[str, object]:
    """Return the fields of a token that its caller gave."""
    return {name: getattr(token, name) for name in GIVEN}


class StoreFixtures:
    """The fixture to give, ``open_store``, and those made of it."""

    @pytest.fixture
    def open_store(self) -> Factory:
        """Return what opens the store once more. Every subclass overrides this."""
        raise NotImplementedError("give the fixture open_store: see StoreContract")

    @pytest.fixture
    def connect(self, open_store: Factory) -> Iterator[Factory]:
        """``open_store``, with every store closed at the end."""
        with ExitStack() as stack:
            yield lambda: stack.enter_context(closing(open_store()))

    @pytest.fixture
    def store(self, connect: Factory) -> TokenStore:
        """One opening of the store."""
        return connect()


class StoreContract(StoreFixtures):
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
            sent = f"secret {number}" if not lookup.is_sendable(text) else text
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
        token = full(None, **dict.fromkeys(LOGIN, None) | {name: "credential"})
        first = store.save_token(token)

        second = store.save_token(token.but(scope="more"))

        assert second.id == first.id
        assert store.get_tokens() == [second]
        assert second.scope == "more"

    def test_strangers_are_rows_of_their_own(self, store: TokenStore) -> None:
        """Tokens without a user, and with nothing in common, never meet."""
        kinds = ("access_token", "refresh_token", "grant_token")
        tokens = [store.save_token(full(None, **dict.fromkeys(kinds, f"{n}"))) for n in range(3)]

        assert _by_id(store.get_tokens()) == _by_id(tokens)

    def test_what_is_none_stays_as_stored(self, store: TokenStore) -> None:
        """What a save leaves out, by an id or of a user, or gives as empty texts, stays."""
        first = store.save_token(full())
        renewed = full(access_token="renewed", expires_at=5.0)

        by_id = store.save_token(Token(id=first.id, access_token="renewed", expires_at=5.0))
        less: dict[str, Any] = {"refresh_token": None, "scope": None, "api_domain": None}
        again = store.save_token(renewed.but(**less, grant_token="", client_secret=""))

        assert given(by_id) == given(again) == given(renewed)
        assert store.get_tokens() == [again]

    def test_an_end_belongs_to_its_access_token(self, store: TokenStore) -> None:
        """A new access token without an end does not get the end of the old one."""
        store.save_token(full(expires_at=1.0))

        assert store.save_token(full(access_token="new", expires_at=None)).expires_at is None

    @pytest.mark.parametrize("name", ELSEWHERE)
    def test_same_user_elsewhere_is_another_row(self, store: TokenStore, name: str) -> None:
        """One user with another client, data centre or environment is another token."""
        here = store.save_token(full())
        there = store.save_token(full(**{name: ELSEWHERE[name]}, api_domain=None, **LOGIN))

        assert here.id != there.id
        assert _by_id(store.get_tokens()) == _by_id([here, there])
        for each in (here, there):
            assert store.find_token_by_id(str(each.id)) == each
            assert store.find_token(Token(user="ana").but(**{name: getattr(each, name)})) == each
        with pytest.raises(AmbiguousLookup, match=name):
            store.find_token(Token(user="ana"))

    @pytest.mark.parametrize("name", ["user", "client_id", "environment", "data_center"])
    def test_a_refresh_token_is_in_one_row(self, store: TokenStore, name: str) -> None:
        """The same refresh token for somebody or somewhere else is refused, dead or alive."""
        saved = store.save_token(full())
        other = full(api_domain=None).but(**{name: ELSEWHERE.get(name, "other")})

        with pytest.raises(DuplicateRefreshToken) as refused:
            store.save_token(other)
        assert refused.value.token_id == saved.id
        with pytest.raises(StoreConflict):
            store.save_token(full("evil", id=saved.id))
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
        nameless = store.save_token(full(None, **LOGIN))

        named = store.save_token(nameless.but(user="ana"))

        assert named.id == owner.id
        assert given(named) == given(full("ana", **LOGIN))
        assert store.get_tokens() == [named]
        assert store.find_token(Token(refresh_token="r2", client_id="client")) == named

    def test_a_login_is_kept_once(self, store: TokenStore) -> None:
        """A user's new login that was saved before without a name is that user's alone."""
        store.save_token(full(None, **LOGIN))
        owner = store.save_token(full("ana"))

        named = store.save_token(full("ana", **LOGIN))

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
        """A deleted token is gone for everybody, from every question; no other id deletes it."""
        ana, bob = connect().save_token(full("ana")), connect().save_token(full("bob"))
        elsewhere = connect()
        assert elsewhere.find_token(Token(user="ana")) == ana

        for unknown in ("unknown", "", "1 or 1=1", "%", "a\0"):
            connect().delete_token(unknown)
        assert _by_id(elsewhere.get_tokens()) == _by_id([ana, bob])
        connect().delete_token(str(ana.id))

        assert elsewhere.find_token_by_id(str(ana.id)) is None
        assert elsewhere.find_token(Token(user="ana")) is None
        assert elsewhere.find_token(Token(access_token=ana.access_token)) is None
        assert elsewhere.get_tokens() == [bob]

    def test_what_was_deleted_stays_so(self, store: TokenStore) -> None:
        """A copy of it is not saved again; the same user is another row, under another id."""
        saved = store.save_token(full())
        store.delete_token(str(saved.id))

        for copy in (saved, full(id=saved.id)):
            with pytest.raises(StoreConflict):
                store.save_token(copy)
        second = store.save_token(full())

        assert second.id != saved.id
        assert store.find_token_by_id(str(saved.id)) is None
        assert store.get_tokens() == [second]

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

    # Finding: what a partial token means

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

    # What was revoked or rejected

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


def _by_id(tokens: list[Token]) -> list[Token]:
    return sorted(tokens, key=lambda token: str(token.id))
