"""What a database refuses, and why: each has a name, and says what to do."""

from __future__ import annotations

import secrets

import pytest
from cases import FIRST, ID, record, refused, somebody_else
from greedy_servers import listening, mysql

from tokenkeep import Keeper, Token, generate_key, open_store
from tokenkeep.backends import open_backend
from tokenkeep.backends.sql import SQLBackend
from tokenkeep.backends.waiting import NoThread
from tokenkeep.errors import ConfigurationError, StoreForeign, StoreUnavailable


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


def test_no_password(url, server):
    """One that was left out is that, and no trouble with the network."""
    assert "refuses this user or password" in refused(
        lambda: open_backend(url.replace(f":{server.password}@", "@"))
    )


@pytest.mark.parametrize("server", ["mariadb"], indirect=True)
def test_another_database_s_name(user):
    """Who may use one alone, and mistypes its name, is not told to grant something on a table."""
    url, grant = user
    grant("SELECT", "*")
    said = refused(lambda: open_backend(f"{url}x"))
    assert "does not exist, or this user has no right to it" in said


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


def test_missing_database(connect, user, server, admin):
    """What is not there is named; a word in its name is not taken for a driver's word."""
    url, _ = user
    if server.name == "MariaDB":  # who has no right to it is not told that it is not there
        admin(f"GRANT ALL ON *.* TO {url.partition('//')[2].partition(':')[0]}@'%'")

    said = refused(lambda: connect(f"{url.rpartition('/')[0]}/timeout"))

    assert "database timeout at" in said
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


def test_garbled_answer():
    """Nor is what answers like one for a while, and then anything."""
    with listening(mysql("mysql_native_password", *[b"\0" * 7] * 4, b"\xfc")) as (port, told):
        url = f"mysql://app:hunter2@127.0.0.1:{port}/app?timeout=5"
        assert "connection to the MySQL database" in refused(lambda: open_backend(url))
    assert told.asked.is_set()


# Rights

CALLS = {
    "INSERT": lambda backend: backend.write(record("new"), replaces=None),
    "UPDATE": lambda backend: backend.write(record(version="2"), replaces=FIRST),
    "DELETE": lambda backend: backend.delete(ID),
}


def test_rights(connect, url, user, server):
    """A right that is missing is named, with what to do; what is stored stays."""
    mine, grant = user
    if server.name == "MariaDB":
        grant("SELECT", "*")  # lets the user into the database
    said = refused(lambda: connect(mine).write(record(), replaces=None))
    for each in ("lacks the privilege CREATE", "tokenkeep sql-schema"):
        assert each in said
    owner = connect(url)
    owner.write(record(), replaces=None)
    if server.name != "MariaDB":
        assert "lacks the privilege SELECT" in refused(lambda: connect(mine))
    grant("SELECT", "tokenkeep")
    backend = connect(mine)

    for right, call in CALLS.items():
        assert f"lacks the privilege {right} on the table tokenkeep" in refused(
            lambda call=call: call(backend)
        )
    assert [record()] == owner.scan(None, 10)

    grant("INSERT, UPDATE, DELETE", "tokenkeep")
    for call in CALLS.values():
        call(backend)
    backend.touch(record("new").id, 5.0)
    assert [record("new", last_used_at=5.0)] == owner.scan(None, 10)


# Tables of others


def test_a_table_of_somebody_else(connect, url, admin):
    """A table of the official SDK's, or of others, is not taken over; what to do is said."""
    admin("CREATE TABLE oauthtoken (id VARCHAR(10), user_name VARCHAR(20))")
    admin("INSERT INTO oauthtoken (id, user_name) VALUES ('1', 'ana')")
    if url.startswith("postgresql"):
        admin("GRANT ALL ON oauthtoken TO app")

    said = refused(lambda: connect(f"{url}?table=oauthtoken"), StoreForeign)

    for each in ("table oauthtoken", "table=", "tokenkeep import"):
        assert each in said
    assert [("1", "ana")] == [tuple(row) for row in admin("SELECT * FROM oauthtoken")]


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


# Rights


@pytest.mark.parametrize("rights", ["SELECT", "SELECT, INSERT, DELETE", "SELECT, UPDATE"])
def test_health_of_who_may_not_write(user, url, rights):
    """A role that may only read hands tokens out until they end: that is told before."""
    theirs, grant = user
    environ = {"TOKENKEEP_KEYS": generate_key()}
    with open_store(url, environ=environ, make=True) as made:
        token = made.save_token(Token(user="ana", client_id="c", refresh_token="r"))
    grant(rights, "tokenkeep")

    with Keeper(open_store(theirs, environ=environ)) as keeper:
        assert token == keeper.store.find_token_by_id(token.id)
        health = keeper.health()

    if "UPDATE" in rights:
        assert health.ok
        return
    (trouble,) = health.troubles
    assert "store" == trouble.check
    assert "Grant SELECT, INSERT, UPDATE and DELETE" in trouble.hint
