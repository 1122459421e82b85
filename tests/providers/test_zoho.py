"""Zoho: each row of its answers, its lifetimes, its endpoints."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from provider_server import SECRETS, assert_error_is_clean, response

from tokenkeep.errors import (
    ConfigurationError,
    CoolingDown,
    GrantRejected,
    ProviderRefused,
    ProviderUnavailable,
)
from tokenkeep.providers import provider
from tokenkeep.providers.base import Place, Profile
from tokenkeep.providers.zoho import Zoho, authorization_endpoint, revocation_endpoint
from tokenkeep.providers.zoho_data_centers import DATA_CENTERS, DataCenter
from tokenkeep.providers.zoho_login import authorization_url, current_user

NOW = 1_700_000_000.0
THROTTLED = "You have made too many requests continuously. Please try again after some time."

# One line for each row of what Zoho's token endpoint is known to answer.
ROWS = [
    ({"error": "invalid_code"}, "200 OK", GrantRejected, "Log the user in again"),
    ({"error": "invalid_grant"}, "400 Bad", GrantRejected, "Log the user in again"),
    ({"error": "invalid_client"}, "200 OK", ProviderRefused, "data centre"),
    ({"error": "INVALID_CLIENT"}, "401 No", ProviderRefused, "data centre"),
    ({"error": "invalid_client_secret"}, "200 OK", ProviderRefused, "data centre"),
    ({"error": "invalid_redirect_uri"}, "200 OK", ProviderRefused, "redirect URI"),
    ({"error": "missing_org_info"}, "200 OK", ProviderRefused, "soid"),
    ({"error": "unsupported_grant_type"}, "400 Bad", ProviderRefused, "Check"),
    ({"error": "invalid_request"}, "400 Bad", ProviderRefused, "Check"),
    (
        {"error": "Access Denied", "error_description": THROTTLED, "status": "failure"},
        "400 Bad",
        CoolingDown,
        "wait",
    ),
    ({"error": "Access Denied", "error_description": THROTTLED}, "200 OK", CoolingDown, "wait"),
    ({"error": "access denied"}, "200 OK", CoolingDown, "wait"),
    ({"error": "access_denied"}, "200 OK", CoolingDown, "wait"),
    (
        {"error": "failure", "error_description": "TOO MANY REQUESTS"},
        "400 Bad",
        CoolingDown,
        "wait",
    ),
    ({"error": "Too many requests"}, "200 OK", CoolingDown, "wait"),
    ({"error": "invalid_client", "message": "too many requests"}, "200 OK", CoolingDown, "wait"),
    ({"error": "general_error"}, "200 OK", ProviderUnavailable, "later"),
    ({"error": "general_error"}, "500 Oops", ProviderUnavailable, "later"),
    ({"error": "never_seen_before"}, "200 OK", ProviderUnavailable, "later"),
    ({"error": "never_seen_before"}, "400 Bad", ProviderUnavailable, "later"),
    ({"status": "failure"}, "200 OK", ProviderUnavailable, "later"),
    ({"expires_in": 3600}, "200 OK", ProviderUnavailable, "later"),
    ([{"access_token": "s3cret"}], "200 OK", ProviderUnavailable, "later"),
    ("<html>Sorry", "200 OK", ProviderUnavailable, "later"),
    ("<html>Sorry", "500 Oops", ProviderUnavailable, "later"),
    ("", "502 Bad Gateway", ProviderUnavailable, "later"),
    ("", "429 Too Many", CoolingDown, "wait"),
]


@pytest.fixture
def zoho():
    return Zoho(clock=lambda: NOW)


def answering(document, status="200 OK"):
    text = document if isinstance(document, str) else json.dumps(document)
    return response(text.encode(), status)


def sent(server, request=0):
    head, _, body = server.requests[request].partition(b"\r\n\r\n")
    return head.decode(), {name: value for name, (value,) in parse_qs(body.decode()).items()}


@pytest.mark.parametrize(("document", "status", "kind", "hint"), ROWS)
def test_row(*, serve, zoho, token, document, status, kind, hint):
    """Each answer means what its row says, by its body and not by its status."""
    server = serve(answering(document, status))

    with pytest.raises((ProviderUnavailable, ProviderRefused, CoolingDown)) as caught:
        zoho.refresh(token(server.url))

    assert type(caught.value) is kind
    assert hint in caught.value.hint
    assert caught.value.token_id == "tk-1"
    if kind is CoolingDown:
        assert caught.value.until == NOW + 600
    assert_error_is_clean(caught.value)


def test_throttling_is_not_quoted(serve, zoho, token):
    """What is known by a part of its text can have anything in the rest of it."""
    server = serve(answering({"error": f"too many requests of {SECRETS['refresh_token']}"}))

    with pytest.raises(CoolingDown) as caught:
        zoho.refresh(token(server.url))

    assert_error_is_clean(caught.value)


def test_window_of_the_profile(serve, token):
    """The wait after throttling is the window of the profile."""
    server = serve(answering({"error": "access_denied"}))

    with pytest.raises(CoolingDown) as caught:
        Zoho(profile=Profile(mint_window=60), clock=lambda: NOW).refresh(token(server.url))

    assert caught.value.until == NOW + 60


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"expires_in": 3600}, 3600.0),
        ({"expires_in": "3600"}, 3600.0),
        ({"expires_in": 3600000}, 3600.0),
        ({"expires_in": 3600000, "expires_in_sec": 3600}, 3600.0),
        ({"expires_in": 3600, "expires_in_sec": 1800}, 1800.0),
        ({"expires_in_sec": "3600"}, 3600.0),
        ({"expires_in_sec": 3600000}, 3600.0),
        ({"expires_in": 86400}, 86400.0),
        ({"expires_in": 86401}, 86.401),
        ({"expires_in": 3600, "expires_in_sec": 0}, 3600.0),
        ({"expires_in": 1_700_000_000_000}, 3600.0),
        ({"expires_in": -1}, 3600.0),
        ({"expires_in": True}, 3600.0),
        ({"expires_in": None, "expires_in_sec": "x"}, 3600.0),
        ({}, 3600.0),
    ],
)
def test_lifetime(serve, zoho, token, fields, seconds):
    """Seconds and milliseconds are told apart, and nonsense is an hour."""
    server = serve(answering({"access_token": "1000.new", **fields}))

    assert zoho.refresh(token(server.url)).expires_in == seconds


def test_refresh(serve, zoho, token):
    """A renewal is one form post with everything in the body."""
    server = serve(
        answering({"access_token": "1000.new", "api_domain": "https://www.zohoapis.eu"})
    )

    answer = zoho.refresh(token(server.url))

    head, fields = sent(server)
    assert head.startswith("POST /oauth/v2/token HTTP/1.1\r\n")
    assert "authorization" not in head.lower()
    assert fields == {
        "grant_type": "refresh_token",
        "refresh_token": SECRETS["refresh_token"],
        "client_id": "1000.CLIENT",
        "client_secret": SECRETS["client_secret"],
    }
    assert answer.refresh_token is None
    assert answer.api_domain == "https://www.zohoapis.eu"


def test_revoke(serve, zoho, token):
    """A revocation posts the refresh token, and nothing else, below the token endpoint."""
    server = serve(answering({"status": "success"}))

    zoho.revoke(token(server.url))

    head, fields = sent(server)
    assert head.startswith("POST /oauth/v2/token/revoke HTTP/1.1\r\n")
    assert fields == {"token": SECRETS["refresh_token"]}


@pytest.mark.parametrize(
    ("document", "status", "error"),
    [
        ({"status": "success"}, "200 OK", None),
        ({"error": "invalid_token"}, "400 Bad", None),
        ({"error": "invalid_code"}, "200 OK", None),
        ({"status": "failure"}, "400 Bad", None),
        ({"status": "failure"}, "200 OK", ProviderUnavailable),
        ({}, "200 OK", ProviderUnavailable),
        ("", "200 OK", ProviderUnavailable),
        ("", "400 Bad", ProviderUnavailable),
        ("<html>", "200 OK", ProviderUnavailable),
        ("<html>", "400 Bad", ProviderUnavailable),
        ("", "503 Later", ProviderUnavailable),
        ({"error": "general_error"}, "400 Bad", ProviderUnavailable),
        ({"error": "never_seen_before"}, "400 Bad", ProviderUnavailable),
        ({"error": "Access Denied", "error_description": THROTTLED}, "400 Bad", CoolingDown),
        ({"error": "invalid_client"}, "200 OK", ProviderRefused),
    ],
)
def test_revocation_answer(*, serve, zoho, token, document, status, error):
    """Only success, or Zoho's word that it does not know the token, counts as revoked."""
    server = serve(answering(document, status))

    if error is None:
        assert zoho.revoke(token(server.url)) is None
    else:
        with pytest.raises(error) as caught:
            zoho.revoke(token(server.url))
        assert_error_is_clean(caught.value)


