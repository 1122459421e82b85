"""RFC 6749 as written: what is sent, and what an answer means."""

from __future__ import annotations

import base64
import json
import logging

import pytest
from provider_server import (
    SECRETS,
    as_json,
    assert_error_is_clean,
    assert_no_secret,
    response,
    sent,
)

from tokenkeep.errors import (
    ConfigurationError,
    CoolingDown,
    GrantRejected,
    ProviderRefused,
    ProviderUnavailable,
)
from tokenkeep.providers.base import Place, Profile
from tokenkeep.providers.oauth2 import OAuth2
from tokenkeep.providers.zoho import Zoho

NOW = 1_700_000_000.0
NEW = {"access_token": "new.access.s3cret", "refresh_token": "new.refresh.s3cret"}


@pytest.fixture
def acme():
    return OAuth2("acme", clock=lambda: NOW)


def test_refresh(serve, acme, token):
    """A renewal posts what RFC 6749 section 6 says, in the body."""
    server = serve({**NEW, "expires_in": 1800, "scope": "a b", "token_type": "Bearer"})

    answer = acme.refresh(token(server.url))

    head, fields = sent(server)
    assert fields == {
        "grant_type": "refresh_token",
        "refresh_token": SECRETS["refresh_token"],
        "client_id": "1000.CLIENT",
        "client_secret": SECRETS["client_secret"],
    }
    assert "authorization" not in head.lower()
    assert_no_secret(head)
    assert answer.access_token == NEW["access_token"]
    assert answer.refresh_token == NEW["refresh_token"]
    assert (answer.expires_in, answer.scope) == (1800.0, "a b")
    assert_no_secret(repr(answer), *NEW.values())


def test_basic(serve, token):
    """With basic authentication the secret is in the header, form-encoded, and not in the body."""
    server = serve(NEW)
    provider = OAuth2("acme", client_auth="basic")

    provider.refresh(token(server.url, client_id="a:b", client_secret="c d%"))

    head, fields = sent(server)
    assert f"Authorization: Basic {base64.b64encode(b'a%3Ab:c+d%25').decode()}" in head
    assert set(fields) == {"grant_type", "refresh_token"}


@pytest.mark.parametrize("client_auth", ["body", "basic"])
def test_public_client(serve, token, client_auth):
    """A client without a secret names itself in the body."""
    server = serve(NEW)

    OAuth2("acme", client_auth=client_auth).refresh(token(server.url, client_secret=None))

    head, fields = sent(server)
    assert "authorization" not in head.lower()
    assert set(fields) == {"grant_type", "refresh_token", "client_id"}


def test_exchange(serve, acme, token):
    """A code goes with its redirect URI and its PKCE verifier, where there are any."""
    server = serve(NEW)
    always = {
        "grant_type": "authorization_code",
        "code": SECRETS["grant_token"],
        "client_id": "1000.CLIENT",
        "client_secret": SECRETS["client_secret"],
    }

    acme.exchange(token(server.url), code_verifier="v" * 43)
    acme.exchange(token(server.url, redirect_uri=None))

    there = {"redirect_uri": "http://127.0.0.1:8765/callback", "code_verifier": "v" * 43}
    assert sent(server)[1] == always | there
    assert sent(server, 1)[1] == always


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "answered nothing"),
        (b"  \r\n", "answered nothing"),
        (b"<!doctype html><p>s3cret", "answered HTML"),
        (b"Bad Gateway s3cret", "answered neither JSON nor a form"),
        (b'{"access_token": "s3cret', "answered neither JSON nor a form"),
        (b"[" * 100_000, "answered neither JSON nor a form"),
        (b"\xff\xfe\x00", "answered neither JSON nor a form"),
        (b'["s3cret"]', "not an object"),
        (b'"s3cret"', "not an object"),
        (b"null", "not an object"),
        (b"{}", "no usable access_token"),
        (b'{"access_token": ""}', "no usable access_token"),
        (b'{"access_token": null}', "no usable access_token"),
        (b'{"access_token": 7}', "no usable access_token"),
        (b'{"access_token": ["s3cret"]}', "no usable access_token"),
        (b'{"access_token": "s3cret\\r\\nX-Evil: 1"}', "no usable access_token"),
        (b'{"access_token": "s3cret\\u0000"}', "no usable access_token"),
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "400 Bad", "502 Bad Gateway"])
def test_senseless_answer(*, serve, acme, token, body, kind, status):
    """What is not an answer is named by its kind, never quoted, and leads to another try."""
    server = serve(response(body, status))

    with pytest.raises(ProviderUnavailable, match=kind) as caught:
        acme.refresh(token(server.url))

    assert_error_is_clean(caught.value, "s3cret")
    assert (caught.value.token_id, caught.value.user) == ("tk-1", "ana@example.com:6000123")
    assert server.connections == 1


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "400 Bad", "500 Oops"])
@pytest.mark.parametrize("more", [{}, {"error": None}, {"error": ""}, {"error": False}], ids=repr)
def test_token_counts(*, serve, acme, token, status, more):
    """A minted token is not thrown away, the old one may be dead by now; no error is none."""
    server = serve(as_json(NEW | more, status))

    assert acme.refresh(token(server.url)).access_token == NEW["access_token"]


