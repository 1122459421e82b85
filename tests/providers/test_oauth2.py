"""What is sent: RFC 6749 as written, and to servers that want it otherwise."""

from __future__ import annotations

import base64
import logging

import pytest
from pages import labelled
from provider_server import NEW, SECRETS, assert_error_is_clean, assert_no_secret, sent

import tokenkeep
from tokenkeep.errors import ConfigurationError, ProviderUnavailable
from tokenkeep.providers import Profile, Providers
from tokenkeep.providers.oauth2 import OAuth2

HIDDEN = "hidden.s3cret"
CLIENT = {"client_id": "1000.CLIENT", "client_secret": SECRETS["client_secret"]}


def headers_of(server):
    """Return the headers of the last request."""
    head, _, _ = server.requests[-1].decode().partition("\r\n\r\n")
    lines = (line.partition(":") for line in head.split("\r\n")[1:])
    return {name.lower(): value.strip() for name, _, value in lines}


RENEWAL = {"grant_type": "refresh_token", "refresh_token": SECRETS["refresh_token"]}
CODE = {"grant_type": "authorization_code", "code": SECRETS["grant_token"]}
FROM = {"redirect_uri": "http://127.0.0.1:8765/callback", "code_verifier": "v" * 43}
PARAMETERS = {"scope": "a b", "resource": "é&="}
HEADERS = {"X-Api-Key": HIDDEN, "USER-AGENT": "app/1", "authorization": f"Bearer {HIDDEN}"}


@pytest.mark.parametrize(
    ("call", "changes", "fields"),
    [
        ("refresh", {}, RENEWAL),
        ("exchange", {}, CODE | FROM),
        ("exchange", {"redirect_uri": None}, CODE),
        ("revoke", {}, {"token": SECRETS["refresh_token"], "token_type_hint": "refresh_token"}),
        (
            "revoke",
            {"refresh_token": None},
            {"token": SECRETS["access_token"], "token_type_hint": "access_token"},
        ),
    ],
)
@pytest.mark.parametrize("more", [False, True])
def test_what_is_sent(*, serve, token, caplog, call, changes, fields, more):
    """
    Each call posts what the RFCs say, in the body.

    Further fields go with all but a revocation, never in the place of a call's own; further
    headers with all, in the place of ours of that name. No secret is shown or logged.
    """
    server = serve({**NEW, "expires_in": 1800})
    options = {"parameters": PARAMETERS | {"client_id": "no"}, "headers": HEADERS} if more else {}
    acme = OAuth2("acme", revocation_endpoint=server.url, **options)
    verified = {"code_verifier": "v" * 43} if "code_verifier" in fields else {}

    with caplog.at_level(logging.DEBUG):
        answer = getattr(acme, call)(token(server.url, **changes), **verified)

    added = PARAMETERS if more and call != "revoke" else {}
    assert fields | CLIENT | added == sent(server)[1]
    there = headers_of(server)
    if more:
        assert {name.lower(): value for name, value in HEADERS.items()}.items() <= there.items()
    else:
        assert "authorization" not in there
    assert len(there) == server.requests[-1].partition(b"\r\n\r\n")[0].count(b"\r\n")
    assert_no_secret(f"{acme}{answer}{caplog.text}", HIDDEN, *NEW.values())


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
    assert (secret and f"Basic {pair}") == headers_of(server).get("authorization")
    named = set() if secret else {"client_id"}
    assert {"grant_type", "refresh_token", *named} == set(sent(server)[1])


@pytest.mark.parametrize(
    ("call", "changes", "said"),
    [
        ("refresh", {"refresh_token": None}, "refresh_token"),
        ("refresh", {"issuer": None}, "not known where acme renews"),
        ("refresh", {"issuer": "http://accounts.example.com/token"}, "Plain http"),
        ("exchange", {"grant_token": None}, "grant_token"),
        ("exchange", {"client_id": None}, "client_id"),
        ("revoke", {}, "No revocation endpoint"),
    ],
)
def test_not_called(*, serve, acme, token, call, changes, said):
    """What the call needs is named, with the token, and nothing is sent."""
    server = serve(NEW)

    with pytest.raises(ConfigurationError, match=said) as caught:
        getattr(acme, call)(token(server.url).but(**changes))

    assert "tk-1" == caught.value.token_id
    assert_error_is_clean(caught.value)
    assert 0 == server.connections


def test_call_timeout(serve, token):
    """The profile bounds a call."""
    server = serve(lambda connection, _: connection.recv(1))

    with pytest.raises(ProviderUnavailable, match=r"within 0\.2 seconds") as caught:
        OAuth2("acme", profile=Profile(call_timeout=0.2)).refresh(token(server.url))

    assert "tk-1" == caught.value.token_id


OPTIONS = [
    {"issuer": "http://example.com/token"},
    {"revocation_endpoint": "example.com"},
    {"errors": {"odd": "KeyError"}},
    {"client_auth": "basic_raw"},
    {"grant": "password"},
    {"parameters": [HIDDEN]},
    {"parameters": {"audience": 7, "x": HIDDEN}},
    {"headers": HIDDEN},
    {"headers": {"X-Key": [HIDDEN]}},
    {"headers": {"X-Key": HIDDEN}, "grant": "implicit"},
    {"parameters": {"audience": HIDDEN}, "unknown": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=repr)
def test_wrong_options(options):
    """A wrong option is found when the provider is made; no value of these is shown anywhere."""
    with pytest.raises(ConfigurationError) as caught:
        Providers("acme", {"acme": {"kind": "oauth2", **options}}).named("acme")
    assert_error_is_clean(caught.value, HIDDEN)
    if "unknown" not in options:
        with pytest.raises(ConfigurationError) as caught:
            OAuth2("acme", **options)
        assert_error_is_clean(caught.value, HIDDEN)


def test_in_a_file(serve, token, tmp_path):
    """All of it can be said in the configuration file, as the page does; headers are not shown."""
    path = tmp_path / "config.toml"
    (page,) = labelled("docs/providers.md", "otherwise")
    path.write_text(page + "\n[providers.acme.profile]\nadvisory = 1\n")
    server = serve(NEW)

    settings = tokenkeep.settings({"TOKENKEEP_CONFIG": str(path)})
    settings.providers().named("acme").refresh(token(server.url))

    there = headers_of(server)
    assert ("my-key", "Basic ") == (there["x-api-key"], there["authorization"][:6])
    assert "https://api.acme.example" == sent(server)[1]["audience"]
    assert "my-key" not in repr(settings)
    path.write_text(path.read_text().replace("advisory", "advisery"))
    with pytest.raises(ConfigurationError, match=r"acme\]: profile: .*'advisery'") as caught:
        tokenkeep.settings({"TOKENKEEP_CONFIG": str(path)})
    assert_error_is_clean(caught.value, "my-key")


class Limited(OAuth2):
    """A provider of another package, with habits of its own, which takes no profile."""

    profile = Profile(mint_limit=10, rotates=False)

    def __init__(self, name):
        super().__init__(name)


@pytest.mark.parametrize("changes", [{"mint_window": 60.0, "revokes_grant": False}, {}])
def test_profile(monkeypatch, changes):
    """A profile that names one habit keeps the others of that very provider."""
    monkeypatch.setattr("tokenkeep.providers.PROVIDERS", {"acme_tokens": "test_oauth2:Limited"})
    made = Providers("acme", {"acme": {"kind": "acme_tokens", "name": "acme", "profile": changes}})

    assert Profile(**{"mint_limit": 10, "rotates": False} | changes) == made.named("acme").profile
    assert Profile(mint_limit=10, rotates=False) == Limited("other").profile