@pytest.mark.parametrize(
    ("issuer", "revocation", "authorization"),
    [
        (
            "https://accounts.zoho.eu/oauth/v2/token",
            "https://accounts.zoho.eu/oauth/v2/token/revoke",
            "https://accounts.zoho.eu/oauth/v2/auth",
        ),
        (
            "https://accounts.zohoportal.com/clientoauth/v2/10012/token/",
            "https://accounts.zohoportal.com/clientoauth/v2/10012/token/revoke",
            "https://accounts.zohoportal.com/clientoauth/v2/10012/auth",
        ),
    ],
)
def test_endpoints(issuer, revocation, authorization):
    """The other endpoints are beside the token endpoint, a portal's too."""
    assert revocation_endpoint(issuer) == revocation
    assert authorization_endpoint(issuer) == authorization


@pytest.mark.parametrize("issuer", ["https://accounts.zoho.eu", "https://x/token/more"])
def test_no_token_endpoint(issuer):
    """What is not a token endpoint has nothing beside it."""
    with pytest.raises(ConfigurationError, match="not a token endpoint"):
        revocation_endpoint(issuer)


@pytest.mark.parametrize(
    ("api_domain", "place"),
    [
        ("https://www.zohoapis.com", Place("us", "production")),
        ("https://SANDBOX.zohoapis.com.au/", Place("au", "sandbox")),
        ("developer.zohoapis.jp:443", Place("jp", "developer")),
        ("https://api.zoho.eu", Place("eu", "production")),
        ("https://content.zohoapis.in", Place("in", "production")),
        ("https://www.zohoapis.com:8443", Place("www.zohoapis.com:8443", "www.zohoapis.com:8443")),
        ("http://127.0.0.1:9/x", Place("127.0.0.1:9", "127.0.0.1:9")),
    ],
)
def test_place(zoho, api_domain, place):
    """Known hosts are a data centre and an environment; others are themselves."""
    assert zoho.place(api_domain) == place


