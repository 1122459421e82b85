"""What is sent to servers that want it otherwise: bodies, further fields, headers, Basic."""

from __future__ import annotations

import base64
import json

import pytest
from provider_server import SECRETS, assert_error_is_clean, response, sent

import tokenkeep
from tokenkeep.errors import ConfigurationError
from tokenkeep.providers import Profile, Providers, provider
from tokenkeep.providers.oauth2 import OAuth2

NEW = {"access_token": "new.access.s3cret"}
HIDDEN = "hidden.s3cret"


def request_of(server):
    """Return the headers of the last request, and its body."""
    head, _, body = server.requests[-1].decode().partition("\r\n\r\n")
    lines = (line.partition(":") for line in head.split("\r\n")[1:])
    return {name.lower(): value.strip() for name, _, value in lines}, body


@pytest.mark.parametrize("call", ["refresh", "exchange", "revoke"])
def test_json(serve, token, call):
    """Where a server takes JSON only, every call is JSON."""
    server = serve(NEW)
    acme = OAuth2("acme", body="json", revocation_endpoint=server.url)

    getattr(acme, call)(token(server.url))

    headers, body = request_of(server)
    assert "application/json" == headers["content-type"]
    fields = json.loads(body)
    assert SECRETS["client_secret"] == fields["client_secret"]
    assert {"refresh": "refresh_token", "exchange": "authorization_code", "revoke": None}[
        call
    ] == fields.get("grant_type")


@pytest.mark.parametrize("body", ["form", "json"])
@pytest.mark.parametrize(
    "parameters",
    [
        {"audience": "https://api.example"},
        {"scope": "a b", "resource": "é&="},
        {"account_id": "7"},
    ],
)
def test_parameters(*, serve, token, body, parameters):
    """Further fields are sent at exchange and renewal, and not where a token is revoked."""
    server = serve(NEW)
    acme = OAuth2("acme", body=body, parameters=parameters, revocation_endpoint=server.url)
    read = json.loads if body == "json" else lambda _: sent(server, -1)[1]

    for call in (acme.refresh, acme.exchange):
        call(token(server.url))
        assert parameters.items() <= read(request_of(server)[1]).items()
    acme.revoke(token(server.url))
    assert not parameters.keys() & read(request_of(server)[1]).keys()


@pytest.mark.parametrize("call", ["refresh", "exchange", "revoke"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("X-Api-Key", HIDDEN), ("notion-version", "2022-06-28"), ("USER-AGENT", "app/1"),
     ("authorization", f"Bearer {HIDDEN}"),
     ("accept", "application/vnd.acme+json"), ("Content-Type", "application/vnd.acme")],
)  # fmt: skip
def test_headers(*, serve, token, call, name, value):
    """Further headers are sent with each request, in the place of ours of that name."""
    server = serve(response(b'{"access_token": "a"}'))
    acme = OAuth2("acme", headers={name: value}, revocation_endpoint=server.url)

    getattr(acme, call)(token(server.url))

    head = server.requests[-1].decode().partition("\r\n\r\n")[0].lower()
    assert value == request_of(server)[0][name.lower()]
    assert 1 == head.count(f"\r\n{name.lower()}:")
    assert HIDDEN not in repr(acme)


@pytest.mark.parametrize(
    ("secret", "encoded"),
    [("a+b/c=", "a%2Bb%2Fc%3D"), ("c d%", "c+d%25"), ("plain", "plain"), ("ü:", "%C3%BC%3A")],
)
def test_basic(serve, token, secret, encoded):
    """A server that does not decode what is encoded in Basic gets it as it is."""
    server = serve(NEW)
    client = token(server.url, client_secret=secret)

    for client_auth, sent_as in (("basic", encoded), ("basic-raw", secret)):
        OAuth2("acme", client_auth=client_auth).refresh(client)
        headers, body = request_of(server)
        pair = base64.b64encode(f"1000.CLIENT:{sent_as}".encode()).decode()
        assert f"Basic {pair}" == headers["authorization"]
        assert "client" not in body


OPTIONS = [
    {"body": "xml"},
    {"client_auth": "basic_raw"},
    {"grant": "password"},
    {"parameters": [HIDDEN]},
    {"parameters": {"audience": 7, "x": HIDDEN}},
    {"parameters": {"refresh_token": HIDDEN}},
    {"parameters": {"client_secret": HIDDEN}},
    {"headers": HIDDEN},
    {"headers": {"X-Key": [HIDDEN]}},
    {"headers": {"X-Key": f"{HIDDEN}\r\nX-Evil: 1"}},
    {"headers": {"X Key": HIDDEN}},
    {"headers": {"host": HIDDEN}},
    {"headers": {"Content-Length": "7", "X-Key": HIDDEN}},
    {"headers": {"Authorization": HIDDEN}, "client_auth": "basic"},
    {"headers": {"authorization": HIDDEN, "X-Key": "x"}, "client_auth": "basic"},
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


CONFIGURED = """
[providers.acme]
kind = "oauth2"
body = "json"
client_auth = "basic-raw"
parameters = {{ audience = "https://api.example" }}
[providers.acme.headers]
X-Api-Key = "{hidden}"
"""


def test_in_a_file(serve, token, tmp_path):
    """All of it can be said in the configuration file; its headers are not shown."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIGURED.format(hidden=HIDDEN))
    server = serve(NEW)

    settings = tokenkeep.settings({"TOKENKEEP_CONFIG": str(path)})
    settings.providers().named("acme").refresh(token(server.url))

    headers, body = request_of(server)
    assert HIDDEN == headers["x-api-key"]
    assert "https://api.example" == json.loads(body)["audience"]
    assert HIDDEN not in repr(settings)
    path.write_text(CONFIGURED.format(hidden=HIDDEN) + "[providers.acme.profile]\nadvisery = 1")
    with pytest.raises(ConfigurationError, match=r"acme\]: profile has .*'advisery'") as caught:
        tokenkeep.settings({"TOKENKEEP_CONFIG": str(path)})
    assert_error_is_clean(caught.value, HIDDEN)


class Limited(OAuth2):
    """A provider of another package, with habits of its own."""

    profile = Profile(mint_limit=10, rotates=False)


def limited(name, **options):
    """Make one that has no class of its own for its habits."""
    return OAuth2(name, profile=Profile(mint_limit=10, rotates=False), **options)


class Bare(Limited):
    """One that takes no profile."""

    def __init__(self, name):
        super().__init__(name)


@pytest.mark.parametrize("kind", [Limited, limited, Bare])
@pytest.mark.parametrize(
    "changes", [{"advisory": 60}, {"mint_window": 60.0, "revokes_grant": False}, {}]
)
def test_profile(monkeypatch, kind, changes):
    """A profile that names one habit keeps the others of that very provider."""
    monkeypatch.setattr("tokenkeep.providers._load", lambda _: kind)

    made = Providers("acme", {"acme": {"kind": "acme_tokens", "name": "acme", "profile": changes}})

    profile = made.named("acme").profile
    assert (10, False) == (profile.mint_limit, profile.rotates)
    assert changes.items() <= {name: getattr(profile, name) for name in changes}.items()
    assert Profile(mint_limit=10, rotates=False) == kind("other").profile
