"""What other servers make of stored tokens: those of logins, and of a client that has none."""

from __future__ import annotations

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
from tokenkeep.providers import Profile, Providers
from tokenkeep.providers.oauth2 import OAuth2
from tokenkeep.stores.list import ListStore
from tokenkeep.testing import FakeClock

NOW = 1_800_000_000.0
ROW = Token(provider="acme", user="nightly job", client_id="client", client_secret="s3cret")


class Stage:
    """A server, and keepers in stores on one file."""

    def __init__(self, serve, folder):
        self.clock = FakeClock(NOW)
        self.answers, self.new = {}, {"expires_in": 3600}
        self.server = serve(answering(self.answer))
        self.environ = {"TOKENKEEP_KEYS": generate_key()}
        self.url = f"sqlite:///{folder}/tokens.db"
        self.keepers = []

    def answer(self, fields):
        """Answer with another token; ``answers`` are by what was asked with."""
        new = {"access_token": f"a{self.server.connections}", **self.new}
        return self.answers.get(fields.get("grant_type", "revoke"), new)

    def keeper(self, clock=None, kind=OAuth2, **options):
        """Open the store anew."""
        clock = clock or self.clock
        options = {"issuer": self.server.url, "grant": "client_credentials"} | options
        providers = Providers("zoho", {"acme": kind("acme", **options), "other": OAuth2("other")})
        store = open_store(self.url, providers=providers, clock=clock, environ=self.environ)
        self.keepers.append(Keeper(store, clock=clock))
        return self.keepers[-1]


@pytest.fixture
def stage(serve, tmp_path):
    made = Stage(serve, tmp_path)
    yield made
    for keeper in made.keepers:
        keeper.close()


@pytest.mark.parametrize(("scope", "client_auth"), [(None, "body"), ("read write", "basic")])
def test_fetched_by_itself(stage, scope, client_auth):
    """
    The first who asks for it fetches it; from then on it is renewed the same way.

    Saving it at each start changes nothing; a refresh token in an answer is left alone.
    """
    keeper = stage.keeper(client_auth=client_auth)
    saved = keeper.save(ROW.but(scope=scope))
    assert (None, None) == saved.pair
    stage.answers["client_credentials"] = {"access_token": "a1", "refresh_token": "r"}

    assert "a1" == keeper.get(user="nightly job").access_token
    again = stage.keeper().save(ROW.but(scope=scope))
    assert (saved.id, "a1", None) == (again.id, *again.pair)
    # Without an end it is used until the API refuses it.
    stage.clock.advance(1_000_000)
    assert "a1" == stage.keeper().get(provider="acme", user="nightly job").access_token
    stage.answers.clear()
    assert "a2" == keeper.rejected(saved.id, "a1").access_token
    stage.clock.advance(3600)
    assert "a3" == keeper.get(id=saved.id).access_token

    assert 3 == stage.server.connections
    head, fields = sent(stage.server, -1)
    in_body = {"client_id": "client", "client_secret": "s3cret"} if client_auth == "body" else {}
    scopes = {"scope": scope} if scope else {}
    assert {"grant_type": "client_credentials", **scopes, **in_body} == fields
    assert ("Authorization: Basic" in head) is (client_auth == "basic")


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

    with pytest.raises(ProviderRefused, match=f"{code}.*the client id, the client sec") as caught:
        keeper.get(user="nightly job")

    assert type(caught.value) is ProviderRefused
    assert "redirect" not in str(caught.value)
    assert Status.OK is keeper.store.reread(saved.id).status
    stage.answers.clear()
    keeper.save(ROW.but(client_secret="corrected"))  # at once: another secret
    assert keeper.get(user="nightly job").access_token
    assert "corrected" == sent(stage.server, -1)[1]["client_secret"]


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
    keeper = stage.keeper(grant="refresh_token", profile=Profile(revokes_grant=False))
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


# Those of logins


@pytest.mark.parametrize(
    ("known", "options", "lifetime", "renewals"),
    [
        ({"access_token": "old", "expires_at": NOW + 1800, "grant_token": "g"}, {}, 1800.0, 12),
        ({"access_token": "old", "expires_at": NOW + 1800}, {"lifetime": 300.0}, 1800.0, 12),
        ({}, {"lifetime": 600.0}, 600.0, 38),
        ({}, {}, None, 1),
    ],
)
def test_lifetime(*, stage, known, options, lifetime, renewals):
    """
    An answer without its life keeps the one that was known: of the login, before the option.

    Where nobody has ever said it a token is used until it is refused. A later login that does not
    say it changes nothing.
    """
    stage.url, stage.new = "memory:", {}
    keeper = stage.keeper(grant="refresh_token", **options)
    keeper.save(ROW.but(refresh_token="r1", **known))

    seen = set()
    for _ in range(5 * 60):
        seen.add(keeper.get(user="nightly job").access_token)
        keeper.clock.advance(60)

    assert abs(stage.server.connections - renewals) <= 1
    assert stage.server.connections == len(seen - {"old"})
    assert lifetime == keeper.get(user="nightly job").renewal.lifetime
    again = keeper.save(ROW.but(access_token="new", refresh_token="r2", grant_token="code"))
    assert lifetime == again.renewal.lifetime
