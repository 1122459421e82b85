"""Zoho: each row of its answers, its lifetimes, its endpoints, and a login at the emulator."""

from __future__ import annotations

import pytest
from provider_server import NOW, SECRETS, as_json, sent

from tokenkeep.errors import (
    ConfigurationError,
    CoolingDown,
    GrantRejected,
    ProviderRefused,
    ProviderUnavailable,
)
from tokenkeep.providers.base import Place, Profile
from tokenkeep.providers.zoho import Zoho, authorization_endpoint, current_user
from tokenkeep.providers.zoho_data_centers import DATA_CENTERS, DataCenter
from tokenkeep.token import Token

WINDOW = 300.0
THROTTLED = "You have made too many requests continuously. Please try again after some time."

# One line for each row of what Zoho's token endpoint is known to answer.
CODES = [
    ("invalid_code", "200 OK", GrantRejected, "Log the user in again"),
    ("INVALID_CLIENT", "401 No", ProviderRefused, "data centre"),
    ("invalid_client_secret", "200 OK", ProviderRefused, "data centre"),
    ("invalid_redirect_uri", "200 OK", ProviderRefused, "redirect URI"),
    ("missing_org_info", "200 OK", ProviderRefused, "soid"),
    ("invalid_request", "400 Bad", ProviderRefused, "Check"),
    ("access denied", "200 OK", CoolingDown, "wait"),
    ("access_denied", "200 OK", CoolingDown, "wait"),
    # Known by a part of its text, it can have anything in the rest.
    (f"Too many requests of {SECRETS['refresh_token']}", "200 OK", CoolingDown, "wait"),
    ("general_error", "200 OK", ProviderUnavailable, "later"),
    ("never_seen_before", "400 Bad", ProviderUnavailable, "later"),
]
ROWS = [
    *(({"error": code}, *rest) for code, *rest in CODES),
    ({"error": "Access Denied", "error_description": THROTTLED}, "400 Bad", CoolingDown, "wait"),
    ({"error": "invalid_client", "message": "TOO MANY REQUESTS"}, "200 OK", CoolingDown, "wait"),
    ("", "429 Too Many", CoolingDown, "wait"),
    ({"errors": [{"code": "invalid_code"}]}, "200 OK", GrantRejected, "Log the user in again"),
    ({"status": "failure"}, "200 OK", ProviderUnavailable, "later"),
]


@pytest.fixture
def provider():
    return Zoho(profile=Profile(mint_window=WINDOW), clock=lambda: NOW)


@pytest.mark.parametrize(("document", "status", "kind", "hint"), ROWS)
def test_row(*, refused, provider, document, status, kind, hint):
    """Each answer means what its row says, by its body and not by its status."""
    error = refused(as_json(document, status), provider)

    assert kind is type(error)
    assert hint in error.hint
    assert "tk-1" == error.token_id
    if kind is CoolingDown:
        assert NOW + WINDOW == error.until


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"expires_in": "1800"}, 1800.0),
        ({"expires_in": 3600000}, 3600.0),
        ({"expires_in": 3600, "expires_in_sec": 1800}, 1800.0),
        ({"expires_in_sec": 1800000}, 1800.0),
        ({"expires_in": 86400}, 86400.0),
        ({"expires_in": 86401}, 86.401),
        ({"expires_in": 1800, "expires_in_sec": 0}, 1800.0),
        ({"expires_in": 1_700_000_000_000}, 3600.0),
        ({}, 3600.0),
    ],
)
def test_lifetime(renew, provider, fields, seconds):
    """Seconds and milliseconds are told apart, and nonsense is an hour."""
    assert seconds == renew({"access_token": "1000.new", **fields}, provider).expires_in


def test_revoke(serve, provider, token):
    """A revocation posts the refresh token, and nothing else, below the token endpoint."""
    server = serve({"status": "success"})

    provider.revoke(token(server.url))

    head, fields = sent(server)
    assert head.startswith("POST /oauth/v2/token/revoke HTTP/1.1\r\n")
    assert fields == {"token": SECRETS["refresh_token"]}


@pytest.mark.parametrize(
    ("document", "status", "error"),
    [
        ({"status": "success"}, "200 OK", None),
        ({"error": "invalid_code"}, "200 OK", None),
        ({"status": "failure"}, "400 Bad", None),
        ({"status": "failure"}, "200 OK", ProviderUnavailable),
        ("", "400 Bad", ProviderUnavailable),
        ("<html>", "200 OK", ProviderUnavailable),
        ({"error": "never_seen_before"}, "400 Bad", ProviderUnavailable),
        ({"error": "Access Denied", "error_description": THROTTLED}, "400 Bad", CoolingDown),
        ({"error": "invalid_client"}, "200 OK", ProviderRefused),
    ],
)
def test_revocation_answer(revoked, document, status, error):
    """Only success, or Zoho's word that it does not know the token, counts as revoked."""
    assert error == revoked(Zoho, as_json(document, status))


