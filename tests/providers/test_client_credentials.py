"""Tokens that a client gets for itself (RFC 6749 section 4.4), kept like any other."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from provider_server import answering, as_json, assert_error_is_clean, sent

from tokenkeep import (
    EmptyLookup,
    Keeper,
    ProviderRefused,
    Status,
    Token,
    TokenRevoked,
    generate_key,
    open_store,
)
from tokenkeep.clock import Clock
from tokenkeep.providers import Profile, Providers
from tokenkeep.providers.oauth2 import OAuth2
from tokenkeep.stores.list import ListStore
from tokenkeep.testing import FakeClock

ROW = Token(provider="acme", user="nightly job", client_id="client", client_secret="s3cret")


class Stage:
    """A server, and keepers in stores on one file."""

    def __init__(self, serve, folder):
        self.clock = FakeClock(1_800_000_000.0)
        self.answers = {}
        self.made = 0
        self.server = serve(answering(self.answer))
        self.environ = {"TOKENKEEP_KEYS": generate_key()}
        self.url = f"sqlite:///{folder}/tokens.db"
        self.keepers = []

    def answer(self, fields):
        """Answer with another token; ``answers`` are by what was asked with."""
        self.made += 1
        new = {"access_token": f"a{self.made}", "expires_in": 3600}
        return self.answers.get(fields.get("grant_type", "revoke"), new)

    def keeper(self, clock=None, **options):
        """Open the store anew."""
        clock = clock or self.clock
        acme = {"kind": "oauth2", "issuer": self.server.url, "grant": "client_credentials"}
        store = open_store(
            self.url,
            providers=Providers("zoho", {"acme": acme | options, "other": {"kind": "oauth2"}}),
            clock=clock,
            environ=self.environ,
        )
        self.keepers.append(Keeper(store, clock=clock))
        return self.keepers[-1]


@pytest.fixture
def stage(serve, tmp_path):
    made = Stage(serve, tmp_path)
    yield made
    for keeper in made.keepers:
        keeper.close()


@pytest.mark.parametrize(
    ("scope", "client_auth"), [(None, "body"), ("read write", "body"), ("read", "basic")]
)
def test_fetched_by_itself(stage, scope, client_auth):
    """The first who asks for it fetches it; from then on it is renewed the same way."""
    keeper = stage.keeper(client_auth=client_auth)
    saved = keeper.save(ROW.but(scope=scope))

    assert (None, None) == saved.pair
    assert "a1" == keeper.get(user="nightly job").access_token
    assert "a1" == stage.keeper().get(provider="acme", user="nightly job").access_token
    stage.clock.advance(3600)
    assert "a2" == keeper.get(id=saved.id).access_token

    assert 2 == stage.server.connections
    head, fields = sent(stage.server, -1)
    in_body = {"client_id": "client", "client_secret": "s3cret"} if client_auth == "body" else {}
    scopes = {"scope": scope} if scope else {}
    assert {"grant_type": "client_credentials", **scopes, **in_body} == fields
    assert ("Authorization: Basic" in head) is (client_auth == "basic")


@pytest.mark.parametrize("old", [{}, {"access_token": "old", "expires_at": 1.0}])
def test_one_call(stage, old):
    """However many ask at once, in stores of their own, one fetches it."""
    keepers = [stage.keeper(Clock()) for _ in range(4)]
    keepers[0].save(ROW.but(**old))
    barrier = threading.Barrier(16)

    def get(number):
        barrier.wait(30)
        return keepers[number % 4].get(user="nightly job").access_token

    with ThreadPoolExecutor(16) as pool:
        assert 1 == len(set(pool.map(get, range(16))))
    assert 1 == stage.server.connections


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"provider": "other"}, "Give an access, refresh or grant token"),
        ({"provider": None}, "Give an access, refresh or grant token"),
        ({"provider": "nobody"}, "Give an access, refresh or grant token"),
        ({"user": ""}, "any name to ask for it by"),
        ({"client_id": None}, "a client id"),
    ],
)
def test_refused(stage, changes, hint):
    """A row without a token is for such providers only, and says for whom and what it is."""
    keeper = stage.keeper()

    with pytest.raises(EmptyLookup, match=hint) as caught:
        keeper.store.save_token(ROW.but(**changes))

    assert_error_is_clean(caught.value)
    assert [] == keeper.store.get_tokens()


@pytest.mark.parametrize("code", ["invalid_client", "access_denied"])
def test_refusal(stage, code):
    """A client that is refused is told of no login, and comes back when it is corrected."""
    keeper = stage.keeper(errors={"access_denied": "GrantRejected"})
    saved = keeper.save(ROW)
    stage.answers["client_credentials"] = as_json({"error": code}, "401 Unauthorized")

    with pytest.raises(ProviderRefused, match=code) as caught:
        keeper.get(user="nightly job")

    assert type(caught.value) is ProviderRefused
    assert "the client id, the client secret and" in str(caught.value)
    assert "redirect" not in str(caught.value)
    assert Status.OK is keeper.store.reread(saved.id).status
    stage.answers.clear()
    keeper.save(ROW.but(client_secret="corrected"))  # at once: another secret
    assert keeper.get(user="nightly job").access_token
    assert "corrected" == sent(stage.server, -1)[1]["client_secret"]


def test_without_an_end(stage):
    """An access token without an end is used until the API refuses it, then fetched anew."""
    stage.answers["client_credentials"] = {"access_token": "endless"}
    keeper = stage.keeper()
    keeper.save(ROW)
    token = keeper.get(user="nightly job")
    stage.clock.advance(1_000_000)
    assert token.access_token == keeper.get(user="nightly job").access_token
    stage.answers.clear()

    token = keeper.rejected(token.id, token.access_token)

    assert token.access_token == keeper.get(user="nightly job").access_token
    assert 2 == stage.server.connections


def test_saved_again(stage):
    """Saving it at each start changes nothing; a refresh token in an answer is left alone."""
    stage.answers["client_credentials"] = {"access_token": "a", "refresh_token": "r"}
    keeper = stage.keeper()
    first = keeper.save(ROW)
    keeper.get(user="nightly job")

    again = stage.keeper().save(ROW)

    assert (first.id, "a", None) == (again.id, *again.pair)
    assert 1 == stage.server.connections


@pytest.mark.parametrize("has_endpoint", [True, False])
def test_revoked(stage, has_endpoint):
    """It ends here, and there where that can be told; only what is deleted can be saved anew."""
    endpoint = {"revocation_endpoint": stage.server.url} if has_endpoint else {}
    keeper = stage.keeper(**endpoint)
    saved = keeper.save(ROW)
    keeper.get(user="nightly job")

    revoked = keeper.revoke(saved.id)

    asked = [sent(stage.server, number)[1] for number in range(stage.server.connections)]
    assert (["a1"] if has_endpoint else []) == [each["token"] for each in asked if "token" in each]
    assert (not has_endpoint) == bool(revoked.renewal.to_revoke)
    said = f"save it anew: tokenkeep delete {saved.id}"
    with pytest.raises(TokenRevoked, match=said) as caught:
        keeper.get(user="nightly job")
    assert "log in" not in str(caught.value)
    for changes in ({}, {"client_secret": "another"}, {"id": saved.id}):
        with pytest.raises(TokenRevoked, match=said) as caught:
            stage.keeper().save(ROW.but(**changes))
        assert_error_is_clean(caught.value)
    keeper.delete(saved.id)
    keeper.save(ROW.but(client_secret="another"))
    assert keeper.get(user="nightly job").access_token
    assert "another" == sent(stage.server, -1)[1]["client_secret"]


@pytest.mark.parametrize("deleted", [True, False])
@pytest.mark.parametrize("lives", [60, None])
def test_revoked_without_an_endpoint(stage, lives, deleted):
    """What the server is not told ends by itself, and is not waited for any longer."""
    new = {"access_token": "a1"} | ({"expires_in": lives} if lives else {})
    stage.answers["client_credentials"] = new
    keeper = stage.keeper()
    keeper.get(id=keeper.save(ROW).id)
    [row] = keeper.tokens()
    (keeper.end if deleted else keeper.revoke)(row.id)

    stage.clock.advance((lives or 3600) - 1)
    assert (0, 1) == ((swept := keeper.sweep()).revoked, swept.unconfirmed)
    stage.clock.advance(600)
    swept = keeper.sweep()

    assert ((1, 0) if lives else (0, 1)) == (swept.revoked, swept.unconfirmed)
    assert (not deleted) == bool(list(keeper.tokens()))


def test_a_login_since_it_was_revoked(stage):
    """The end in the row is then of another access token: what was to be revoked still is."""
    keeper = stage.keeper(grant="refresh_token", profile={"revokes_grant": False})
    alone = ROW.but(access_token="a0", expires_at=stage.clock.now() + 3600)
    keeper.revoke(keeper.save(alone).id)
    row = keeper.save(ROW.but(access_token="a1", refresh_token="r1", expires_at=1.0))

    assert 1 == keeper.sweep().unconfirmed
    assert (("access_token", "a0"),) == keeper.store.reread(row.id).renewal.to_revoke


def test_in_six_methods(stage):
    """A store of one's own knows no providers, its keeper does."""
    with Keeper(ListStore(), providers=stage.keeper().providers, clock=stage.clock) as keeper:
        saved = keeper.save(ROW)
        assert "a1" == keeper.get(user="nightly job").access_token
        stage.clock.advance(3600)
        assert "a2" == keeper.get(id=saved.id).access_token
        keeper.revoke(saved.id)
        with pytest.raises(TokenRevoked, match=f"tokenkeep delete {saved.id}"):
            keeper.save(ROW)

        assert [saved.id] == [each.id for each in keeper.tokens()]


def test_another_provider_that_needs_no_login():
    """What a provider needs is said by its profile; the option of `OAuth2` sets it."""
    alone = OAuth2("acme", grant="client_credentials").profile
    own = OAuth2("acme", grant="client_credentials", profile=Profile(advisory=9)).profile

    assert (False, False, 9) == (alone.needs_login, own.needs_login, own.advisory)
    assert (False, False) == (alone.rotates, own.rotates)  # no room is made for a loss
    assert Profile().needs_login
