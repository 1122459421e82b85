"""A client that is known by its certificate (RFC 8705)."""

from __future__ import annotations

import os
import pty
import re
import ssl
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from provider_server import assert_error_is_clean, sent

from tokenkeep import settings
from tokenkeep.errors import ConfigurationError, ProviderUnavailable
from tokenkeep.providers.oauth2 import OAuth2

NEW = {"access_token": "new", "expires_in": 3600}


@pytest.fixture
def asking(serve, authority, monkeypatch):
    """A server that asks for a certificate, and whose those were that it was shown."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.pem))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", "127.0.0.1"))
    context.load_verify_locations(authority.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    shown = []

    def wrap(raw):
        connection = context.wrap_socket(raw, server_side=True)
        shown.append(connection.getpeercert()["subject"][0][0][1])
        return connection

    server = serve(NEW, wrap=wrap)
    server.url = f"https://{server.netloc}/token"
    server.shown = shown
    return server


def test_shown(asking, authority, token):
    """The client is known by the certificate, and names itself; another provider shows none."""
    certificate, key = authority.issue("ana", "ana.example")
    acme = OAuth2("acme", certificate=str(certificate), certificate_key=key)
    public = token(asking.url, client_secret=None)

    assert "new" == acme.refresh(public).access_token
    assert {"grant_type", "refresh_token", "client_id"} == sent(asking)[1].keys()
    # The alert may be lost with the connection that it was to come by.
    with pytest.raises(ProviderUnavailable, match=r"certificate, or wants one|closed the conn"):
        OAuth2("other").refresh(public)
    assert ["ana"] == asking.shown


def test_renewed_while_in_use(*, asking, authority, token, tmp_path, monkeypatch):
    """A file below the user's home with the key in it, as a configuration has it, is read anew."""
    monkeypatch.setenv("HOME", str(tmp_path))
    config = tmp_path / "config.toml"
    config.write_text('[providers.acme]\nkind = "oauth2"\ncertificate = "~/eva.pem"\n')
    acme = settings({"TOKENKEEP_CONFIG": str(config)}).providers().named("acme")

    for name in ("old", "new"):
        both = [each.read_bytes() for each in authority.issue(name, "a.example")]
        (tmp_path / "eva.pem").write_bytes(b"".join(both))
        acme.refresh(token(asking.url))

    assert ["old", "new"] == asking.shown


@pytest.fixture(scope="module")
def files(authority, tmp_path_factory):
    """PEM files, by what is in them; the key in ``locked`` has a password."""
    folder = tmp_path_factory.mktemp("files")
    certificate, key = authority.issue("ana", "a.example")
    (folder / "text").write_text("certificate")
    plain = serialization.load_pem_private_key(key.read_bytes(), None)
    how = serialization.BestAvailableEncryption(b"pa55word")
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "locked").write_bytes(plain.private_bytes(*form, how))
    names = {"certificate": certificate, "key": key, "another": authority.issue("eva", "e.x")[1]}
    return names | {name: folder / name for name in ("text", "locked", "gone")}


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("certificate", "locked", "which has no password"),
        ("certificate", "gone", r"key .*gone can't .*: No such"),
        ("certificate", None, "can't be used"),
        ("certificate", "another", "that belongs"),
        ("text", "key", "It has to be PEM"),
    ],
)
def test_unusable(*, asking, files, token, certificate, key, said):
    """Named at the call, with the file, before anything is sent."""
    options = {"certificate": files[certificate], "certificate_key": key and files[key]}
    acme = OAuth2("acme", headers={"X-Api-Key": "hidden"}, **options)

    with pytest.raises(ConfigurationError, match=said) as caught:
        acme.refresh(token(asking.url))

    assert str(files[certificate]) in str(caught.value)
    assert_error_is_clean(caught.value, "hidden")
    assert 0 == asking.connections


ASK = """
import sys
from tokenkeep import ConfigurationError, Token
from tokenkeep.providers.oauth2 import OAuth2

acme = OAuth2("acme", certificate=sys.argv[1], certificate_key=sys.argv[2])
try:
    acme.refresh(Token(client_id="c", refresh_token="r", issuer="https://127.0.0.1:9/"))
except ConfigurationError:
    print("refused")
"""


def test_nobody_is_asked_for_a_password(files):
    """Not even at a terminal: a server would wait for ever."""
    given = [str(files[name]) for name in ("certificate", "locked")]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", ASK, *given])
    said = b""
    while b"refused" not in said:
        said += os.read(terminal, 4096)
    os.close(terminal)
    os.waitpid(pid, 0)

    assert re.fullmatch(rb"refused\s*", said)
