"""The pages people see: consent and devices."""

from __future__ import annotations

import re
from html import unescape

import pytest
import requests

from tokenkeep.testing import ZohoEmulator

REDIRECT = "http://127.0.0.1:5050/callback"


@pytest.fixture
def asked(zoho):
    return {
        "client_id": zoho.client.client_id,
        "redirect_uri": REDIRECT,
        "response_type": "code",
        "scope": "ZohoCRM.org.READ,ZohoCRM.users.READ",
        "access_type": "offline",
        "state": "a b&c",
    }


def visit(url, asked, **changes):
    return requests.get(url, params=asked | changes, timeout=20, allow_redirects=False)


def decide(url, asked, decision="accept", **changes):
    form = asked | {"decision": decision} | changes
    return requests.post(url, data=form, timeout=20, allow_redirects=False)


def accept(zoho, asked, data_center="us", **changes):
    return decide(zoho[data_center].auth_url, asked, **changes).headers["Location"]


def value(location, name):
    found = re.search(rf"[?&]{name}=([^&]*)", location)
    return found and found[1]


def test_page_shows_what_is_asked(zoho, asked):
    """The page names the application, each scope and the users; everything is escaped."""
    client = zoho.register_client('<b>"App"</b>', redirect_uris=[REDIRECT])
    page = visit(
        zoho.us.auth_url, asked, client_id=client.client_id, scope="<script>", state='"><i>'
    )

    assert page.status_code == 200
    assert not re.search("<b>|<script>|<i>", page.text)
    assert '<b>"App"</b> asks for access' in unescape(page.text)
    assert zoho.user.name in page.text


def test_accept(app, zoho, asked):
    """Accepting sends back code, data centre and accounts server, as Zoho does."""
    location = accept(zoho, asked)
    server = zoho.us.accounts_url.replace(":", "%3A").replace("/", "%2F")

    assert location.startswith(f"{REDIRECT}?")
    assert location.endswith(f"&location=us&accounts-server={server}&")
    assert value(location, "state") == "a%20b%26c"
    assert "refresh_token" in app.exchange(value(location, "code"), redirect_uri=REDIRECT)


def test_user_of_another_data_center(app, zoho, asked):
    """A user from the EU who starts in the US is sent back with the EU's server."""
    europe = zoho.add_user("eva@example.com", data_center="eu")
    location = accept(zoho, asked, user=europe.name, environment="sandbox")
    answer = app.exchange(value(location, "code"), redirect_uri=REDIRECT, data_center="eu")

    assert value(location, "location") == "eu"
    assert zoho.eu.sandbox_url == answer["api_domain"]


def test_reject(zoho, asked):
    """Rejecting sends back access_denied and the state."""
    response = decide(zoho.us.auth_url, asked, "reject")

    assert f"{REDIRECT}?state=a%20b%26c&error=access_denied&" == response.headers["Location"]


def test_redirect_uri_is_compared(app, zoho, asked):
    """The exchange must name the redirect URI of the request."""
    code = value(accept(zoho, asked), "code")
    refused = {"error": "invalid_redirect_uri"}

    assert refused == app.exchange(code, redirect_uri=f"{REDIRECT}/other") == app.exchange(code)


@pytest.mark.parametrize(
    ("again", "has"), [({}, False), ({"prompt": "consent"}, True), ({"access_type": "x"}, False)]
)
def test_refresh_token(app, zoho, asked, again, has):
    """It comes with the first consent, and with a second one only if asked for, and offline."""

    def has_refresh_token(**changes):
        code = value(accept(zoho, asked, **changes), "code")
        return "refresh_token" in app.exchange(code, redirect_uri=REDIRECT)

    assert [False, True, has] == [
        has_refresh_token(access_type="online"),
        has_refresh_token(),
        has_refresh_token(**again),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "1000.NOBODY"},
        {"redirect_uri": "http://evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1:5050/other"},
    ],
)
def test_unchecked_address_gets_no_redirect(zoho, asked, change):
    """An unknown client or redirect URI is told to the person, never sent on."""
    response = visit(zoho.us.auth_url, asked, **change)

    assert response.status_code == 400
    assert "Location" not in response.headers


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": ""}, "invalid_scope"),
        ({"code_challenge_method": "S512"}, "invalid_request"),
    ],
)
def test_bad_request(zoho, asked, change, error):
    """Other mistakes are sent back to the application."""
    assert error == value(visit(zoho.us.auth_url, asked, **change).headers["Location"], "error")


