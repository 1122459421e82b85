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
    ("api_domain", "place", "environment"),
    [
        ("https://SANDBOX.zohoapis.com.au/", "au", "sandbox"),
        ("developer.zohoapis.jp:443", "jp", "developer"),
        ("https://content.zohoapis.in", "in", "production"),
        # A host that is not in the table is a place of its own, however its URL is written.
        ("https://www.zohoapis.com:8443", "www.zohoapis.com:8443", None),
        ("https://user:pw@API.Example.com/", "api.example.com:443", None),
        ("api.example.com:443/v1/x?y=z#f", "api.example.com:443", None),
        ("  https://api.example.com. \n", "api.example.com:443", None),
        ("http://api.example.com", "api.example.com:80", None),
        ("https://[2001:DB8::1]:8443/", "[2001:db8::1]:8443", None),
        ("Not a URL", "not a url", None),
        ("", None, None),
    ],
)
def test_place(provider, acme, api_domain, place, environment):
    """Known hosts are a data centre, with its issuer, and an environment; others themselves."""
    found = provider.place(api_domain)

    assert (place and Place(place, environment or place)) == found
    assert environment or found == acme.place(api_domain)
    assert (
        DATA_CENTERS.by_name(place).token_endpoint if environment else None
    ) == provider.issuer(found)


def test_issuer_from_the_place(serve, token):
    """A token that has an API host but no issuer is renewed where the table says."""
    server = serve({"access_token": "1000.new"})
    mine = DataCenter("mine", f"http://{server.netloc}", "http://127.0.0.1:1")
    answer = Zoho(DATA_CENTERS.extend(mine)).refresh(token(None, api_domain="http://127.0.0.1:1"))

    assert answer.access_token == "1000.new"


USER, ORG = {"users": [{"id": "1", "email": "ana@example.com"}]}, {"org": [{"zgid": 6000123}]}


@pytest.fixture
def asked(serve):
    """Ask whose token it is at a CRM that answers so of users, and of its organisation."""

    def ask(users, org):
        def play(connection, request):
            connection.sendall(users if b"/users" in request.partition(b"\r\n")[0] else org)

        server = serve(play)
        token = Token(api_domain=f"http://{server.netloc}/", access_token="1000.access")
        return server, lambda: current_user(token, timeout=20)

    return ask


def test_current_user(asked):
    """A user is named as the official SDK names it."""
    server, ask = asked(as_json(USER), as_json(ORG))

    assert "ana@example.com:6000123" == ask()
    for request, path in zip(server.requests, ("users?type=CurrentUser", "org"), strict=True):
        first, *lines = request.decode().split("\r\n")
        assert f"GET /crm/v8/{path} HTTP/1.1" == first
        assert "Authorization: Zoho-oauthtoken 1000.access" in lines


@pytest.mark.parametrize(
    ("path", "document", "status", "text"),
    [
        ("users", {"code": "OAUTH_SCOPE_MISMATCH"}, "401 No", r"SCOPE_MISMATCH.*users\.READ"),
        ("org", {"code": "INVALID_TOKEN"}, "401 No", "INVALID_TOKEN"),
        ("users", {"code": "1000_s3cret"}, "401 No", "did not say email"),
        # The token is good all the same: a login is not given up.
        ("org", {"code": "TOO_MANY_REQUESTS"}, "429 Slow", "did not say zgid"),
        ("users", {"code": "INTERNAL_ERROR"}, "500 Oops", "did not say email"),
        ("users", {"code": ["s3cret"]}, "401 No", "did not say email"),
        ("users", "", "204 No Content", "did not say email"),
        ("users", {"users": ["x"]}, "200 OK", "did not say email"),
        ("org", {"org": [{"zgid": None}]}, "200 OK", "did not say zgid"),
    ],
)
def test_no_current_user(*, asked, path, document, status, text):
    """A user that can't be named is an error, never half a name."""
    answers = {"users": as_json(USER), "org": as_json(ORG), path: as_json(document, status)}
    kind = ProviderRefused if "401" in status and "say" not in text else ProviderUnavailable

    with pytest.raises(kind, match=text) as caught:
        asked(answers["users"], answers["org"])[1]()

    assert "s3cret" not in f"{caught.value} {vars(caught.value)}"
