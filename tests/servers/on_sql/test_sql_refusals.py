"""What a database refuses, and why: each has a name, and says what to do."""

from __future__ import annotations

import secrets

import pytest
from cases import FIRST, ID, record, refused, somebody_else

from tokenkeep.backends import open_backend
from tokenkeep.backends.sql import SQLBackend
from tokenkeep.backends.waiting import NoThread
from tokenkeep.errors import ConfigurationError, StoreForeign, StoreUnavailable

OTHERS = "id VARCHAR(10), user_name VARCHAR(20)"
# As the official SDK's DBStore wants it, with other databases' types made the common ones.
OAUTHTOKEN = (
    f"{OTHERS}, client_id VARCHAR(255), client_secret VARCHAR(255), refresh_token VARCHAR(255), "
    "access_token VARCHAR(255), grant_token VARCHAR(255), expiry_time VARCHAR(20), "
    "redirect_url VARCHAR(255), api_domain VARCHAR(255)"
)


@pytest.fixture
def user(admin, server, url):
    """The URL of a user without a right, and what grants one on a table."""
    name, password = f"u_{secrets.token_hex(4)}", server.password
    if is_maria := server.name == "MariaDB":
        to, where = f"{name}@'%'", f"{url.rpartition('/')[2]}."
        admin(f"CREATE USER {to} IDENTIFIED BY '{password}'")
    else:
        to, where = name, ""
        admin(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        admin("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield (
        url.replace("//app:", f"//{name}:"),
        lambda rights, table: admin(f"GRANT {rights} ON {where}{table} TO {to}"),
    )
    admin(*([f"DROP USER {to}"] if is_maria else [f"DROP OWNED BY {to}", f"DROP ROLE {to}"]))


# Reaching it


def test_wrong_password(url, server):
    """It is named as the reason, and not told, even by a report with the locals of all frames."""
    wrong = url.replace(server.password, "hunter2")
    for opening in (
        lambda: open_backend(wrong),
        lambda: SQLBackend(url, password="hunter2\u20ac"),
        lambda: open_backend(url.replace("//app:", "//nobody:")),
    ):
        assert "refuses this user or password" in refused(opening)
    refused(lambda: open_backend(f"{wrong}?timeout=none"), ConfigurationError)


def test_no_thread(connect, url, monkeypatch):
    """A process that can start none has asked nothing, and says so: nothing is unknown."""
    backend = connect(url)

    def refuse(*_):
        raise NoThread("No thread can be started")

    monkeypatch.setattr("tokenkeep.backends.sql_database.Bound", refuse)

    assert "was not asked: No thread" in refused(lambda: backend.write(record(), replaces=None))


def test_too_old(connect, url, monkeypatch):
    """A server that does not know our statements is refused, with the version that does."""
    monkeypatch.setattr("tokenkeep.backends.sql.OLDEST", {"MariaDB": (99,), "PostgreSQL": (99,)})

    assert "is too old" in refused(lambda: connect(url))


@pytest.mark.parametrize("name", ["nowhere", "argument"])
def test_missing_database(connect, user, server, admin, name):
    """What is not there is named; a word in its name is not taken for a driver's word."""
    url, _ = user
    if server.name == "MariaDB":  # who has no right to it is not told that it is not there
        admin(f"GRANT ALL ON *.* TO {url.partition('//')[2].partition(':')[0]}@'%'")

    said = refused(lambda: connect(f"{url.rpartition('/')[0]}/{name}"))

    assert f"database {name} at" in said
    assert "does not exist" in said


@pytest.mark.parametrize("server", ["postgres"], indirect=True)
def test_what_a_driver_says_besides(connect, url, admin, server):
    """It is repeated without a password, and without the line in which the row is quoted."""
    backend = connect(url)
    backend.write(record(), replaces=None)
    admin(f'ALTER TABLE tokenkeep ADD CONSTRAINT "{server.password}" CHECK (data_key <> 7)')

    said = refused(lambda: backend.write(record("n", key=7), replaces=None))

    assert 'violates check constraint "***"' in said
    assert record("n").id not in said.partition(" (token")[0]


@pytest.mark.parametrize(
    "greeting", [b"\x01\x00\x00\x00\x0a", b"\x06\x00\x00\x00\x0aabcd\x00", b"\x00\x00\x00\x00"]
)
def test_somebody_else_listens(connect, greeting):
    """What is no MySQL and greets a little like one is an error of ours."""
    with somebody_else(greeting) as place:
        assert "can't be used" in refused(lambda: connect(f"mysql://app:hunter2@{place}/app"))


# Rights


def test_may_not_create(connect, url, user, server):
    """Who may not create tables is told what to do; and after somebody else did, it works."""
    mine, grant = user
    if server.name == "MariaDB":
        grant("SELECT", "*")  # lets the user into the database

    said = refused(lambda: connect(mine).write(record(), replaces=None))

    for each in ("lacks the privilege", "CREATE", "tokenkeep sql-schema"):
        assert each in said
    SQLBackend(url).close()
    grant("SELECT, INSERT, UPDATE, DELETE", "tokenkeep")
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
def test_missing_right(connect, url, user, missing):
    """The right that is missing is named, and what is stored stays."""
    owner, (mine, grant) = connect(url), user
    owner.write(record(), replaces=None)
    grant(", ".join(sorted({*CALLS} - {missing})), "tokenkeep")

    said = refused(lambda: CALLS[missing](connect(mine)))

    for each in ("lacks the privilege", missing, "tokenkeep"):
        assert each in said
    assert [record()] == owner.scan(None, 10)


# Tables of others


@pytest.mark.parametrize(
    ("name", "columns", "advice"),
    [
        ("oauthtoken", OAUTHTOKEN, "tokenkeep import"),
        ("tokenkeep", OTHERS, "table="),
    ],
)
def test_a_table_of_somebody_else(connect, url, admin, name, columns, advice):  # noqa: PLR0917
    """A table of the official SDK's, or of others, is not taken over, and says how to go on."""
    admin(f"CREATE TABLE {name} ({columns})")
    admin(f"INSERT INTO {name} (id, user_name) VALUES ('1', 'ana')")
    if url.startswith("postgresql"):
        admin(f"GRANT ALL ON {name} TO app")

    said = refused(lambda: connect(f"{url}?table={name}"), StoreForeign)

    assert name in said
    assert advice in said
    assert [("1", "ana")] == [tuple(row) for row in admin(f"SELECT id, user_name FROM {name}")]


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ("DROP TABLE tokenkeep", StoreUnavailable, "There is no table tokenkeep"),
        ("ALTER TABLE tokenkeep DROP COLUMN sealed", StoreForeign, "not one of tokenkeep's"),
    ],
)
def test_changed_in_use(connect, url, admin, change, kind, said):  # noqa: PLR0917
    """What was dropped in use is not made again in silence; what was changed is another's."""
    backend = connect(url)
    backend.write(record(), replaces=None)
    admin(change)

    assert said in refused(lambda: backend.read(ID), kind)
