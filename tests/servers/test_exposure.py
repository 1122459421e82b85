"""A server that TLS does not verify is warned of; no option that is blank turns TLS off."""

from __future__ import annotations

import logging

import pytest
from cases import refused

from tokenkeep.backends import open_backend
from tokenkeep.backends.exposure import is_here
from tokenkeep.backends.redis import parsed
from tokenkeep.backends.sql import SQLBackend
from tokenkeep.backends.sql_url import Target
from tokenkeep.cli.doctor import check_server
from tokenkeep.errors import ConfigurationError

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


def test_the_doctor_says_so(place, connect):
    """`tokenkeep doctor` has a line of it, of servers of every kind."""
    (found,) = [
        each
        for each in check_server(connect(place.url.replace("127.0.0.1", "127.1")))
        if "TLS does not verify" in each.text
    ]

    assert (found.name, found.state) == ("server", "warning")
    assert found.hint.startswith(("Add ?ss", "Write rediss://", "Write https://"))


BLANK = {
    "mysql://a:hunter2@db/app?ssl_ca=": "ssl_ca",
    "mysql://a@db/app?ssl_mode=%20": "ssl_mode",
    "mysql://a:hunt?er@db/app?table=t&ssl_key=+": "ssl_key",
    "postgresql://a:hunter2@db/app?sslmode=": "sslmode",
    "postgresql://a@db/app?sslmode=require&sslrootcert=": "sslrootcert",
    "sql+postgresql+psycopg://db/app?sslmode=&sslmode=require": "sslmode",
    "sql+sqlite:////tmp/t.db?timeout=": "timeout",
    "rediss://:hunter2@db/0?ssl_ca_certs=": "ssl_ca_certs",
    "rediss://db?ssl_cert_reqs=%09": "ssl_cert_reqs",
    "rediss://db?ssl_ca_path=&ssl_check_hostname=true": "ssl_ca_path",
    "dynamodb://eu-central-1/t?endpoint_url=": "endpoint_url",
}


@pytest.mark.parametrize("url", BLANK)
def test_blank(url):
    """An option with nothing behind it is an error that names it: drivers leave it out."""
    said = refused(lambda: open_backend(url), ConfigurationError)

    assert f"The option {BLANK[url]!r} can't be followed: it is blank" in said


@pytest.mark.parametrize("url", ["mysql://a@db/app?ssl_ca", "mysql://a@db/app?hunter2=&x"])
def test_what_may_be_a_password(url):
    """A word alone may be the end of a password, and is not repeated."""
    assert "can't be read" in refused(lambda: open_backend(url), ConfigurationError)


@pytest.mark.parametrize(
    "given",
    [{"ssl_ca": ""}, {"ssl": {}}, {"ssl": {"ca": " "}}, {"ssl_mode": "\n"}, {"schema": ""}],
)
def test_blank_arguments(given):
    """Nor as an argument, which often comes from an empty variable."""
    with pytest.raises(ConfigurationError, match="is blank"):
        SQLBackend("mysql://app@127.0.0.1/app", **given)


MISTYPED = {
    "mysql://a:hunter2@127.0.0.1/app?ssl_verify=fals": "ssl_verify",
    "mysql://a@127.0.0.1/app?ssl_verify_identity=fals": "true or false",
    "mysql://a@127.0.0.1/app?ssl_mode=verify": "ssl_mode",
    "mysql://a@127.0.0.1/app?ssl-ca=/ca.pem": "ssl-ca",
    "postgresql://a:hunter2@127.0.0.1/app?sslmode=verify_full": "sslmode",
    "postgresql://a@127.0.0.1/app?sslmode=VERIFY-FULL": "sslmode",
    "postgresql://a@127.0.0.1/app?ssl_mode=require": "ssl_mode",
    "postgresql://a@127.0.0.1/app?require_auth=scram": "require_auth",
    "postgresql://a@127.0.0.1/app?sslrootcert=system&sslmode=verify-ca": "sslmode",
    "rediss://127.0.0.1/0?ssl_cert_reqs=non": "ssl_cert_reqs",
    "rediss://127.0.0.1/0?ssl_check_hostname=fals": "ssl_check_hostname",
    "rediss://127.0.0.1/0?ssl_verify=false": "ssl_verify",
}


@pytest.mark.parametrize("url", MISTYPED)
def test_mistyped(url):
    """An option for TLS, or a value of it, that is none is an error, whoever would overlook it."""
    assert MISTYPED[url] in refused(lambda: open_backend(url), ConfigurationError)