def test_issuer(zoho):
    """A known data centre has a token endpoint, an unknown one has none."""
    assert zoho.issuer(Place("ca", "sandbox")) == "https://accounts.zohocloud.ca/oauth/v2/token"
    assert zoho.issuer(Place("127.0.0.1:9", "127.0.0.1:9")) is None
    assert zoho.issuer(None) is None


def test_issuer_from_the_place(serve, token):
    """A token that has an API host but no issuer is renewed where the table says."""
    server = serve(answering({"access_token": "1000.new"}))
    mine = DataCenter("mine", f"http://{server.netloc}", "http://127.0.0.1:1")
    zoho = Zoho(DATA_CENTERS.extend(mine))

    answer = zoho.refresh(token(None, api_domain="http://127.0.0.1:1"))

    assert answer.access_token == "1000.new"


def test_profile(zoho):
    """Zoho allows ten tokens in ten minutes, and its refresh tokens stay."""
    profile = zoho.profile

    assert (profile.mint_limit, profile.mint_window, profile.rotates) == (10, 600.0, False)
    assert profile.mandatory < profile.advisory
    assert profile.call_timeout < profile.claim_length


def test_authorization_url():
    """The address a browser is sent to has PKCE, state and comma-separated scopes."""
    url = authorization_url(
        DATA_CENTERS.by_name("EU"),
        client_id="1000.CLIENT",
        redirect_uri="http://127.0.0.1:8765/callback",
        scope="ZohoCRM.modules.ALL ZohoCRM.users.READ,ZohoCRM.org.READ",
        state="st&te",
        code_challenge="c" * 43,
    )

    split = urlsplit(url)
    assert f"{split.scheme}://{split.netloc}{split.path}" == (
        "https://accounts.zoho.eu/oauth/v2/auth"
    )
    assert {name: value for name, (value,) in parse_qs(split.query).items()} == {
        "response_type": "code",
        "client_id": "1000.CLIENT",
        "redirect_uri": "http://127.0.0.1:8765/callback",
        "scope": "ZohoCRM.modules.ALL,ZohoCRM.users.READ,ZohoCRM.org.READ",
        "state": "st&te",
        "access_type": "offline",
        "prompt": "consent",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
    }


