"""The page people see, and where it sends their browsers."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape

import pytest
import requests

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


def test_decision(app, zoho, asked):
    """Accepting sends back code, data centre and accounts server; rejecting access_denied."""
    rejected = decide(zoho.us.auth_url, asked, "reject").headers["Location"]
    location = accept(zoho, asked)
    server = zoho.us.accounts_url.replace(":", "%3A").replace("/", "%2F")

    assert f"{REDIRECT}?state=a%20b%26c&error=access_denied&" == rejected
    assert location.startswith(f"{REDIRECT}?")
    assert location.endswith(f"&location=us&accounts-server={server}&")
    assert value(location, "state") == "a%20b%26c"
    assert "refresh_token" in app.exchange(value(location, "code"), redirect_uri=REDIRECT)


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
        {"user": "nobody"},
        {"environment": "moon"},
    ],
)
def test_unchecked_address_gets_no_redirect(zoho, asked, change):
    """An unknown client, redirect URI, user or place is told to the person, never sent on."""
    response = decide(zoho.us.auth_url, asked, **change)

    assert response.status_code == 400
    assert "Location" not in response.headers


def test_pkce(app, zoho, asked):
    """A code asked for with PKCE needs its verifier."""
    verifier = "v" * 43
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    challenge = {"code_challenge": digest.rstrip(b"=").decode(), "code_challenge_method": "S256"}
    code = value(accept(zoho, asked, **challenge), "code")
    refused = {"error": "invalid_code"}

    assert refused == app.exchange(code, redirect_uri=REDIRECT)
    assert refused == app.exchange(code, redirect_uri=REDIRECT, code_verifier="w" * 43)
    assert "access_token" in app.exchange(code, redirect_uri=REDIRECT, code_verifier=verifier)
