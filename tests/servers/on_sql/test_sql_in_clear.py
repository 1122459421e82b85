"""A server that has not proven who it is may ask for the password itself: it is not told."""

from __future__ import annotations

import sys

import pytest
from cases import refused
from certificates import Authority
from greedy_servers import listening, mysql, postgresql, public_key

from tokenkeep.backends import open_backend
from tokenkeep.backends.sql import SQLBackend

MYSQL = {
    "clear": ["mysql_clear_password"],
    "dialog": ["dialog", b"\x01\x04Password: "],
    "prompt at once": ["dialog"],
    "sha256, its own key": ["sha256_password", b"\x01KEY"],
    "sha256 from the start": ["sha256_password", b"\x01KEY"],
    "sha2, its own key": ["caching_sha2_password", b"\x01\x04", b"\x01KEY"],
    "sha2 from the start": ["caching_sha2_password", b"\x01\x04", b"\x01KEY"],
    "old": ["mysql_old_password"],
    "unheard_of": ["unheard_of"],
    "'pynacl' package is required": ["client_ed25519"],
}
"""How a server asks; the last two are what is said of them."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue("server", "127.0.0.1")


def asked(talk, url, said="has not proven who it is"):
    """Return what a server was told before it was given up, and that it came to asking."""
    with listening(talk) as (port, told):
        assert said in refused(lambda: open_backend(url.format(port)))
    return told


@pytest.mark.parametrize(
    ("how", "tls"),
    [
        *((how, "") for how in MYSQL),
        # Within TLS these go as with MySQL's own programs: test_told_all_the_same.
        *((how, "TLS") for how in MYSQL if "sha2, " not in how and "start" not in how),
    ],
)
def test_mysql(certificate, how, tls, monkeypatch):
    """Whatever way it asks in: nothing of the password arrives, in clear or under its own key."""
    monkeypatch.setitem(sys.modules, "nacl", None)  # installed or not
    greets = MYSQL[how][0] if "start" in how else "mysql_native_password"
    talk = mysql(*MYSQL[how], greets=greets, certificate=certificate if tls else None)
    url = "mysql://app:hunter2@127.0.0.1:{}/app?timeout=5"

    told = asked(talk, url, *([how] if how in list(MYSQL)[-2:] else []))

    assert b"hunter2" not in told.heard
    assert told.asked.is_set()


@pytest.mark.parametrize("tls", ["", "&sslmode=require", "&sslmode=prefer", "&sslmode=disable"])
@pytest.mark.parametrize("kept", ["", "&require_auth=%21md5", "&require_auth=%21password"])
def test_postgresql(certificate, tls, kept):
    """AuthenticationCleartextPassword is not answered, whatever else was asked for."""
    talk = postgresql(certificate=certificate if "require" in tls else None)

    told = asked(talk, f"postgresql://app:hunter2@127.0.0.1:{{}}/app?timeout=5{tls}{kept}")

    assert told.asked.is_set()
    assert b"hunter2" not in told.heard


def test_told_all_the_same(authority, certificate):
    """
    A server that TLS has verified may ask; one on this machine may be allowed to.

    MySQL's own ways work within TLS, verified or not, as with its own programs.
    """
    ours = f"ssl_ca={authority.pem}&ssl_verify_identity=true"
    verified = f"sslmode=verify-full&sslrootcert={authority.pem}"
    clear = mysql("mysql_clear_password", certificate=certificate)
    sha256 = mysql("sha256_password", certificate=certificate)
    sha2 = mysql("caching_sha2_password", b"\x01\x04", certificate=certificate)
    mysqls, postgresqls = "mysql://app:hunter2@127.0.0.1", "postgresql://app:hunter2@localhost"

    for talk, url in (
        (clear, f"{mysqls}:{{}}/app?{ours}"),
        (sha256, f"{mysqls}:{{}}/app?{ours}"),
        (sha2, f"{mysqls}:{{}}/app"),
        (
            mysql("sha256_password", greets="sha256_password", certificate=certificate),
            f"{mysqls}:{{}}/app",
        ),
        (
            postgresql(certificate=certificate),
            f"postgresql://app:hunter2@127.0.0.1:{{}}/app?{verified}",
        ),
        (postgresql(), f"{postgresqls}:{{}}/app?require_auth=password"),
    ):
        assert b"hunter2" in asked(talk, url, "").heard


def test_a_key_known_beforehand():
    """Without TLS, MySQL is told the password under a key that was given, none that it sends."""
    with listening(mysql("caching_sha2_password", b"\x01\x04")) as (port, told):
        given = {"password": "hunter2", "server_public_key": public_key()}
        refused(lambda: SQLBackend(f"mysql://app@127.0.0.1:{port}/app", **given))
    assert b"hunter2" in told.heard