def test_byte_order_mark(serve, acme, token):
    """A byte order mark before the JSON does not cost a token."""
    server = serve(response(b"\xef\xbb\xbf" + json.dumps(NEW).encode()))

    assert acme.refresh(token(server.url)).access_token == NEW["access_token"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_grant", GrantRejected),
        ("invalid_client", ProviderRefused),
        ("invalid_request", ProviderRefused),
        ("invalid_scope", ProviderRefused),
        ("unauthorized_client", ProviderRefused),
        ("unsupported_grant_type", ProviderRefused),
        ("server_error", ProviderUnavailable),
        ("temporarily_unavailable", ProviderUnavailable),
        ("slow_down", CoolingDown),
        ("interaction_required", GrantRejected),
        ("login_required", GrantRejected),
        ("consent_required", GrantRejected),
        ("account_selection_required", GrantRejected),
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "401 Unauthorized", "500 Oops"])
@pytest.mark.parametrize("written", [str.lower, str.upper])
def test_error(*, serve, acme, token, code, kind, status, written):
    """The error names what happened, whatever the HTTP status, and wins over a token."""
    code = written(code)
    server = serve(as_json({"error": code, "error_description": "1000.x", **NEW}, status))

    with pytest.raises((ProviderUnavailable, ProviderRefused, CoolingDown)) as caught:
        acme.refresh(token(server.url))

    assert type(caught.value) is kind
    assert f'"{code}"' in str(caught.value)
    assert "1000.x" not in str(caught.value)
    assert getattr(caught.value, "error", code) == code
    assert_error_is_clean(caught.value, *NEW.values())


def test_rejected_code_says_what_to_do(serve, acme, token):
    """A rejected code asks for another code, a rejected refresh token for a login."""
    server = serve({"error": "invalid_grant"})

    with pytest.raises(GrantRejected, match="get a new one"):
        acme.exchange(token(server.url))
    with pytest.raises(GrantRejected, match="Log the user in again"):
        acme.refresh(token(server.url))


@pytest.mark.parametrize(
    "error",
    [
        {"message": "s3cret"},
        ["s3cret"],
        "something_new",
        "expired_refresh_token",
        7,
        True,
        "s3cret\nX",
        "<b>s3cret</b>",
        "s3cret" * 20,
        f"bad token {SECRETS['refresh_token']}",
        SECRETS["client_secret"],
    ],
)
def test_error_that_is_not_shown(serve, acme, token, error):
    """Only a code that the table knows is shown: another text may repeat what was sent."""
    server = serve(as_json({"error": error}, "400 Bad Request"))

    with pytest.raises(ProviderUnavailable) as caught:
        acme.refresh(token(server.url))

    assert "acme answered an error that tokenkeep does not know (status 400)" == caught.value.what
    assert_error_is_clean(caught.value, "s3cret", "something_new", "expired_refresh_token")


@pytest.mark.parametrize(
    ("headers", "until"), [(["Retry-After: 30"], NOW + 30), ([], None)], ids=["said", "unsaid"]
)
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error": "odd"}', b'{"error": "slow_down"}'])
def test_throttled(*, serve, acme, token, body, headers, until):
    """Status 429 without a better word is throttling, until the time that is named."""
    server = serve(response(body, "429 Too Many Requests", *headers))

    with pytest.raises(CoolingDown) as caught:
        acme.refresh(token(server.url))

    assert caught.value.until == until


