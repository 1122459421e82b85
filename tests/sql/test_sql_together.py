"""Many at once: processes that start together, forks, threads, deadlocks."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
import time
import traceback
import warnings
from functools import partial

import pytest
from sql_cases import FIRST, ID, connect_as_admin, digits, record

from tokenkeep.backends import open_backend, sql
from tokenkeep.backends.base import FOUND_BY, HEADER, MARKS
from tokenkeep.backends.rows import to_row
from tokenkeep.backends.sql_statements import replaced
from tokenkeep.errors import StoreUnavailable


def test_twenty_first_starts(url, connect):
    """Twenty processes that find an empty database together make the tables once, and all work."""
    gate, opener = os.pipe()

    def start(number):
        os.close(opener)
        os.read(gate, 1)  # until all are there
        backend = open_backend(url)
        backend.write(record(str(number)), replaces=None)
        backend.close()

    children = [child_of(os.fork, partial(start, number)) for number in range(20)]
    os.close(gate)
    os.close(opener)

    assert [0] * 20 == [os.waitpid(child, 0)[1] for child in children]
    expected = sorted(digits(str(number)) for number in range(20))
    assert expected == [each.id for each in connect(url).scan(None, 100)]


def test_finishes_what_another_began(connect, url, admin):
    """Tables that a process made only in part, before it was killed, are completed."""
    connect(url).close()
    schema = "ALTER TABLE tokenkeep DROP INDEX tokenkeep_user"
    if url.startswith("postgresql"):
        schema = "DROP INDEX tokenkeep_user"
    admin(schema, "DROP TABLE tokenkeep_schema")

    backend = connect(url)

    backend.write(record(user="u"), replaces=None)
    backend.close()
    assert [record(user="u")] == connect(url).find([("user", digits("u"))])


def test_lookups_use_an_index(backend, server, admin):
    """No lookup reads the whole table: each mark is looked for in its own index."""
    statements = backend._statements
    rows = [
        record(str(n), client="same", **{mark: str(n) for mark in MARKS if mark != "client"})
        for n in range(2000)
    ]
    with backend._connections.session() as db:
        db.connection.cursor().executemany(
            statements.insert.sql, [statements.insert.bind(to_row(row)) for row in rows]
        )
    admin("ANALYZE TABLE tokenkeep" if server.name == "MariaDB" else "ANALYZE tokenkeep")
    one, other = rows[5], rows[1000]
    marks = [(field, getattr(one, field)) for field in FOUND_BY if field != "client"]
    more = [(field, getattr(other, field)) for field, _ in marks]
    behind = True
    found = {f"tokenkeep_{mark}" for mark in MARKS} - {"tokenkeep_client"}

    def plan(statement, values):
        with backend._connections.session() as db:
            lines = db.exec_driver_sql(f"EXPLAIN {statement.sql}", statement.bind(values)).all()
        assert "Seq Scan" not in str(lines)
        assert "ALL" not in [line[3] for line in lines if len(line) > 3 and line[2] == "tokenkeep"]
        return str(lines)

    for some in (marks, marks + more):
        said = plan(*statements.find(some))
        assert [] == [name for name in found if name not in said]
    assert "tokenkeep_client" in plan(statements.scan(10, behind, "client"), [one.client, one.id])
    assert "tokenkeep_due_at" in plan(statements.due(10, behind), [9.0, 5.0, one.id])
    plan(statements.scan(10, behind, None), [other.id])
    plan(statements.read, [one.id])
    plan(statements.replace, [*replaced(one), one.id, one.version])
    plan(statements.touch, [5.0, one.id])
    plan(statements.delete_version, [one.id, one.version])


# Forks


def use(backend, name):
    assert backend.read(ID) == record()
    backend.write(record(name), replaces=None)
    assert backend.read(digits(name)) == record(name)


def child_of(fork, work):
    """Start a child that does *work*; return its process id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads beside a fork
        child = fork()
    if not child:
        code = 1
        try:
            work()
            gc.collect()
            code = 0
        except BaseException:  # noqa: BLE001 - shown, and told by the exit status
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def forked(fork, work):
    """Return how a child ended that did *work*: 0 if well."""
    return os.waitpid(child_of(fork, work), 0)[1]


@pytest.mark.parametrize("fork", [os.fork, ctypes.PyDLL(None).fork], ids=["Python's", "C's"])
def test_a_child_has_its_own_connections(backend, fork, monkeypatch):
    """However it was forked, and although it collects its garbage and closes."""
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    backend.write(record(), replaces=None)

    def work():
        use(backend, "child")
        backend.close()
        gc.collect()
        assert not unraisable

    assert 0 == forked(fork, work)
    use(backend, "parent")
    assert {digits("child"), ID, digits("parent")} == {each.id for each in backend.scan(None, 10)}


def test_forks_beside_busy_threads(backend):
    """Children work, whatever other threads of their parent were at when they were born."""
    backend.write(record(), replaces=None)
    done = threading.Event()
    failures = []

    def read():
        while not done.is_set():
            try:
                assert backend.read(ID) == record()
            except BaseException as exc:  # noqa: BLE001 - shown below
                failures.append(exc)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for each in threads:
        each.start()
    ends = [forked(os.fork, partial(use, backend, f"child {n}")) for n in range(5)]
    done.set()
    for each in threads:
        each.join()

    assert [] == failures
    assert [0] * 5 == ends
    assert len(backend.scan(None, 100)) == 6