def test_authorization_url_without_pkce():
    """What is None is left out."""
    url = authorization_url(
        DATA_CENTERS.by_name("us"),
        client_id="c",
        redirect_uri="http://127.0.0.1/",
        scope=["a", "b"],
        state="s",
        code_challenge=None,
        prompt=None,
    )

    assert "code_challenge" not in url
    assert "prompt" not in url
    assert "scope=a%2Cb" in url


def crm(users, org):
    def play(connection, request):
        document, status = users if b"/users" in request.partition(b"\r\n")[0] else org
        connection.sendall(answering(document, status))

    return play


USERS = ({"users": [{"id": "1", "email": "ana@example.com"}]}, "200 OK")
ORG = ({"org": [{"zgid": "6000123", "company_name": "x"}]}, "200 OK")


@pytest.mark.parametrize("zgid", ["6000123", 6000123])
def test_current_user(serve, zgid):
    """A user is named as the official SDK names it."""
    server = serve(crm(USERS, ({"org": [{"zgid": zgid}]}, "200 OK")))

    user = current_user(f"http://{server.netloc}/", "1000.access", timeout=20)

    assert user == "ana@example.com:6000123"
    first, second = (request.decode().split("\r\n") for request in server.requests)
    assert first[0] == "GET /crm/v8/users?type=CurrentUser HTTP/1.1"
    assert second[0] == "GET /crm/v8/org HTTP/1.1"
    assert "Authorization: Zoho-oauthtoken 1000.access" in first
    assert "Authorization: Zoho-oauthtoken 1000.access" in second


@pytest.mark.parametrize(
    ("users", "org", "error", "text"),
    [
        (
            ({"code": "OAUTH_SCOPE_MISMATCH", "status": "error"}, "401 No"),
            ORG,
            ProviderRefused,
            r"OAUTH_SCOPE_MISMATCH.*ZohoCRM\.users\.READ",
        ),
        (USERS, ({"code": "INVALID_TOKEN"}, "401 No"), ProviderRefused, "INVALID_TOKEN"),
        (({"code": "<b>s3cret"}, "401 No"), ORG, ProviderUnavailable, "did not say email"),
        (("", "204 No Content"), ORG, ProviderUnavailable, "did not say email"),
        (({"users": []}, "200 OK"), ORG, ProviderUnavailable, "did not say email"),
        (({"users": ["x"]}, "200 OK"), ORG, ProviderUnavailable, "did not say email"),
        (({"users": [{"email": None}]}, "200 OK"), ORG, ProviderUnavailable, "email"),
        (([], "200 OK"), ORG, ProviderUnavailable, "did not say email"),
        (USERS, ({"org": [{"zgid": True}]}, "200 OK"), ProviderUnavailable, "did not say zgid"),
        (("<html>", "502 Bad"), ORG, ProviderUnavailable, "no JSON"),
    ],
)
def test_no_current_user(*, serve, users, org, error, text):
    """A user that can't be named is an error, never half a name."""
    server = serve(crm(users, org))

    with pytest.raises(error, match=text) as caught:
        current_user(f"http://{server.netloc}", "1000.access", timeout=20)

    assert "s3cret" not in str(caught.value)


def test_by_name():
    """The provider is known by name, with its options."""
    table = DATA_CENTERS.extend()

    assert provider("zoho", table=table).table is table
