"""What a URL of a server means: for the driver, for people, and for who may listen on the way."""

from __future__ import annotations

import logging
import ssl

import certifi
import pytest

from tokenkeep.backends.exposure import is_here
from tokenkeep.backends.redis import parsed
from tokenkeep.backends.sql_url import Target

# What the driver gets


def test_mysql():
    """Everything in the URL arrives, with limits of time where none was given."""
    found = Target("mysql://app:p%40ss@db:3307/app?table=t&read_timeout=3&charset=utf8mb4")

    assert "mysql+pymysql://app:***@db:3307/app?charset=utf8mb4&read_timeout=3" == str(found.url)
    assert "t" == found.table
    assert b"p@ss" == found.connect_args["password"]
    assert 10.0 == found.connect_args["connect_timeout"]


def test_postgresql():
    """Options of libpq stay in the URL; psycopg's own are converted."""
    found = Target("postgresql://app@db/app?sslmode=verify-full&prepare_threshold=none")

    assert "postgresql+psycopg://app@db/app?sslmode=verify-full" == str(found.url)
    assert found.connect_args["prepare_threshold"] is None
    assert 10 == found.connect_args["connect_timeout"]


def test_arguments():
    """The official DBStore's list is the floor; what is given goes before the URL."""
    place = {"host": "db", "port": 3307, "user": "app", "password": "p@ss/\u20ac", "database": "z"}
    own = {"table": "tokens", "timeout": 2.5, "schema": None}
    drivers = {"ssl_ca": None, "unix_socket": "/s"}
    found = Target("mysql://nobody@nowhere/nothing?table=none", {**place, **own, **drivers})

    assert "the table tokens of the MySQL database z at db:3307" == found.describe()
    assert "app" == found.url.username
    assert "p@ss/\u20ac".encode() == found.connect_args["password"]
    assert "/s" == found.connect_args["unix_socket"]
    assert 2.5 == found.connect_args["read_timeout"]


CA = f"ssl_ca={certifi.where()}"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (CA, (ssl.CERT_REQUIRED, False)),
        (f"{CA}&ssl_mode=required", (ssl.CERT_REQUIRED, False)),
        (f"{CA}&ssl_verify_identity=true", (ssl.CERT_REQUIRED, True)),
        ("ssl_verify_identity=1", (ssl.CERT_REQUIRED, True)),
        ("ssl_mode=VERIFY_IDENTITY", (ssl.CERT_REQUIRED, True)),
        ("ssl_mode=verify-ca", (ssl.CERT_REQUIRED, False)),
        ("ssl_mode=required", (ssl.CERT_NONE, False)),
        ("ssl_mode=disabled", None),
        ("ssl_mode=preferred", None),
    ],
)
def test_tls_of_mysql_is_verified_as_asked(options, expected):
    """An authority means that the server's certificate is verified; a name only if asked for."""
    given = Target(f"mysql://app@db/app?{options}").connect_args
    context = given.get("ssl")

    assert expected == (context and (context.verify_mode, context.check_hostname))
    assert given.get("ssl_disabled", False) == (options == "ssl_mode=disabled")


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("db/app", "!password"),
        ("127.0.0.1,10.1.1.1/app", "!password"),
        ("localhost/app?require_auth=scram-sha-256", None),
        ("/app?host=/run/postgresql", None),
        ("db/app?sslmode=verify-full", None),
    ],
)
def test_what_libpq_is_told(place, told):
    """Of libpq before 16 it is an option that does not exist: nothing is sent by that at all."""
    assert Target(f"postgresql://app@{place}").connect_args.get("require_auth") == told


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
        ("mysql://app@db/app", "mysql://app@db/other"),
        ("mysql://app@db/app", "mysql://app@db:3307/app"),
        ("mysql://app@db/app", "mysql://app@db2/app"),
        ("mysql://app@db/app", "mysql://app@db/app?table=other"),
        ("mysql://app@db/app", "mysql://app@db/app?schema=other"),
        ("mysql://app@db/app", "postgresql://app@db:3306/app"),
        ("postgresql://app@/app?host=/a", "postgresql://app@/app?host=/b"),
        ("postgresql://app@db/app", "postgresql://app@/?service=app"),
        ("sql+sqlite:///a.db", "sql+sqlite:///b.db"),
    ],
)
def test_each_store_describes_itself(one, two):
    """The journal of a store is named after its description: no two have the same."""
    assert Target(one).describe() != Target(two).describe()


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("mysql://app:a@db/app", "mysql://other:b@DB:3306/app?pool_size=3&ssl_mode=required"),
        ("postgresql://app:a@db/app", "postgresql://app:b@db:5432/app?sslmode=require"),
    ],
)
def test_the_same_store_is_described_alike(one, two):
    """Whoever comes, by whatever way: another password does not lose the journal."""
    assert Target(one).describe() == Target(two).describe()


def test_described_without_a_secret(connect, redis_server, tmp_path, monkeypatch):
    """Redis by host, port, database and prefix; a file by its whole path, from wherever."""
    url = redis_server.url()
    backend = connect(f"{url}?prefix=a%26b")
    monkeypatch.chdir(tmp_path)

    assert f"Redis at {url.partition('@')[2]}, keys {{a&b}}:*" == backend.describe()
    assert redis_server.password not in f"{backend!r} {vars(backend)!r}"
    assert str(tmp_path / "a.db") in Target("sql+sqlite:///a.db").describe()


# Who may listen


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
    "rediss://db/0?ssl_cert_reqs=none",
]


def exposure(url):
    return parsed(url)[-1] if url.startswith("redis") else Target(url).exposure()


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


def test_settings_of_the_environment(monkeypatch):
    """What libpq takes from its variables counts."""
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert exposure("postgresql://app@db/app") == []
    monkeypatch.setenv("PGHOST", "db")
    monkeypatch.setenv("PGSSLMODE", "require")
    assert exposure("postgresql://app@/app")
    assert exposure("postgresql://app@db/app?sslmode=verify-full") == []


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
