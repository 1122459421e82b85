"""What the answers of other servers make of stored tokens: a keeper, a store, a real server."""

from __future__ import annotations

import pytest
from provider_server import answering, as_json, response

from tokenkeep import (
    GrantRejected,
    Keeper,
    LoginNeeded,
    ProviderRefused,
    ProviderUnavailable,
    Token,
    open_store,
)
from tokenkeep.providers import Providers
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
    ("known", "options", "lifetime", "renewals"),
    [
        ({"access_token": "a1", "expires_at": NOW + 1800}, {}, 1800.0, 12),
        ({"access_token": "a1", "expires_at": NOW + 1800, "grant_token": "g"}, {}, 1800.0, 12),
        ({"access_token": "a1", "expires_at": NOW + 1800}, {"lifetime": 300.0}, 1800.0, 12),
        ({}, {"lifetime": 600.0}, 600.0, 38),
        ({}, {}, None, 1),
    ],
)
def test_lifetime(*, keep, known, options, lifetime, renewals):
    """
    An answer without its life keeps the one that was known: of the login, before the option.

    Where nobody has ever said it a token is used until it is refused.
    """
    keeper, server = keep(numbered(), **options)
    login(keeper, **known)

    seen = used(keeper, hours=5)

    assert abs(server.connections - renewals) <= 1
    assert server.connections == len(seen) - len(known.keys() & {"access_token"})
    assert lifetime == keeper.get(user="ana").renewal.lifetime


def test_a_login_that_says_no_life(keep):
    """A later login without it keeps what was known of the earlier one."""
    keeper, _ = keep(numbered())
    login(keeper, access_token="a1", expires_at=NOW + 1800)

    again = login(keeper, access_token="b1", refresh_token="r2", grant_token="code")

    assert 1800.0 == again.renewal.lifetime
    assert "a2" == keeper.get(user="ana").access_token
    assert NOW + 1800 == keeper.get(user="ana").expires_at


class Gone(OAuth2):
    """A provider whose status says what its body does not, or a field of its own does."""

    def meaning(self, status, fields):
        """Know two more."""
        if status == 410:
            return GrantRejected
        return ProviderRefused if "no" in fields else super().meaning(status, fields)


@pytest.mark.parametrize(
    ("answer", "error", "kind"),
    [
        (response(b"<html>", "410 Gone"), LoginNeeded, "rejected"),
        (as_json({"no": "s3cret"}, "400 Bad"), ProviderRefused, "configuration"),
        (as_json({"error": "invalid_client"}, "401 No"), ProviderRefused, "configuration"),
        (as_json({"detail": "s3cret"}, "400 Bad"), ProviderUnavailable, "transient"),
    ],
)
def test_own_meaning(keep, answer, error, kind):
    """The hook's meaning counts, also where nothing can be read, and is remembered in words."""
    keeper, server = keep(lambda _: answer, Gone("acme"))
    saved = login(keeper, issuer=server.url)

    with pytest.raises(error):
        keeper.get(user="ana")

    failure = keeper.store.reread(saved.id).renewal.failure
    assert kind == failure.kind
    assert "s3cret" not in failure.error


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