def test_dropped_without_close(url):
    """A backend that is merely forgotten closes its connections without a complaint."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backend = open_backend(url)
        backend.write(record(), replaces=None)
        del backend
        gc.collect()


def test_no_connection_stays(server, url, admin):
    """After close the server has none of ours left."""
    backend = open_backend(url)
    backend.write(record(), replaces=None)
    backend.close()

    count = (
        "SELECT count(*) FROM information_schema.processlist WHERE db = '{}' AND user = 'app'"
        if server.name == "MariaDB"
        else "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND usename = 'app'"
    ).format(url.rpartition("/")[2])
    for _ in range(50):
        if admin(count)[0][0] == 0:
            break
        time.sleep(0.1)
    assert 0 == admin(count)[0][0]


# In each other's way


def test_deadlock(backend, rival, server):
    """What the database undoes because of a deadlock is done again."""
    for name in "ab":
        backend.write(record(name), replaces=None)
    cursor = rival.cursor()
    # The one who has changed less is undone: that has to be ours.
    cursor.execute("CREATE TABLE ballast (n INT)")
    rival.commit()
    cursor.execute("INSERT INTO ballast VALUES " + ", ".join(f"({n})" for n in range(500)))
    cursor.execute(f"UPDATE tokenkeep SET version = '2' WHERE id = '{digits('b')}'")
    counts = []
    clearing = threading.Thread(target=lambda: counts.append(backend.clear()))
    clearing.start()
    time.sleep(0.4)  # it has deleted a, and waits for b

    cursor.execute(f"UPDATE tokenkeep SET version = '2' WHERE id = '{digits('a')}'")

    rival.commit()
    clearing.join()
    assert [2] == counts
    if server.name == "MariaDB":
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")
        assert int(cursor.fetchone()[1]) >= 1


def test_serialization_failure(connect, postgres, admin_of):
    """Where the database is set to stricter isolation, what it refuses is tried again."""
    url = postgres.url()
    admin = admin_of(postgres, url)
    database = url.rpartition("/")[2]
    admin(f"ALTER DATABASE {database} SET default_transaction_isolation = 'repeatable read'")
    backend = connect(url)
    backend.write(record(), replaces=None)
    rival = connect_as_admin(postgres, url, autocommit=False)
    rival.execute(f"UPDATE tokenkeep SET last_used_at = 5 WHERE id = '{ID}'")
    ends = []
    writing = threading.Thread(
        target=lambda: ends.append(backend.write(record(version="2"), replaces=FIRST))
    )
    writing.start()
    time.sleep(0.3)
    rival.commit()
    writing.join()
    rival.close()

    assert [None] == ends
    assert record(version="2", last_used_at=5.0) == backend.read(ID)


@pytest.mark.parametrize("own", [False, True])
def test_locked_row(connect, url, server, rival, own):
    """
    Who keeps a row locked is waited for as long as was said; a touch does not wait at all.

    It is the server that gives up, with a command of the user's at the beginning too.
    """
    if own:
        is_mariadb = server.name == "MariaDB"
        query = "init_command=SET time_zone='-03:00'" if is_mariadb else "options=-ctimezone=UTC"
    else:
        query = ""
    backend = connect(f"{url}?timeout=2&{query}")
    backend.write(record(), replaces=None)
    rival.cursor().execute(f"UPDATE tokenkeep SET version = '2' WHERE id = '{ID}'")

    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="busy"):
        backend.touch(ID, 5.0)
    assert time.monotonic() - begun < 0.5
    with pytest.raises(StoreUnavailable):
        backend.write(record(version="3"), replaces=FIRST)
    assert time.monotonic() - begun < 8

    assert record() == backend.read(ID)
    rival.rollback()
    time.sleep(0.2)
    assert record() == backend.read(ID)
    backend.write(record(version="3"), replaces=FIRST)


def test_a_write_that_was_given_up_is_not_made_later(connect, url, rival):
    """The server drops a statement that nobody waits for any more, rather than run it later."""
    backend = connect(f"{url}?timeout=2")
    backend.write(record(), replaces=None)
    rival.cursor().execute(f"UPDATE tokenkeep SET last_used_at = 1 WHERE id = '{ID}'")

    with pytest.raises(StoreUnavailable):
        backend.write(record(version="2"), replaces=FIRST)
    rival.rollback()
    time.sleep(1)

    assert record() == backend.read(ID)


def test_clear_in_pages(backend, monkeypatch):
    """Very many records are deleted page by page, and all are counted; the header is not one."""
    monkeypatch.setattr(sql, "_PAGE", 3)
    header = record("")
    assert HEADER == header.id
    for name in ("", *(f"{n:02}" for n in range(10))):
        backend.write(record(name), replaces=None)

    assert 10 == backend.clear()
    assert [header] == backend.scan(None, 10)
