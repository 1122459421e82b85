"""What is sent: RFC 6749 as written, and to servers that want it otherwise."""

from __future__ import annotations

import base64
import json
import logging

import pytest
from provider_server import NEW, SECRETS, assert_error_is_clean, assert_no_secret, sent

import tokenkeep
from tokenkeep.errors import ConfigurationError, ProviderUnavailable
from tokenkeep.providers import Profile, Providers, provider
from tokenkeep.providers.base import Place
from tokenkeep.providers.oauth2 import OAuth2

HIDDEN = "hidden.s3cret"
CLIENT = {"client_id": "1000.CLIENT", "client_secret": SECRETS["client_secret"]}


def request_of(server):
    """Return the headers of the last request, and its body."""
    head, _, body = server.requests[-1].decode().partition("\r\n\r\n")
    lines = (line.partition(":") for line in head.split("\r\n")[1:])
    return {name.lower(): value.strip() for name, _, value in lines}, body


def test_refresh(serve, acme, token, caplog):
    """A renewal posts what RFC 6749 section 6 says, in the body; no secret is shown or logged."""
    server = serve({**NEW, "expires_in": 1800, "scope": "a b", "token_type": "Bearer"})

    with caplog.at_level(logging.DEBUG):
        answer = acme.refresh(token(server.url))

    head, fields = sent(server)
    refresh_token = SECRETS["refresh_token"]
    assert {"grant_type": "refresh_token", "refresh_token": refresh_token, **CLIENT} == fields
    assert "authorization" not in head.lower()
    assert NEW == {"access_token": answer.access_token, "refresh_token": answer.refresh_token}
    assert (1800.0, "a b") == (answer.expires_in, answer.scope)
    assert_no_secret(head + repr(answer) + caplog.text, *NEW.values())


@pytest.mark.parametrize(
    ("client_auth", "secret", "sent_as"),
    [
        ("basic", "a+b/c= %ü:", "a%2Bb%2Fc%3D+%25%C3%BC%3A"),
        ("basic-raw", "a+b/c= %ü:", "a+b/c= %ü:"),
        ("basic", None, None),
        ("body", None, None),
    ],
)
def test_client_auth(*, serve, token, client_auth, secret, sent_as):
    """
    Id and secret are in the header alone: form-encoded, or for who does not decode, raw.

    A client without a secret names itself in the body.
    """
    server = serve(NEW)

    OAuth2("acme", client_auth=client_auth).refresh(token(server.url, client_secret=secret))

    pair = base64.b64encode(f"1000.CLIENT:{sent_as}".encode()).decode()
    assert (secret and f"Basic {pair}") == request_of(server)[0].get("authorization")
    named = set() if secret else {"client_id"}
    assert {"grant_type", "refresh_token", *named} == set(sent(server)[1])


def test_exchange(serve, acme, token):
    """A code goes with its redirect URI and its PKCE verifier, where there are any."""
    server = serve(NEW)
    always = {"grant_type": "authorization_code", "code": SECRETS["grant_token"], **CLIENT}

    acme.exchange(token(server.url), code_verifier="v" * 43)
    acme.exchange(token(server.url, redirect_uri=None))

    there = {"redirect_uri": "http://127.0.0.1:8765/callback", "code_verifier": "v" * 43}
    assert (always | there, always) == (sent(server)[1], sent(server, 1)[1])


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({}, "refresh_token"), ({"refresh_token": None}, "access_token")],
)
def test_revoke(serve, token, changes, kind):
    """The refresh token is revoked, or the access token if there is no other (RFC 7009)."""
    server = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    OAuth2("acme", revocation_endpoint=server.url).revoke(token("https://a.example/", **changes))

    assert {"token": SECRETS[kind], "token_type_hint": kind, **CLIENT} == sent(server)[1]


@pytest.mark.parametrize(
    ("call", "missing"),
    [
        ("refresh", "refresh_token"),
        ("refresh", "issuer"),
        ("exchange", "grant_token"),
        ("exchange", "client_id"),
        ("revoke", "revocation endpoint"),
    ],
)
def test_something_is_missing(serve, token, call, missing):
    """What the call needs is named, with the token, and nothing is sent."""
    server = serve(NEW)
    endpoint = None if " " in missing else server.url
    partial = token(server.url, access_token=None)
    if endpoint:
        partial = partial.but(**{missing: None})

    with pytest.raises(ConfigurationError, match=missing) as caught:
        getattr(OAuth2("acme", revocation_endpoint=endpoint), call)(partial)

    assert "tk-1" == caught.value.token_id
    assert 0 == server.connections


def test_issuer(serve, acme, token):
    """A token without one is renewed at the configured one; in plain http none is."""
    server = serve(NEW)
    configured = OAuth2("acme", issuer=server.url)

    assert server.url == configured.issuer(None)
    assert NEW["access_token"] == configured.refresh(token(None)).access_token
    with pytest.raises(ConfigurationError, match="Plain http") as caught:
        acme.refresh(token("http://accounts.example.com/token"))
    assert "tk-1" == caught.value.token_id
    assert_error_is_clean(caught.value)


@pytest.mark.parametrize(
    ("api_domain", "host"),
    [
        ("https://user:pw@API.Example.com/", "api.example.com:443"),
        ("api.example.com:443/v1/x?y=z#f", "api.example.com:443"),
        ("  https://api.example.com. \n", "api.example.com:443"),
        ("http://api.example.com", "api.example.com:80"),
        ("https://[2001:DB8::1]:8443/", "[2001:db8::1]:8443"),
        ("Not a URL", "not a url"),
    ],
)
def test_place(acme, api_domain, host):
    """Each host is a place of its own, however its URL is written."""
    assert Place(host, host) == acme.place(api_domain)
    assert acme.place(None) is acme.place("") is None


