"""What a database refuses, and why: each has a name, and says what to do."""

from __future__ import annotations

import secrets

import pytest
from cases import FIRST, ID, record, refused, somebody_else

from tokenkeep.backends import open_backend
from tokenkeep.backends.sql import SQLBackend
from tokenkeep.backends.sql_errors import explain
from tokenkeep.backends.sql_tables import VERSION
from tokenkeep.backends.waiting import NoThread
from tokenkeep.errors import ConfigurationError, StoreForeign, StoreTooNew, StoreUnavailable

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
    place = {"password": "hunter2", "port": server.port, "host": server.host}
    for opening in (lambda: open_backend(wrong), lambda: SQLBackend(url, **place)):
        assert "refuses this user or password" in refused(opening)
    refused(lambda: open_backend(f"{wrong}?timeout=none"), ConfigurationError)
    assert "refuses this user" in refused(lambda: open_backend(url.replace("//app:", "//nobody:")))


def test_no_thread(connect, url, monkeypatch):
    """A process that can start none has asked nothing, and says so: nothing is unknown."""
    backend = connect(url)

    def refuse(*_):
        raise NoThread("No thread can be started")

    monkeypatch.setattr("tokenkeep.backends.sql.within", refuse)

    assert "was not asked: No thread" in refused(lambda: backend.write(record(), replaces=None))


def test_too_old(connect, url, monkeypatch):
    """A server that does not know our statements is refused, with the version that does."""
    monkeypatch.setattr("tokenkeep.backends.sql.OLDEST", {"mariadb": (99,), "postgresql": (99,)})

    assert "is too old" in refused(lambda: connect(url))


@pytest.mark.parametrize("name", ["nowhere", "argument"])
def test_missing_database(connect, user, server, admin, name):
    """What is not there is named; a word in its name is not taken for a driver's word."""
    url, _ = user
    if server.name == "MariaDB":  # who has no right to it is not told that it is not there
        admin(f"GRANT ALL ON *.* TO {url.partition('//')[2].partition(':')[0]}@'%'")

    said = refused(lambda: connect(f"{url.rpartition('/')[0]}/{name}"))

    assert "has no such database" in said
    assert name in said


def test_what_a_driver_says_besides():
    """It is repeated without a secret, and without the lines in which rows are quoted."""
    error = OSError("no 'hunter2' here\nDETAIL: a row")

    said = str(explain(error, where="it", doing="SELECT", secrets=["hunter2"]))

    assert "OSError: no '***' here" in said
    assert "row" not in said


@pytest.mark.parametrize(
    "greeting", [b"\x01\x00\x00\x00\x0a", b"\x06\x00\x00\x00\x0aabcd\x00", b"\x00\x00\x00\x00"]
)
def test_somebody_else_listens(connect, greeting):
    """What is no MySQL and greets a little like one is an error that says so."""
    with somebody_else(greeting) as place:
        assert "as MySQL does" in refused(lambda: connect(f"mysql://app:hunter2@{place}/app"))


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
def test_missing_right(connect, url, user, missing):
    """The right that is missing is named, and what is stored stays."""
    owner, (mine, grant) = connect(url), user
    owner.write(record(), replaces=None)
    grant(", ".join(sorted({*CALLS} - {missing})), "tokenkeep")
    grant("SELECT", "tokenkeep_schema")
    backend = connect(mine)

    said = refused(lambda: CALLS[missing](backend))

    for each in ("lacks the privilege", missing, "tokenkeep"):
        assert each in said
    assert [record()] == owner.scan(None, 10)


# Tables of others


@pytest.mark.parametrize(
    ("name", "columns", "advice"),
    [
        ("oauthtoken", OAUTHTOKEN, "tokenkeep import"),
        ("tokenkeep", OTHERS, "table="),
        ("tokenkeep_schema", OTHERS, "table="),
    ],
)
def test_a_table_of_somebody_else(connect, url, admin, name, columns, advice):  # noqa: PLR0917
    """A table of the official SDK's, or of others, is not taken over, and says how to go on."""
    admin(f"CREATE TABLE {name} ({columns})")
    admin(f"INSERT INTO {name} (id, user_name) VALUES ('1', 'ana')")
    if url.startswith("postgresql"):
        admin(f"GRANT ALL ON {name} TO app")

    said = refused(lambda: connect(f"{url}?table={name.removesuffix('_schema')}"), StoreForeign)

    assert name in said
    assert advice in said
    assert [("1", "ana")] == [tuple(row) for row in admin(f"SELECT id, user_name FROM {name}")]


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ("DROP TABLE tokenkeep", StoreUnavailable, "not there any more"),
        ("ALTER TABLE tokenkeep DROP COLUMN sealed", StoreForeign, "other columns"),
    ],
)
def test_changed_in_use(connect, url, admin, change, kind, said):  # noqa: PLR0917
    """What was dropped in use is not made again in silence; what was changed is another's."""
    backend = connect(url)
    backend.write(record(), replaces=None)
    admin(change)

    assert said in refused(lambda: backend.read(ID), kind)


def test_tables_of_a_newer_one(connect, url, admin):
    """Tables of a newer tokenkeep are refused, and not touched."""
    backend = connect(url)
    backend.write(record(), replaces=None)
    admin(f"UPDATE tokenkeep_schema SET version = {VERSION + 1}")

    assert "Upgrade" in refused(lambda: connect(url), StoreTooNew)
    assert record() == backend.read(ID)


def test_schema(connect, url, server, admin):
    """The tables may be in another schema: in MySQL that is a database. A missing one is named."""
    name = f"app_{secrets.token_hex(5)}"
    backend = connect(f"{url}?schema={name}&table=kept")
    assert backend.read(ID) is None
    assert name in refused(lambda: backend.write(record(), replaces=None))

    admin(f"CREATE SCHEMA {name}")
    if server.name != "MariaDB":
        admin(f"GRANT ALL ON SCHEMA {name} TO app")
    backend.write(record(), replaces=None)

    assert f"the table {name}.kept" in backend.describe()
    assert [(ID,)] == [tuple(row) for row in admin(f"SELECT id FROM {name}.kept")]