def test_public_client_needs_pkce(zoho, asked):
    """A client without a secret can't ask without a code challenge."""
    client = zoho.register_client(redirect_uris=[REDIRECT], public=True)
    response = visit(zoho.us.auth_url, asked, client_id=client.client_id)

    assert value(response.headers["Location"], "error") == "invalid_request"


@pytest.mark.parametrize(("enabled", "status"), [(False, 200), (True, 302)])
def test_auto_consent(zoho, asked, enabled, status):
    """auto=accept answers for the person only where the option allows it."""
    zoho.options.auto_consent = enabled

    assert status == visit(zoho.us.auth_url, asked, auto="accept").status_code


def test_unknown_user(zoho, asked):
    """An unknown user is an error on the page."""
    assert decide(zoho.us.auth_url, asked, user="nobody").status_code == 400


def test_china_starts_at_home(asked):
    """Users of the Chinese data centre can log in there only."""
    with ZohoEmulator(("us", "cn")) as zoho:
        (user,) = (each for each in zoho.users if each.data_center == "cn")
        asked["client_id"] = zoho.client.client_id

        assert user.name not in visit(zoho.us.auth_url, asked).text
        assert decide(zoho.us.auth_url, asked, user=user.name).status_code == 400
        assert value(accept(zoho, asked, "cn"), "location") == "cn"


class Device:
    """A device that asks for access."""

    def __init__(self, app, zoho):
        self.app, self.zoho = app, zoho
        form = {
            "client_id": app.client.client_id,
            "grant_type": "device_request",
            "scope": "ZohoCRM.org.READ",
            "access_type": "offline",
        }
        self.answer = app.post(f"{zoho.us.accounts_url}/oauth/v3/device/code", **form).json()

    def poll(self, data_center="us"):
        return self.app.post(
            f"{self.zoho[data_center].accounts_url}/oauth/v3/device/token",
            client_id=self.app.client.client_id,
            client_secret=self.app.client.client_secret,
            grant_type="device_token",
            code=self.answer["device_code"],
        ).json()


@pytest.fixture
def device(app, zoho):
    return Device(app, zoho)


def test_device_flow(device, zoho):
    """A device polls until the person has typed its code in a browser."""
    before = [device.poll()["error"], device.poll()["error"]]
    page = device.answer["verification_url"]
    wrong = decide(page, {"user_code": "WRONG"})
    granted = decide(page, {"user_code": device.answer["user_code"]})

    assert (device.answer["interval"], device.answer["expires_in"]) == (30_000, 300_000)
    assert before == ["authorization_pending", "slow_down"]
    statuses = [visit(page, {}).status_code, wrong.status_code, granted.status_code]
    assert [200, 400, 200] == statuses
    assert zoho.is_active(device.poll()["refresh_token"])


def test_device_of_another_data_center(device, zoho):
    """A device is told where its user lives, and gets its token there."""
    zoho.decide_device(
        device.answer["user_code"], zoho.add_user("eva@example.com", data_center="eu")
    )

    assert device.poll() == {"error": "other_dc", "user_location": "eu"}
    assert "access_token" in device.poll("eu")


def test_device_refused_or_expired(device, zoho):
    """A refusal and a request too old have errors of their own."""
    zoho.decide_device(device.answer["user_code"], accept=False)
    refused = device.poll()
    zoho.clock.advance(301)

    assert [refused["error"], device.poll()["error"]] == ["access_denied", "expired"]
