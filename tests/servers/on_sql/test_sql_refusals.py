"""What a database refuses, and why: each has a name, and says what to do."""

from __future__ import annotations

import secrets

import pytest
from cases import FIRST, ID, record, refused, somebody_else

from tokenkeep.backends import open_backend
from tokenkeep.backends.sql import SQLBackend
from tokenkeep.backends.sql_tables import VERSION
from tokenkeep.errors import (
    ConfigurationError,
    StoreError,
    StoreForeign,
    StoreTooNew,
    StoreUnavailable,
)

# As the official SDK's DBStore wants it, with other databases' types made the common ones.
OAUTHTOKEN = (
    "id VARCHAR(10) NOT NULL PRIMARY KEY, user_name VARCHAR(255), "
    "client_id VARCHAR(255), client_secret VARCHAR(255), refresh_token VARCHAR(255), "
    "access_token VARCHAR(255), grant_token VARCHAR(255), expiry_time VARCHAR(20), "
    "redirect_url VARCHAR(255), api_domain VARCHAR(255)"
)


def with_user(url, user):
    """Return a URL for another user, whose password is the same."""
    return url.replace("//app:", f"//{user}:")


@pytest.fixture
def user(admin, server):
    """Make a user without a right; its password is that of all."""
    name = f"u_{secrets.token_hex(4)}"
    if server.name == "MariaDB":
        admin(f"CREATE USER {name}@'%' IDENTIFIED BY '{server.password}'")
    else:
        admin(f"CREATE ROLE {name} LOGIN PASSWORD '{server.password}'")
        admin("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield name
    if server.name == "MariaDB":
        admin(f"DROP USER {name}@'%'")
    else:
        admin(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


@pytest.fixture
def grant(admin, user, server, url):
    """Grant that user something on a table."""
    database = url.rpartition("/")[2]

    def grant(rights, table):
        on = f"{database}.{table}" if server.name == "MariaDB" else table
        to = f"{user}@'%'" if server.name == "MariaDB" else user
        admin(f"GRANT {rights} ON {on} TO {to}")

    return grant


# Reaching it


def test_wrong_password(url, server):
    """It is named as the reason, and not told, even by a report with the locals of all frames."""
    wrong = url.replace(server.password, "hunter2")
    place = {"password": "hunter2", "port": server.port, "host": server.host}
    for opening in (
        lambda: open_backend(wrong),
        lambda: SQLBackend.from_url(wrong),
        lambda: SQLBackend(url, **place),
    ):
        assert "refuses this user or password" in refused(opening)
    refused(lambda: open_backend(f"{wrong}?timeout=none"), ConfigurationError)
    assert "refuses this user" in refused(lambda: open_backend(with_user(url, "nobody")))


def test_too_old(connect, url, monkeypatch):
    """A server that does not know our statements is refused, with the version that does."""
    monkeypatch.setattr("tokenkeep.backends.sql.OLDEST", {"mariadb": (99,), "postgresql": (99,)})

    assert "is too old" in refused(lambda: connect(url))


def test_missing_database(connect, url, user, admin, server):
    """What is not there is named; a word in its name is not taken for a driver's word."""
    if server.name == "MariaDB":  # who has no right to it is not told that it is not there
        admin(f"GRANT ALL ON *.* TO {user}@'%'")
    for name in ("nowhere", "argument"):
        elsewhere = f"{with_user(url, user).rpartition('/')[0]}/{name}"

        said = refused(lambda elsewhere=elsewhere: connect(elsewhere))

        assert "has no such database" in said
        assert name in said


@pytest.mark.parametrize(
    "greeting", [b"\x01\x00\x00\x00\x0a", b"\x06\x00\x00\x00\x0aabcd\x00", b"\x00\x00\x00\x00"]
)
def test_somebody_else_listens(connect, greeting):
    """What is no MySQL and greets a little like one is an error that says so."""
    with somebody_else(greeting) as place:
        assert "as MySQL does" in refused(lambda: connect(f"mysql://app:hunter2@{place}/app"))


# Rights


def test_may_not_create(connect, url, user, server, grant):
    """Who may not create tables is told what to do; and after somebody else did, it works."""
    mine = with_user(url, user)
    if server.name == "MariaDB":
        grant("SELECT", "*")  # lets the user into the database

    said = refused(lambda: connect(mine).write(record(), replaces=None))

    assert "lacks the privilege" in said
    assert "CREATE" in said
    assert "tokenkeep sql-schema" in said

    SQLBackend(url).close()
    grant("SELECT, INSERT, UPDATE, DELETE", "tokenkeep")
    grant("SELECT", "tokenkeep_schema")
    backend = connect(mine)
    backend.write(record(), replaces=None)
    backend.write(record(version="2"), replaces=FIRST)
    backend.touch(ID, 5.0)
    assert backend.delete(ID)


CALLS = {
    "SELECT": lambda backend: backend.read(ID),
    "INSERT": lambda backend: backend.write(record("new"), replaces=None),
    "UPDATE": lambda backend: backend.write(record(version="2"), replaces=FIRST),
    "DELETE": lambda backend: backend.delete(ID),
}


@pytest.mark.parametrize("missing", CALLS)
def test_missing_right(connect, url, user, grant, missing):
    """The right that is missing is named, and what is stored stays."""
    owner = connect(url)
    owner.write(record(), replaces=None)
    grant(", ".join(sorted({"SELECT", "INSERT", "UPDATE", "DELETE"} - {missing})), "tokenkeep")
    grant("SELECT", "tokenkeep_schema")
    backend = connect(with_user(url, user))

    said = refused(lambda: CALLS[missing](backend))

    assert "lacks the privilege" in said
    assert missing in said
    assert "tokenkeep" in said
    assert [record()] == owner.scan(None, 10)


# Tables of others


@pytest.mark.parametrize(
    ("name", "advice"),
    [("oauthtoken", "tokenkeep import"), ("tokenkeep", "table="), ("tokenkeep_schema", "table=")],
)
def test_a_table_of_somebody_else(connect, url, admin, name, advice):
    """A table of the official SDK's, or of others, is not taken over, and says how to go on."""
    others = "id VARCHAR(10), user_name VARCHAR(20)"
    admin(f"CREATE TABLE {name} ({OAUTHTOKEN if name == 'oauthtoken' else others})")
    admin(f"INSERT INTO {name} (id, user_name) VALUES ('1', 'ana')")
    if url.startswith("postgresql"):
        admin(f"GRANT ALL ON {name} TO app")
    asked = f"{url}?table={name}" if name == "oauthtoken" else url

    said = refused(lambda: connect(asked), StoreForeign)

    assert name in said
    assert advice in said
    assert [("1", "ana")] == [tuple(row) for row in admin(f"SELECT id, user_name FROM {name}")]


def test_tables_of_a_newer_one(connect, url, admin):
    """Tables of a newer tokenkeep are refused, and not touched."""
    backend = connect(url)
    backend.write(record(), replaces=None)
    admin(f"UPDATE tokenkeep_schema SET version = {VERSION + 1}")

    assert "Upgrade" in refused(lambda: connect(url), StoreTooNew)
    assert record() == backend.read(ID)


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ("DROP TABLE tokenkeep", StoreUnavailable, "not there any more"),
        ("ALTER TABLE tokenkeep DROP COLUMN sealed", StoreForeign, ""),
    ],
)
def test_changed_in_use(connect, url, admin, change, kind, said):  # noqa: PLR0917
    """What was dropped in use is not made again in silence; what was changed is another's."""
    backend = connect(url)
    backend.write(record(), replaces=None)
    admin(change)

    text = refused(lambda: backend.read(ID), kind)

    assert said in text
    assert kind is StoreForeign or "backup" in text


# Options


def test_schema(connect, url, server, admin):
    """The tables may be in another schema: in MySQL that is a database."""
    name = f"app_{secrets.token_hex(5)}"
    admin(f"CREATE SCHEMA {name}")
    if server.name != "MariaDB":
        admin(f"GRANT ALL ON SCHEMA {name} TO app")
    backend = connect(f"{url}?schema={name}&table=kept")
    backend.write(record(), replaces=None)

    assert f"the table {name}.kept" in backend.describe()
    assert [(ID,)] == [tuple(row) for row in admin(f"SELECT id FROM {name}.kept")]


def test_missing_schema(connect, url):
    """It is no store yet, and none can be made there."""
    backend = connect(f"{url}?schema=app_nowhere")
    assert backend.read(ID) is None

    said = refused(lambda: backend.write(record(), replaces=None), StoreError)

    assert "app_nowhere" in said