@pytest.mark.parametrize(
    "base",
    ["https://accounts.zoho.eu/oauth/v2", "https://accounts.zohoportal.com/clientoauth/v2/7"],
)
def test_endpoints(provider, base):
    """The other endpoints are beside the token endpoint, a portal's too; nothing else has any."""
    assert f"{base}/token/revoke" == provider.revocation_endpoint(Token(issuer=f"{base}/token/"))
    assert f"{base}/auth" == authorization_endpoint(f"{base}/token")
    for other in (base, f"{base}/token/more"):
        with pytest.raises(ConfigurationError, match="not a token endpoint"):
            authorization_endpoint(other)


@pytest.mark.parametrize(
    ("api_domain", "place", "issuer"),
    [
        ("https://SANDBOX.zohoapis.com.au/", ("au", "sandbox"), "zoho.com.au"),
        ("developer.zohoapis.jp:443", ("jp", "developer"), "zoho.jp"),
        ("https://api.zoho.eu", ("eu", "production"), "zoho.eu"),
        ("https://content.zohoapis.in", ("in", "production"), "zoho.in"),
        ("https://www.zohoapis.ca", ("ca", "production"), "zohocloud.ca"),
        ("https://www.zohoapis.com:8443", ("www.zohoapis.com:8443",) * 2, None),
        ("http://127.0.0.1:9/x", ("127.0.0.1:9",) * 2, None),
    ],
)
def test_place(provider, api_domain, place, issuer):
    """Known hosts are a data centre, with its issuer, and an environment; others themselves."""
    found = provider.place(api_domain)

    assert Place(*place) == found
    expected = issuer and f"https://accounts.{issuer}/oauth/v2/token"
    assert expected == provider.issuer(found)
    assert provider.issuer(None) is None


def test_issuer_from_the_place(serve, token):
    """A token that has an API host but no issuer is renewed where the table says."""
    server = serve({"access_token": "1000.new"})
    mine = DataCenter("mine", f"http://{server.netloc}", "http://127.0.0.1:1")
    answer = Zoho(DATA_CENTERS.extend(mine)).refresh(token(None, api_domain="http://127.0.0.1:1"))

    assert answer.access_token == "1000.new"


def granted(api_domain):
    """Return a token with all that it takes to ask whose it is."""
    return Token(api_domain=api_domain, access_token="1000.access")


def crm(users, org):
    def play(connection, request):
        document, status = users if b"/users" in request.partition(b"\r\n")[0] else org
        connection.sendall(as_json(document, status))

    return play


USERS = ({"users": [{"id": "1", "email": "ana@example.com"}]}, "200 OK")
ORG = ({"org": [{"zgid": "6000123", "company_name": "x"}]}, "200 OK")


@pytest.mark.parametrize("zgid", ["6000123", 6000123])
def test_current_user(serve, zgid):
    """A user is named as the official SDK names it."""
    server = serve(crm(USERS, ({"org": [{"zgid": zgid}]}, "200 OK")))

    user = current_user(granted(f"http://{server.netloc}/"), timeout=20)

    assert user == "ana@example.com:6000123"
    first, second = (request.decode().split("\r\n") for request in server.requests)
    assert first[0] == "GET /crm/v8/users?type=CurrentUser HTTP/1.1"
    assert second[0] == "GET /crm/v8/org HTTP/1.1"
    assert "Authorization: Zoho-oauthtoken 1000.access" in first
    assert "Authorization: Zoho-oauthtoken 1000.access" in second


@pytest.mark.parametrize(
    ("path", "document", "status", "text"),
    [
        ("users", {"code": "OAUTH_SCOPE_MISMATCH"}, "401 No", r"SCOPE_MISMATCH.*users\.READ"),
        ("org", {"code": "INVALID_TOKEN"}, "401 No", "INVALID_TOKEN"),
        ("users", {"code": "1000_s3cret"}, "401 No", "an error that tokenkeep does not know"),
        ("users", {"code": ["s3cret"]}, "401 No", "did not say email"),
        ("users", "", "204 No Content", "did not say email"),
        ("users", {"users": ["x"]}, "200 OK", "did not say email"),
        ("users", {"users": [{"email": None}]}, "200 OK", "did not say email"),
        ("org", {"org": [{"zgid": True}]}, "200 OK", "did not say zgid"),
        ("users", "<html>", "502 Bad", "no JSON"),
    ],
)
def test_no_current_user(*, serve, path, document, status, text):
    """A user that can't be named is an error, never half a name."""
    answers = {"users": USERS, "org": ORG, path: (document, status)}
    server = serve(crm(answers["users"], answers["org"]))
    kind = ProviderRefused if "401" in status and "say" not in text else ProviderUnavailable

    with pytest.raises(kind, match=text) as caught:
        current_user(granted(f"http://{server.netloc}"), timeout=20)

    assert "s3cret" not in f"{caught.value} {vars(caught.value)}"
