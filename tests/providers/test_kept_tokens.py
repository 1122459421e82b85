"""What the answers of other servers make of stored tokens: a keeper, a store, a real server."""

from __future__ import annotations

import pytest
from provider_server import answering, as_json

from tokenkeep import GrantRejected, Keeper, LoginNeeded, ProviderRefused, Token, open_store
from tokenkeep.providers import Answer, Providers
from tokenkeep.providers.oauth2 import OAuth2
from tokenkeep.testing import FakeClock, emulator_configuration

NOW = 1_800_000_000.0
HOUR = 3600.0


@pytest.fixture
def keep(serve):
    """Return a keeper of one provider on a server that *make* answers for, and that server."""
    keepers = []

    def start(make, provider=None, **options):
        clock = FakeClock(NOW)
        server = serve(answering(make if callable(make) else lambda _: make))
        acme = provider or {"kind": "oauth2", "issuer": server.url, **options}
        store = open_store("memory:", providers=Providers("acme", {"acme": acme}), clock=clock)
        keepers.append(Keeper(store, clock=clock))
        return keepers[-1], server

    yield start
    for keeper in keepers:
        keeper.close()


def login(keeper, **fields):
    """Save what a login answered."""
    token = Token(user="ana", client_id="client", client_secret="secret", refresh_token="r1")
    return keeper.save(token.but(**fields))


def used(keeper, hours, step=60.0):
    """Use the token for so many hours; return the access tokens, each once."""
    seen = []
    for _ in range(int(hours * HOUR / step)):
        token = keeper.get(user="ana")
        if token.access_token not in seen:
            seen.append(token.access_token)
        keeper.clock.advance(step)
    return seen


def numbered(**fields):
    """Return what answers each request with another access token."""
    tokens = (f"a{number}" for number in range(2, 1000))
    return lambda _: {"access_token": next(tokens), "token_type": "Bearer", **fields}


@pytest.mark.parametrize(
    ("grant_token", "options"), [(None, {}), ("code", {}), (None, {"lifetime": 300.0})]
)
def test_lifetime_of_the_login(keep, grant_token, options):
    """An answer without its life keeps the one that was known: of the login, before the option."""
    keeper, server = keep(numbered(), **options)
    login(keeper, access_token="a1", expires_at=NOW + 1800, grant_token=grant_token)

    seen = used(keeper, hours=5)

    assert 11 <= len(seen) <= 13
    assert len(seen) - 1 == server.connections
    assert 1800.0 == keeper.get(user="ana").renewal.lifetime


@pytest.mark.parametrize("first", [{"expires_in": 600}, {"expires_at": NOW + 600}])
def test_lifetime_of_a_renewal(keep, first):
    """So it does where an earlier renewal said it, once."""
    answers = [{"access_token": "a1", **first}, *({"access_token": f"a{n}"} for n in range(2, 99))]
    keeper, server = keep(lambda _: answers[server.connections - 1], clock=lambda: NOW)
    login(keeper)

    assert 12 <= len(used(keeper, hours=2)) <= 16


@pytest.mark.parametrize(("lifetime", "calls"), [(600.0, 8), (1800.0, 3), (None, 1)])
def test_lifetime_of_the_options(keep, lifetime, calls):
    """Where nobody has ever said it the option holds; without it a token is used until refused."""
    keeper, server = keep(numbered(), lifetime=lifetime)
    login(keeper)

    used(keeper, hours=1)

    assert calls == server.connections


class Own(OAuth2):
    """A provider of one's own, which says no life."""

    made = 0

    def refresh(self, token):  # noqa: ARG002  # the interface's
        self.made += 1
        return Answer(access_token=f"own {self.made}")


def test_a_provider_of_one_s_own(keep):
    """A provider that is an object is known as it is; what was known of its tokens holds too."""
    keeper, _ = keep({}, Own("acme"))
    login(keeper, access_token="a1", expires_at=NOW + 3600)

    assert 26 <= len(used(keeper, hours=26, step=300.0)) <= 30


