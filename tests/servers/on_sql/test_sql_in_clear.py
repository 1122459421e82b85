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
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue("server", "127.0.0.1")


def asked(talk, scheme, options="", said="has not proven who it is"):
    """Return what a server was told before it was given up, and that it came to asking."""
    with listening(talk) as (port, told):
        url = f"{scheme}://app:hunter2@127.0.0.1:{port}/app?timeout=5{options}"
        assert said in refused(lambda: open_backend(url))
    return told


@pytest.mark.parametrize(
    ("how", "tls"),
    [
        *((how, "") for how in MYSQL),
        *((how, "&ssl_mode=required") for how in MYSQL if "sha2 " not in how.replace(",", " ")),
    ],
)
def test_mysql(certificate, how, tls):
    """Whatever way it asks in: nothing of the password arrives, in clear or under its own key."""
    greets = MYSQL[how][0] if "start" in how else "mysql_native_password"
    talk = mysql(*MYSQL[how], greets=greets, certificate=certificate if tls else None)

    told = asked(talk, "mysql", tls)

    assert b"hunter2" not in told.heard
    assert told.asked.is_set() or how == "sha256 from the start"


@pytest.mark.parametrize("tls", ["", "&ssl_mode=required"])
def test_a_login_that_takes_a_package(certificate, tls, monkeypatch):
    """The server chooses how: what is missing here is named, nothing of the driver's is raised."""
    monkeypatch.setitem(sys.modules, "nacl", None)  # installed or not
    talk = mysql("client_ed25519", certificate=certificate if tls else None)

    told = asked(talk, "mysql", tls, said="'pynacl' package is required")

    assert b"hunter2" not in told.heard


@pytest.mark.parametrize("plugin", ["parsec", "authentication_kerberos_client", "unheard_of"])
def test_a_login_that_is_not_known(plugin):
    """One that the driver does not have is named likewise."""
    asked(mysql(plugin), "mysql", said=plugin)


@pytest.mark.parametrize("tls", ["", "&sslmode=require", "&sslmode=prefer", "&sslmode=disable"])
@pytest.mark.parametrize("kept", ["", "&require_auth=%21md5", "&require_auth=%21password"])
def test_postgresql(certificate, tls, kept):
    """AuthenticationCleartextPassword is not answered, whatever else was asked for."""
    talk = postgresql(certificate=certificate if "require" in tls else None)

    told = asked(talk, "postgresql", tls + kept)

    assert told.asked.is_set()
    assert b"hunter2" not in told.heard


def told_after(talk, url):
    """Return what a server was told that has proven who it is, or was chosen to be told."""
    with listening(talk) as (port, told):
        refused(lambda: open_backend(url.format(port)))
    return told.heard


def test_told_all_the_same(authority, certificate, monkeypatch):
    """A server that TLS has verified may ask; one on this machine may be allowed to."""
    ours = f"ssl_ca={authority.pem}&ssl_verify_identity=true"
    clear = mysql("mysql_clear_password", certificate=certificate)
    sha256 = mysql("sha256_password", certificate=certificate)
    verified = f"sslmode=verify-full&sslrootcert={authority.pem}"

    for talk, url in (
        (clear, f"mysql://app:hunter2@127.0.0.1:{{}}/app?{ours}"),
        (sha256, f"mysql://app:hunter2@127.0.0.1:{{}}/app?{ours}"),
        (
            postgresql(certificate=certificate),
            f"postgresql://app:hunter2@127.0.0.1:{{}}/app?{verified}",
        ),
        (postgresql(), "postgresql://app:hunter2@localhost:{}/app?require_auth=password"),
    ):
        assert b"hunter2" in told_after(talk, url)
    monkeypatch.setenv("PGREQUIREAUTH", "password,scram-sha-256")
    assert b"hunter2" in told_after(postgresql(), "postgresql://app:hunter2@localhost:{}/app")


def test_mysqls_own_way_within_tls(certificate):
    """As with MySQL's own programs, caching_sha2_password needs TLS, verified or not."""
    talk = mysql("caching_sha2_password", b"\x01\x04", certificate=certificate)

    assert b"hunter2" in told_after(talk, "mysql://app:hunter2@127.0.0.1:{}/app")


def test_a_key_known_beforehand():
    """Without TLS, MySQL is told the password under a key that was given, none that it sends."""
    with listening(mysql("caching_sha2_password", b"\x01\x04")) as (port, told):
        place = {"password": "hunter2", "port": port, "host": "127.0.0.1"}
        url, key = "mysql://app@/app", public_key()
        refused(lambda: SQLBackend(url, **place, server_public_key=key))
    assert b"hunter2" in told.heard