@pytest.mark.parametrize("value", ["999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
@pytest.mark.parametrize(("window", "longest"), [(600.0, 3600.0), (7200.0, 7200.0)])
@pytest.mark.parametrize("kind", [OAuth2, Zoho])
def test_no_answer_shuts_anybody_out_for_years(*, serve, token, kind, value, window, longest):
    """An absurd Retry-After counts as an hour, or as the window of the limit if that is longer."""
    server = serve(response(b"", "429 Too Many Requests", f"Retry-After: {value}"))
    options = {"profile": Profile(mint_window=window), "clock": lambda: NOW}
    provider = Zoho(**options) if kind is Zoho else OAuth2("acme", **options)

    with pytest.raises(CoolingDown) as caught:
        provider.refresh(token(server.url))

    assert caught.value.until == NOW + longest


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (3600, 3600.0),
        (0.5, 0.5),
        ("3600", 3600.0),
        (" 3600.5 ", 3600.5),
        *((nonsense, None) for nonsense in [None, True, False, 0, -1, "-1", "", "soon", "nan"]),
        *((nonsense, None) for nonsense in ["1e3", float("nan"), float("inf"), [3600], {}]),
        *((absurd, None) for absurd in [1_700_000_000, 10**400]),
    ],
)
def test_expires_in(serve, acme, token, value, seconds):
    """A life that makes no sense is the same as none said; then the configured one holds."""
    server = serve({**NEW, "expires_in": value})
    configured = OAuth2("acme", lifetime=7200.0)

    assert acme.refresh(token(server.url)).expires_in == seconds
    assert configured.refresh(token(server.url)).expires_in == (seconds or 7200.0)


@pytest.mark.parametrize("value", [None, "", [], " ", "\n", False])
def test_no_refresh_token(serve, acme, token, value):
    """An answer without one leaves the old one in place."""
    server = serve({**NEW, "refresh_token": value})

    assert acme.refresh(token(server.url)).refresh_token is None


@pytest.mark.parametrize("value", [7, "bad\nX", "r\u00e9", {"value": "r2"}, ["r2"]])
def test_no_usable_refresh_token(serve, acme, token, value):
    """Where the old one may be spent, the new one is not dropped because it can't be read."""
    server = serve({**NEW, "refresh_token": value})
    keeping = OAuth2("hub", profile=Profile(rotates=False))

    with pytest.raises(ProviderUnavailable, match="no usable refresh_token") as caught:
        acme.refresh(token(server.url))

    assert json.loads(caught.value.unread.body)["refresh_token"] == value
    assert keeping.refresh(token(server.url)).refresh_token is None


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("https://www.zohoapis.eu", True),
        ("http://127.0.0.1:8080", True),
        *((other, False) for other in ["http://www.zohoapis.eu", "javascript:alert(1)", "", 7]),
    ],
)
def test_api_domain(serve, acme, token, value, kept):
    """Only where a token may be sent is taken for the place to send it."""
    server = serve({**NEW, "api_domain": value})

    assert acme.refresh(token(server.url)).api_domain == (value if kept else None)


def test_clock_offset(serve, acme, token):
    """The answer tells how far the provider's clock is from ours."""
    server = serve(as_json(NEW, "200 OK", "Date: Tue, 14 Nov 2023 22:14:20 GMT"))

    assert acme.refresh(token(server.url)).clock_offset == 60.0


@pytest.mark.parametrize(
    ("call", "missing"),
    [
        ("refresh", "refresh_token"),
        ("refresh", "client_id"),
        ("refresh", "issuer"),
        ("exchange", "grant_token"),
        ("exchange", "client_id"),
        ("revoke", "refresh_token"),
    ],
)
def test_something_is_missing(serve, token, call, missing):
    """A token that lacks what the call needs is told so, and nothing is sent."""
    server = serve(NEW)
    partial = token(server.url, access_token=None).but(**{missing: None})

    with pytest.raises(ConfigurationError, match=missing) as caught:
        getattr(OAuth2("acme", revocation_endpoint=server.url), call)(partial)

    assert caught.value.token_id == "tk-1"
    assert server.connections == 0


def test_configured_issuer(serve, token):
    """A token without an issuer is renewed at the configured one."""
    server = serve(NEW)
    provider = OAuth2("acme", issuer=server.url)

    assert provider.issuer(None) == server.url
    assert provider.refresh(token(None)).access_token == NEW["access_token"]


