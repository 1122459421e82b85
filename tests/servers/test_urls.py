"""What a URL of a server means: for the driver, for people, and for who may listen on the way."""

from __future__ import annotations

import logging

import certifi
import pytest

from tokenkeep.backends.exposure import is_here
from tokenkeep.backends.redis import parsed
from tokenkeep.backends.sql_database import Database

# What the driver gets


@pytest.mark.parametrize(
    ("url", "place", "said"),
    [
        ("redis://", "localhost:6379/0", {"host": "localhost", "prefix": "tokenkeep"}),
        ("redis://DB.example.com/3", "db.example.com:6379/3", {"host": "db.example.com", "db": 3}),
        ("redis://u:p%40@[::1]:7/", "[::1]:7/0", {"host": "::1", "port": 7, "password": "p@"}),
        ("rediss://h?ssl_ca_certs=a%26b", "h:6379/0", {"ssl_ca_certs": "a&b"}),
    ],
)
def test_redis(url, place, said):
    """What is encoded is decoded; the options of the driver are followed."""
    where, given, _ = parsed(url)

    assert (where, said) == (place, {name: given[name] for name in said})


# What people are told


@pytest.mark.parametrize(
    ("one", "two"),
    [
        # Whoever comes, by whatever way: another password does not lose the journal.
        ("mysql://app:a@db/app", "mysql://other:b@DB:3306/app?pool_size=3&ssl_disabled=true"),
        ("postgresql://app:a@db/app", "postgresql://app:b@db:5432/app?sslmode=require"),
        ("mysql://app@db/app", "mysql://app@db/other"),
        ("mysql://app@db/app", "mysql://app@db:3307/app"),
        ("mysql://app@db/app", "mysql://app@db2/app"),
        ("mysql://app@db/app", "mysql://app@db/app?table=other"),
        ("mysql://app@db/app", "postgresql://app@db:3306/app"),
        ("postgresql://app@/app?host=/a", "postgresql://app@/app?host=/b"),
    ],
)
def test_each_store_describes_itself(one, two):
    """The journal of a store is named after its description: no two have the same."""
    is_one = Database(one, {}).describe() == Database(two, {}).describe()
    assert is_one == ("app:" in one)


def test_described_without_a_secret(connect, redis_server):
    """Redis by host, port, database and prefix."""
    url = redis_server.url()
    backend = connect(f"{url}?prefix=a%26b")

    assert f"Redis at {url.partition('@')[2]}, keys {{a&b}}:*" == backend.describe()
    assert redis_server.password not in f"{backend!r} {vars(backend)!r}"


# Who may listen


HERE = (
    "127.0.0.1 127.8.9.1 ::1 [::1] ::ffff:127.0.0.1 localhost LOCALHOST. app.localhost /run/s @a"
)
FAR = "db db.example.com 10.0.0.1 192.168.1.1 ::2 [2001:db8::1] ::ffff:10.0.0.1 localhost.evil.com"


def test_here():
    """Loopback and Unix sockets are on this machine; a name that looks a little like it is not."""
    assert [each for each in HERE.split() if not is_here(each)] == []
    assert [each for each in FAR.split() if is_here(each)] == []


CA = f"ssl_ca={certifi.where()}"
VERIFIED = [
    f"mysql://app@db/app?{CA}",
    "mysql://app@127.0.0.1/app",
    "mysql://app@/app",
    "mysql://app@db/app?unix_socket=/run/mysqld.sock",
    "postgresql://app@db/app?sslmode=verify-full",
    "postgresql://app@db/app?sslmode=verify-ca&sslrootcert=/ca.pem",
    "postgresql://app@db/app?sslrootcert=system",
    "postgresql://app@/app",
    "postgresql://app@/app?host=/run/postgresql",
    "rediss://db/0",
    "redis://localhost",
]
UNVERIFIED = [
    "mysql://app@db/app?ssl_verify_identity=true",  # which without ssl_ca checks no name
    "mysql://app@db/app",
    f"mysql://app@db/app?{CA}&ssl_verify_cert=false",
    f"mysql://app@db/app?{CA}&ssl_disabled=true",
    "mysql://app@db/app?ssl_verify_cert=true",  # anybody's certificate of a public authority
    "postgresql://app@db/app",
    "postgresql://app@db/app?sslmode=require",
    "postgresql://app@db/app?sslmode=allow&sslrootcert=/ca.pem",
    "postgresql://app@localhost/app?hostaddr=10.0.0.1",
    "postgresql://app@/app?host=127.0.0.1:5432&host=db:5432",
    "redis://db/0",
    "rediss://db/0?ssl_cert_reqs=none",
]


def exposure(url):
    return parsed(url)[-1] if url.startswith("redis") else Database(url, {}).risks()


@pytest.mark.parametrize(
    ("url", "is_risky"), [*((u, False) for u in VERIFIED), *((u, True) for u in UNVERIFIED)]
)
def test_a_risk(url, is_risky):
    """No TLS, or TLS with whoever answers: who is on the way may pose as the server."""
    found = exposure(url)

    assert len(found) == is_risky
    for risk in found:
        assert "TLS does not verify" in risk.text
        assert "/path/ca.pem" in risk.hint


def test_a_host_from_elsewhere(tmp_path, monkeypatch):
    """Where libpq's environment or an option file of MySQL's leads, is where the risk is."""
    monkeypatch.setenv("PGHOST", "db")
    assert exposure("postgresql://app@/app")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert not exposure("postgresql://app@/app")

    options = tmp_path / "my.cnf"
    options.write_text("[client]\nhost = db\n")
    assert exposure(f"mysql://app@/app?read_default_file={options}")


def test_warned_of_once(connect, url, caplog):
    """One line in the log for each store that is opened by a name that is not this machine's."""
    connect(url).scan(None, 1)
    assert caplog.records == []

    connect(url.replace("127.0.0.1", "127.1")).scan(None, 1)

    (line,) = [each for each in caplog.records if each.name.startswith("tokenkeep")]
    assert line.levelno == logging.WARNING
    assert "TLS does not verify the server at 127.1:" in line.getMessage()
    assert "/path/ca.pem" in line.getMessage()


def test_a_risk_of_every_kind(place, connect):
    """`risks`, which `tokenkeep doctor` prints, has it of servers of every kind."""
    found = connect(place.url.replace("127.0.0.1", "127.1")).risks()

    (risk,) = [each for each in found if "TLS does not verify" in each.text]
    assert risk.hint.startswith(("Add ?ss", "Write rediss://", "Write https://"))
