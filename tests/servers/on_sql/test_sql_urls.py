"""URLs and arguments: what reaches the driver, what is refused, what is never repeated."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tokenkeep.backends.sql_url import Target


def target(url, *, own=None, place=None, **driver):
    return XX


def test_mysql():
    """Everything in the URL arrives, with limits of time where none was given."""
    found = target("mysql://app:p%40ss@db:3307/app?table=t&read_timeout=3&charset=utf8mb4")

    assert ("mysql+pymysql", "db", 3307, "app") == (
        found.url.drivername,
        found.url.host,
        found.url.port,
        found.url.database,
    )
    assert "t" == found.table
    assert {"charset": "utf8mb4", "read_timeout": "3"} == dict(found.url.query)
    assert b"p@ss" == found.connect_args["password"]
    assert 10.0 == found.connect_args["connect_timeout"]


def test_postgresql():
    """Options of libpq stay in the URL; psycopg's own are converted."""
    found = target(
        "postgresql://app@db/app?sslmode=verify-full&sslrootcert=/ca.pem&prepare_threshold=none"
    )

    assert "postgresql+psycopg" == found.url.drivername
    assert {"sslmode": "verify-full", "sslrootcert": "/ca.pem"} == dict(found.url.query)
    assert found.connect_args["prepare_threshold"] is None
    assert 10 == found.connect_args["connect_timeout"]


def test_arguments():
    """The official DBStore's list is the floor; what is given goes before the URL."""
    found = target(
        "mysql://nobody@nowhere/nothing?table=none",
        own={"table": "tokens", "timeout": 2.5, "schema": None},
        place={
            "host": "db",
            "port": 3307,
            "username": "app",
            "password": "p@ss/\u20ac",
            "database": "zohooauth",
        },
        ssl_ca=None,
        unix_socket="/s",
    )

    assert "the table tokens of the MySQL database zohooauth at db:3307" == found.describe()
    assert "app" == found.url.username
    assert "p@ss/\u20ac".encode() == found.connect_args["password"]
    assert "/s" == found.connect_args["unix_socket"]
    assert 2.5 == found.connect_args["read_timeout"]


def test_tls_of_mysql_is_verified_as_asked(tmp_path):
    """An authority means that the server's certificate is verified; a name only if asked for."""
    import certifi

    authority = tmp_path / "ca.pem"
    authority.write_bytes(Path(certifi.where()).read_bytes())  # any will do
    asked = {
        f"ssl_ca={authority}": (ssl.CERT_REQUIRED, False),
        f"ssl_ca={authority}&ssl_verify_identity=true": (ssl.CERT_REQUIRED, True),
        "ssl_verify_identity=1": (ssl.CERT_REQUIRED, True),
        "ssl_mode=VERIFY_IDENTITY": (ssl.CERT_REQUIRED, True),
        "ssl_mode=verify-ca": (ssl.CERT_REQUIRED, False),
        "ssl_mode=required": (ssl.CERT_NONE, False),
    }
    for options, expected in asked.items():
        context = target(f"mysql://app@db/app?{options}").connect_args["ssl"]

        assert expected == (context.verify_mode, context.check_hostname), options
    assert target("mysql://app@db/app?ssl_mode=disabled").connect_args["ssl_disabled"] is True
    assert "ssl" not in target("mysql://app@db/app").connect_args


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
    assert target(one).describe() != target(two).describe()


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("mysql://app:a@db/app", "mysql://other:b@DB:3306/app?pool_size=3&ssl_mode=required"),
        ("postgresql://app:a@db/app", "postgresql://app:b@db:5432/app?sslmode=require"),
    ],
)
def test_the_same_store_is_described_alike(one, two):
    """Whoever comes, by whatever way: another password does not lose the journal."""
    assert target(one).describe() == target(two).describe()


def test_a_file_is_described_by_its_whole_path(tmp_path, monkeypatch):
    """From another working directory it is another file."""
    monkeypatch.chdir(tmp_path)

    assert str(tmp_path / "a.db") in target("sql+sqlite:///a.db").describe()