def test_plain_http(acme, token):
    """Nothing is sent to an issuer in plain http, and the error names the token."""
    with pytest.raises(ConfigurationError, match="Plain http") as caught:
        acme.refresh(token("http://accounts.example.com/token"))

    assert caught.value.token_id == "tk-1"
    assert_error_is_clean(caught.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"token": SECRETS["refresh_token"], "token_type_hint": "refresh_token"}),
        (
            {"refresh_token": None},
            {"token": SECRETS["access_token"], "token_type_hint": "access_token"},
        ),
    ],
)
def test_revoke(serve, token, changes, expected):
    """The refresh token is revoked, or the access token if there is no other (RFC 7009)."""
    server = serve(response())
    provider = OAuth2("acme", revocation_endpoint=server.url)

    provider.revoke(token("https://acme.example/token", **changes))

    fields = sent(server)[1]
    assert {name: fields[name] for name in ("token", "token_type_hint")} == expected
    assert fields["client_id"] == "1000.CLIENT"


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", "200 OK", None),
        (b"<html>", "200 OK", None),
        (b'{"error": "invalid_token"}', "400 Bad", None),
        (b"", "503 Later", ProviderUnavailable),
        (b"", "400 Bad", ProviderUnavailable),
        (b"{}", "500 Oops", ProviderUnavailable),
        (b'{"error": "invalid_client"}', "401 No", ProviderRefused),
        (b'{"error": "unsupported_token_type"}', "400 Bad", ProviderRefused),
        (b'{"error": "server_error"}', "200 OK", ProviderUnavailable),
        (b"", "429 Slow", CoolingDown),
    ],
)
def test_revocation_answer(serve, token, body, status, error):
    """Success, or a token nobody knows, is revoked; anything else is not confirmed."""
    server = serve(response(body, status))
    provider = OAuth2("acme", revocation_endpoint=server.url)

    if error is None:
        assert provider.revoke(token(server.url)) is None
    else:
        with pytest.raises(error) as caught:
            provider.revoke(token(server.url))
        assert_error_is_clean(caught.value)


def test_no_revocation_endpoint(acme, token):
    """Where nothing can be revoked, that is said."""
    with pytest.raises(ConfigurationError, match="revocation endpoint"):
        acme.revoke(token("https://acme.example/token"))


@pytest.mark.parametrize(
    ("api_domain", "host"),
    [
        ("https://API.Example.com/", "api.example.com:443"),
        ("api.example.com", "api.example.com:443"),
        ("api.example.com:443/v1/x?y=z#f", "api.example.com:443"),
        ("https://api.example.com.", "api.example.com:443"),
        ("http://api.example.com", "api.example.com:80"),
        ("http://127.0.0.1:8080/eu", "127.0.0.1:8080"),
        ("https://[2001:DB8::1]:8443/", "[2001:db8::1]:8443"),
        ("https://user:pw@api.example.com", "api.example.com:443"),
        ("  https://api.example.com \n", "api.example.com:443"),
        ("Not a URL", "not a url"),
    ],
)
def test_place(acme, api_domain, host):
    """Each host is a place of its own, however its URL is written."""
    assert acme.place(api_domain) == Place(host, host)
    assert acme.place(None) is acme.place("") is None


@pytest.mark.parametrize("kind", [GrantRejected, "GrantRejected"])
def test_own_errors(serve, token, kind):
    """A provider's own error codes can be named in the configuration."""
    server = serve({"error": "BAD_REFRESH_TOKEN"})
    provider = OAuth2("hub", errors={"Bad_Refresh_Token": kind})

    with pytest.raises(GrantRejected):
        provider.refresh(token(server.url))


@pytest.mark.parametrize(
    "options",
    [
        {"issuer": "http://example.com/token"},
        {"revocation_endpoint": "example.com"},
        {"client_auth": "query"},
        {"errors": {"odd": "KeyError"}},
        {"errors": {"odd": KeyError}},
    ],
)
def test_bad_options(options):
    """A wrong option is found when the provider is made, not when a token expires."""
    with pytest.raises(ConfigurationError):
        OAuth2("acme", **options)


def test_call_timeout(serve, token):
    """The profile bounds the call."""
    server = serve(lambda connection, _: connection.recv(1))
    provider = OAuth2("acme", profile=Profile(call_timeout=0.2))

    with pytest.raises(ProviderUnavailable, match=r"within 0\.2 seconds") as caught:
        provider.refresh(token(server.url))

    assert caught.value.token_id == "tk-1"
    assert_error_is_clean(caught.value)


def test_nothing_is_logged(serve, acme, token, caplog):
    """No secret reaches a log, however much is logged."""
    server = serve(NEW)

    with caplog.at_level(logging.DEBUG):
        acme.refresh(token(server.url))

    assert_no_secret(caplog.text, *NEW.values())