def test_a_login_that_says_no_life(keep):
    """A later login without it keeps what was known of the earlier one."""
    keeper, _ = keep(numbered())
    login(keeper, access_token="a1", expires_at=NOW + 1800)

    again = login(keeper, access_token="b1", refresh_token="r2", grant_token="code")

    assert 1800.0 == again.renewal.lifetime
    assert "a2" == keeper.get(user="ana").access_token
    assert NOW + 1800 == keeper.get(user="ana").expires_at


@pytest.mark.parametrize(
    ("before", "answer", "after"),
    [
        ({"scope": "read write"}, {"scope": "read"}, {"scope": "read"}),
        ({}, {"scope": ["read", "write"]}, {"scope": "read write"}),
        ({"scope": "all"}, {}, {"scope": "all"}),
        ({}, {"api_domain": "https://api.acme.example"},
         {"api_domain": "https://api.acme.example", "data_center": "api.acme.example:443",
          "environment": "api.acme.example:443"}),
        ({}, {"instance_url": "https://eu1.acme.example"},
         {"extra": {"instance_url": "https://eu1.acme.example"}}),
        ({"extra": {"realmId": "7", "id_token": "old"}}, {"id_token": "new"},
         {"extra": {"realmId": "7", "id_token": "new"}}),
        ({"extra": {"realm": "7"}}, {}, {"extra": {"realm": "7"}}),
        ({}, {"refresh_token_expires_in": 600}, {"refresh_expires_at": NOW + 600}),
        ({"refresh_expires_at": NOW + 9}, {}, {"refresh_expires_at": NOW + 9}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("rotated", [None, "r2"])
def test_what_is_kept(*, keep, before, answer, after, rotated):
    """What an answer says is stored, and what it does not say stays, however it is written."""
    keeper, _ = keep({"access_token": "a2", "refresh_token": rotated, **answer})
    saved = login(keeper, **before)

    keeper.get(user="ana")

    stored = keeper.store.reread(saved.id)
    assert after == {name: getattr(stored, name) for name in after}
    assert (rotated or "r1") == stored.refresh_token


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [("410 Gone", LoginNeeded, "rejected"), ("403 No", ProviderRefused, "configuration")],
)
def test_judged_by_the_status(keep, status, error, kind):
    """Where only the status says it, the hook's meaning counts, and is remembered in words."""

    class Gone(OAuth2):
        def meaning(self, status, fields):
            known = {410: GrantRejected, 403: ProviderRefused}
            return known.get(status) or super().meaning(status, fields)

    keeper, server = keep(lambda _: as_json({"detail": "gone"}, status), Gone("acme"))
    saved = login(keeper, issuer=server.url)

    with pytest.raises(error):
        keeper.get(user="ana")

    failure = keeper.store.reread(saved.id).renewal.failure
    assert kind == failure.kind
    assert failure.error.startswith("acme answered")


@pytest.mark.parametrize(
    ("place", "known"),
    [("us", {}), ("eu", {"environment": "production"}), ("eu", {"api_domain": ""})],
)
def test_zoho_without_an_api_domain(*, zoho, tmp_path, place, known):
    """A row of Zoho's that says no place knows it after its renewal, and is found by it."""
    person = zoho.add_user("bo@example.com", data_center=place, zgid="6000124")
    path = tmp_path / "zoho.toml"
    path.write_text(emulator_configuration(zoho))
    here = getattr(zoho, place)
    client = zoho.client
    row = Token(client_id=client.client_id, client_secret=client.client_secret, **known)
    with Keeper(open_store("memory:", environ={"TOKENKEEP_CONFIG": str(path)})) as keeper:
        saved = keeper.save(
            row.but(
                user="bo@example.com:6000124",
                refresh_token=zoho.refresh_token(person),
                issuer=here.token_url,
            )
        )

        keeper.get(user=saved.user)

        found = keeper.get(user=saved.user, environment="production", data_center=place)
        assert (saved.id, here.api_url) == (found.id, found.api_domain)
        assert zoho.is_active(found.access_token)