@pytest.mark.parametrize("call", ["refresh", "exchange", "revoke"])
def test_call_timeout(serve, token, call):
    """The profile bounds each call."""
    server = serve(lambda connection, _: connection.recv(1))
    options = {"profile": Profile(call_timeout=0.2), "revocation_endpoint": server.url}

    with pytest.raises(ProviderUnavailable, match=r"within 0\.2 seconds") as caught:
        getattr(OAuth2("acme", **options), call)(token(server.url))

    assert "tk-1" == caught.value.token_id
    assert_error_is_clean(caught.value)


# Servers that want it otherwise


@pytest.mark.parametrize("call", ["refresh", "exchange", "revoke"])
@pytest.mark.parametrize("body", ["form", "json"])
def test_otherwise(*, serve, token, call, body):
    """
    Each call is JSON where that is wanted; further fields go with all but a revocation.

    Further headers go with all, in the place of ours of that name.
    """
    server = serve(NEW)
    parameters = {"scope": "a b", "resource": "é&="}
    headers = {"X-Api-Key": HIDDEN, "USER-AGENT": "app/1", "authorization": f"Bearer {HIDDEN}"}
    options = {"body": body, "parameters": parameters, "revocation_endpoint": server.url}
    acme = OAuth2("acme", headers=headers, **options)

    getattr(acme, call)(token(server.url))

    there, text = request_of(server)
    kind = {"form": "x-www-form-urlencoded", "json": "json"}[body]
    assert f"application/{kind}" == there["content-type"]
    fields = json.loads(text) if body == "json" else sent(server)[1]
    assert SECRETS["client_secret"] == fields["client_secret"]
    expected = {} if call == "revoke" else parameters
    assert expected == {name: fields[name] for name in parameters if name in fields}
    for name, value in headers.items():
        assert value == there[name.lower()]
        assert 1 == server.requests[-1].lower().count(f"\r\n{name}:".lower().encode())
    assert HIDDEN not in repr(acme)


OPTIONS = [
    {"issuer": "http://example.com/token"},
    {"revocation_endpoint": "example.com"},
    {"errors": {"odd": "KeyError"}},
    {"certificate": 5},
    {"certificate": "a.pem", "certificate_key": True},
    {"certificate_key": "a.key"},
    {"body": "xml"},
    {"client_auth": "basic_raw"},
    {"grant": "password"},
    {"parameters": [HIDDEN]},
    {"parameters": {"audience": 7, "x": HIDDEN}},
    {"parameters": {"refresh_token": HIDDEN}},
    {"headers": HIDDEN},
    {"headers": {"X-Key": [HIDDEN]}},
    {"headers": {"X-Key": f"{HIDDEN}\r\nX-Evil: 1"}},
    {"headers": {"X Key": HIDDEN}},
    {"headers": {"Content-Length": "7", "X-Key": HIDDEN}},
    {"headers": {"AUTHORIZATION": HIDDEN}, "client_auth": "basic-raw", "body": "json"},
    {"headers": {"X-Key": HIDDEN}, "body": "xml"},
    {"parameters": {"audience": HIDDEN}, "unknown": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=repr)
def test_wrong_options(options):
    """A wrong option is found when the provider is made; no value of these is shown anywhere."""
    with pytest.raises(ConfigurationError) as caught:
        provider("oauth2", name="acme", **options)
    assert_error_is_clean(caught.value, HIDDEN)
    with pytest.raises(ConfigurationError) as caught:
        Providers("acme", {"acme": {"kind": "oauth2", **options}}).named("acme")
    assert_error_is_clean(caught.value, HIDDEN)


CONFIGURED = f"""
[providers.acme]
kind = "oauth2"
parameters = {{ audience = "https://api.example" }}
headers = {{ X-Api-Key = "{HIDDEN}" }}
[providers.acme.profile]
"""


def test_in_a_file(serve, token, tmp_path):
    """All of it can be said in the configuration file; its headers are not shown."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIGURED)
    server = serve(NEW)

    settings = tokenkeep.settings({"TOKENKEEP_CONFIG": str(path)})
    settings.providers().named("acme").refresh(token(server.url))

    assert HIDDEN == request_of(server)[0]["x-api-key"]
    assert "https://api.example" == sent(server)[1]["audience"]
    assert HIDDEN not in repr(settings)
    path.write_text(CONFIGURED + "advisery = 1")
    with pytest.raises(ConfigurationError, match=r"acme\]: profile has .*'advisery'") as caught:
        tokenkeep.settings({"TOKENKEEP_CONFIG": str(path)})
    assert_error_is_clean(caught.value, HIDDEN)


class Limited(OAuth2):
    """A provider of another package, with habits of its own."""

    profile = Profile(mint_limit=10, rotates=False)


class Bare(Limited):
    """One that takes no profile."""

    def __init__(self, name):
        super().__init__(name)


@pytest.mark.parametrize("kind", [Limited, Bare])
@pytest.mark.parametrize("changes", [{"mint_window": 60.0, "revokes_grant": False}, {}])
def test_profile(monkeypatch, kind, changes):
    """A profile that names one habit keeps the others of that very provider."""
    monkeypatch.setattr("tokenkeep.providers._load", lambda _: kind)
    made = Providers("acme", {"acme": {"kind": "acme_tokens", "name": "acme", "profile": changes}})

    assert Profile(**{"mint_limit": 10, "rotates": False} | changes) == made.named("acme").profile
    assert Profile(mint_limit=10, rotates=False) == kind("other").profile
