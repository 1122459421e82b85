"""The provider against the Zoho emulator: a login, a life and an end."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tokenkeep.errors import CoolingDown, GrantRejected, ProviderRefused, ProviderUnavailable
from tokenkeep.providers.base import Place, Profile
from tokenkeep.providers.zoho import PROFILE, Zoho
from tokenkeep.providers.zoho_data_centers import DATA_CENTERS, DataCenter
from tokenkeep.providers.zoho_login import USER_SCOPES, authorization_url, current_user
from tokenkeep.token import Token

REDIRECT = "http://127.0.0.1/callback"
VERIFIER = "v" * 64


@pytest.fixture
def table(zoho):
    """The emulator's data centres in the place of the real ones."""
    there = [zoho[name] for name in zoho.data_centers]
    return DATA_CENTERS.extend(
        *(
            DataCenter(dc.name, dc.accounts_url, dc.api_url, dc.sandbox_url, dc.developer_url)
            for dc in there
        )
    )


@pytest.fixture
def provider(table):
    return Zoho(table)


@pytest.fixture
def token(zoho):
    return Token(
        id="tk-1",
        user=zoho.user.name,
        client_id=zoho.client.client_id,
        client_secret=zoho.client.client_secret,
        refresh_token=zoho.refresh_token(),
        issuer=zoho.us.token_url,
    )


@pytest.mark.parametrize("environment", ["production", "sandbox"])
def test_login(zoho, table, provider, environment):
    """A user of another data centre logs in, is named as the SDK does, and renews there."""
    eva = zoho.add_user("eva@example.com", data_center="eu")
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest())
    url = authorization_url(
        table.by_name("us"),
        client_id=zoho.client.client_id,
        redirect_uri=REDIRECT,
        scope=USER_SCOPES,
        state="st&te",
        code_challenge=challenge.decode().rstrip("="),
    )
    base, _, query = url.partition("?")
    asked = {name: value for name, (value,) in parse_qs(query).items()}
    form = asked | {"decision": "accept", "user": eva.name, "environment": environment}
    answer = requests.post(base, data=form, timeout=20, allow_redirects=False)
    redirected = parse_qs(urlsplit(answer.headers["Location"]).query)

    center = table.by_accounts_server(redirected["accounts-server"][0])
    new = Token(
        client_id=zoho.client.client_id,
        client_secret=zoho.client.secrets[center.name],
        grant_token=redirected["code"][0],
        redirect_uri=REDIRECT,
        issuer=center.token_endpoint,
    )
    login = provider.exchange(new, code_verifier=VERIFIER)

    assert redirected["state"] == ["st&te"]
    assert (redirected["location"], center.name) == (["eu"], "eu")
    assert provider.place(login.api_domain) == Place("eu", environment)
    assert provider.issuer(Place("eu", environment)) == center.token_endpoint
    assert current_user(login.api_domain, login.access_token) == eva.name
    renewed = provider.refresh(new.but(refresh_token=login.refresh_token))
    assert renewed.refresh_token is None
    assert zoho.is_active(renewed.access_token)
    with pytest.raises(GrantRejected):
        provider.exchange(new, code_verifier=VERIFIER)


@pytest.mark.parametrize(
    "unit", ["seconds", "milliseconds_with_sec", "milliseconds", "text", "missing"]
)
def test_lifetime(zoho, provider, token, unit):
    """However the life is written, it is an hour."""
    zoho.options.expires_in = unit

    assert provider.refresh(token).expires_in == 3600.0


def test_eleventh(zoho, provider, token):
    """The eleventh token within ten minutes is refused, until the window is over."""
    for _ in range(PROFILE.mint_limit):
        provider.refresh(token)
    with pytest.raises(CoolingDown):
        provider.refresh(token)
    zoho.clock.advance(PROFILE.mint_window)

    assert zoho.is_active(provider.refresh(token).access_token)


def test_another_data_center(zoho, provider, token):
    """A token that is renewed at the wrong data centre is refused, with what to check."""
    client = zoho.register_client(data_centers=["us"])
    there = token.but(client_id=client.client_id, issuer=zoho.eu.token_url)

    with pytest.raises(ProviderRefused, match="data centre"):
        provider.refresh(there)


def test_wrong_secret(provider, token):
    """A wrong client secret is the configuration's fault, and not shown."""
    with pytest.raises(ProviderRefused) as caught:
        provider.refresh(token.but(client_secret="wr0ng"))

    assert caught.value.error == "invalid_client_secret"
    assert "wr0ng" not in str(caught.value)


def test_revoke(zoho, provider, token):
    """Revoked is revoked, a second time too; then only a login helps."""
    provider.revoke(token)

    assert not zoho.is_active(token.refresh_token)
    assert provider.revoke(token) is None
    with pytest.raises(GrantRejected):
        provider.refresh(token)


FAULTS = ["status", "garbage", "empty", "list", "huge", "drop", "hang", "drip"]


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        *(("refresh", kind) for kind in [*FAULTS, "no_access_token"]),
        *(("revoke", kind) for kind in FAULTS),
    ],
)
def test_fault(*, zoho, table, token, call, kind):
    """Whatever goes wrong on the way ends in one named error, and the next call works."""
    provider = Zoho(table, profile=Profile(call_timeout=1.0))
    fault = zoho.faults.add(endpoint="token" if call == "refresh" else call, kind=kind)

    with pytest.raises(ProviderUnavailable):
        getattr(provider, call)(token)

    assert fault.hits == 1
    zoho.faults.clear()
    getattr(Zoho(table), call)(token)


def test_down(zoho, provider, token):
    """A provider that is not there is a named error, and works when it is back."""
    zoho.stop()
    with pytest.raises(ProviderUnavailable, match="can't be reached"):
        provider.refresh(token)
    zoho.start()

    assert zoho.is_active(provider.refresh(token).access_token)
