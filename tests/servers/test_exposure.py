"""A server that TLS does not verify is warned of; no option that is blank turns TLS off."""

from __future__ import annotations

import logging

import pytest

from tokenkeep.backends.exposure import is_here
from tokenkeep.backends.redis import parsed
from tokenkeep.backends.sql_url import Target

HERE = (
    "127.0.0.1 127.8.9.1 ::1 [::1] ::ffff:127.0.0.1 localhost LOCALHOST. app.localhost /run/s @a"
)
FAR = "db db.example.com 10.0.0.1 192.168.1.1 ::2 [2001:db8::1] ::ffff:10.0.0.1 localhost.evil.com"


def test_here():
    """Loopback and Unix sockets are on this machine; a name that looks a little like it is not."""
    assert [each for each in HERE.split() if not is_here(each)] == []
    assert [each for each in FAR.split() if is_here(each)] == []


VERIFIED = [
    "mysql://app@db/app?ssl_verify_identity=true",
    "mysql://app@db/app?ssl_mode=verify-identity",
    "postgresql://app@db/app?sslmode=verify-full",
    "postgresql://app@db/app?sslmode=verify-ca&sslrootcert=/ca.pem",
    "postgresql://app@db/app?sslrootcert=system",
    "rediss://db/0",
    "rediss://db/0?ssl_check_hostname=false&ssl_ca_certs=/ca.pem",
    "rediss://db/0?ssl_cert_reqs=optional",
    "mysql://app@127.0.0.1/app",
    "mysql://app@/app",
    "mysql://app@db/app?unix_socket=/run/mysqld.sock",
    "postgresql://app@/app",
    "postgresql://app@/app?host=/run/postgresql",
    "postgresql://app@[::1]/app",
    "redis://localhost",
    "redis://%2Frun%2Fredis.sock/0",
    "sql+sqlite:////tmp/t.db",
]
UNVERIFIED = [
    "mysql://app@db/app",
    "mysql://app@db/app?ssl_mode=required",
    "mysql://app@db/app?ssl_mode=disabled",
    "mysql://app@db/app?ssl_mode=verify_ca",  # anybody's certificate of a public authority
    "postgresql://app@db/app",
    "postgresql://app@db/app?sslmode=require",
    "postgresql://app@db/app?sslmode=allow&sslrootcert=/ca.pem",
    "postgresql://app@localhost/app?hostaddr=10.0.0.1",
    "postgresql://app@/app?host=127.0.0.1:5432&host=db:5432",
    "postgresql://app@/app?service=app",
    "redis://db/0",
    "redis://10.0.0.1:6379",
    "rediss://db/0?ssl_cert_reqs=none",
    "rediss://db/0?ssl_check_hostname=no",
]


def exposure(url):
    if url.startswith("redis"):
        return parsed(url)[-1]
    return Target(url).exposure()


@pytest.mark.parametrize("url", VERIFIED)
def test_nothing_to_warn_of(url):
    """TLS that verifies, or nothing that leaves this machine."""
    assert exposure(url) == []


@pytest.mark.parametrize("url", UNVERIFIED)
def test_a_risk(url):
    """No TLS, or TLS with whoever answers: who is on the way may pose as the server."""
    (risk,) = exposure(url)

    assert "TLS does not verify" in risk.text
    assert "/path/ca.pem" in risk.hint


def test_settings_of_the_environment(monkeypatch):
    """What libpq takes from its variables counts."""
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert exposure("postgresql://app@db/app") == []
    monkeypatch.setenv("PGHOST", "db")
    monkeypatch.setenv("PGSSLMODE", "require")
    assert exposure("postgresql://app@/app")
    assert exposure("postgresql://app@db/app?sslmode=verify-full") == []


@pytest.fixture
def far(url):
    """The URL by a name of loopback that does not look like it."""
    return url.replace("127.0.0.1", "127.1")


def test_warned_of_once(connect, far, caplog):
    """The log has one line for each store that is opened, with no password in it."""
    connect(far).scan(None, 1)

    (line,) = [each for each in caplog.records if each.name.startswith("tokenkeep")]
    assert line.levelno == logging.WARNING
    assert "TLS does not verify the server at 127.1:" in line.getMessage()
    assert "/path/ca.pem" in line.getMessage()


def test_not_warned_of(connect, url, caplog):
    """On this machine there is nothing to say."""
    connect(url).scan(None, 1)

    assert caplog.records == []


def test_a_risk_of_every_kind(place, connect):
    """`risks`, which `tokenkeep doctor` prints, has it of servers of every kind."""
    found = connect(place.url.replace("127.0.0.1", "127.1")).risks()

    (risk,) = [each for each in found if "TLS does not verify" in each.text]
    assert risk.hint.startswith(("Add ?ss", "Write rediss://", "Write https://"))
