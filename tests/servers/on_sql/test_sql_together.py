"""Many at once: processes that start together, indexes, deadlocks, and lost connections."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from cases import FIRST, ID, connect_as_admin, digits, record, refused, until

from tokenkeep.backends.base import FOUND_BY, MARKS
from tokenkeep.backends.rows import COLUMNS, to_row
from tokenkeep.backends.sql import Statements, ddl
from tokenkeep.errors import StoreConflict


def test_first_starts_together(url, connect, fork_together):
    """Processes that find an empty database together make the tables once, and all work."""
    fork_together(lambda number: connect(url).write(record(str(number)), replaces=None), 8)

    expected = sorted(digits(str(number)) for number in range(8))
    assert expected == [each.id for each in connect(url).scan(None, 100)]


def test_lookups_use_an_index(backend, server, admin, url):
    """No lookup reads the whole table: each mark is looked for in its own index."""
    rows = [
        record(str(n), client="same", **{mark: str(n) for mark in MARKS if mark != "client"})
        for n in range(2000)
    ]
    assert backend.insert(rows) == []
    admin("ANALYZE TABLE tokenkeep" if server.name == "MariaDB" else "ANALYZE tokenkeep")
    one, other = rows[5], rows[1000]
    fields = [field for field in FOUND_BY if field != "client"]
    asked = {"replaces": one.version, "now": 5.0, "limit": 10}
    asked |= {"before": 9.0, "when": 5.0, "after": other.id, "mark": one.client}
    asked |= dict(zip(COLUMNS, to_row(one), strict=True))
    statements = Statements(url.partition(":")[0], "tokenkeep")

    def plan(statement, values=asked):
        with closing(connect_as_admin(server, url)) as connection:
            cursor = connection.cursor()
            cursor.execute(f"EXPLAIN {statement}", values)
            lines = cursor.fetchall()
        assert "Seq Scan" not in str(lines)
        assert "ALL" not in [line[3] for line in lines if len(line) > 3 and line[2] == "tokenkeep"]
        return str(lines)

    for some in ([one], [one, other]):
        marks = {field: [getattr(each, field) for each in some] for field in fields}
        said = plan(statements.find(fields), marks)
        assert [] == [mark for mark in {*MARKS} - {"client"} if f"tokenkeep_{mark}" not in said]
    assert "tokenkeep_client" in plan(statements.scan_mark["client"])
    assert "tokenkeep_due_at" in plan(statements.due)
    for each in ("read", "replace", "touch", "delete", "delete_version"):
        plan(getattr(statements, each))
    plan(statements.scan)


def test_made_by_hand(connect, server, url, admin):
    """A table made of what `tokenkeep sql-schema` prints is a store."""
    for each in ddl(url.partition(":")[0]).rstrip(";\n").split(";"):
        admin(each)
    if server.name != "MariaDB":
        admin("GRANT ALL ON tokenkeep TO app")

    connect(url).write(record(), replaces=None)

    assert connect(url).find([("owner", record().owner)]) == [record()]


@pytest.mark.parametrize("taken", [[], [7]])
def test_many_large_records(backend, taken):
    """However large they are together, those that were written are never among those left."""
    rows = [record(str(n), sealed=b"'" * 60_000) for n in range(20)]
    for n in taken:
        backend.write(rows[n], replaces=None)

    assert backend.insert(rows) == [rows[n].id for n in taken]
    assert len(backend.scan(None, 100)) == len(rows)


# In each other's way


def meanwhile(work):
    """Begin something in a thread; return what ends it and says what it returned."""
    threads = ThreadPoolExecutor(1)
    begun = threads.submit(work)
    time.sleep(0.4)
    return lambda: (begun.result(), threads.shutdown())[0]


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
    count = meanwhile(backend.clear)  # it has deleted a, and waits for b

    cursor.execute(f"UPDATE tokenkeep SET version = '2' WHERE id = '{digits('a')}'")

    rival.commit()
    assert 2 == count()
    if server.name == "MariaDB":
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")
        assert int(cursor.fetchone()[1]) >= 1


@pytest.mark.parametrize("server", ["postgres"], indirect=True)
def test_serialization_failure(connect, url, admin, rival):
    """Where the database is set to stricter isolation, what it refuses is tried again."""
    database = url.rpartition("/")[2]
    admin(f"ALTER DATABASE {database} SET default_transaction_isolation = 'repeatable read'")
    backend = connect(f"{url}?prepare_threshold=none")
    backend.write(record(), replaces=None)
    rival.execute(f"UPDATE tokenkeep SET last_used_at = 5 WHERE id = '{ID}'")
    end = meanwhile(lambda: backend.write(record(version="2"), replaces=FIRST))
    rival.commit()
    end()

    assert record(version="2", last_used_at=5.0) == backend.read(ID)


def test_locked_row(connect, url, rival):
    """
    Who keeps a row locked is waited for as long as was said; a touch does not wait at all.

    The server drops what nobody waits for.
    """
    backend = connect(f"{url}?timeout=1")
    backend.write(record(), replaces=None)
    rival.cursor().execute(f"UPDATE tokenkeep SET version = '2' WHERE id = '{ID}'")

    assert "busy" in refused(lambda: backend.touch(ID, 5.0), within=0.5)
    refused(lambda: backend.write(record(version="3"), replaces=FIRST), within=5)

    assert record() == backend.read(ID)
    rival.rollback()
    time.sleep(0.5)
    assert record() == backend.read(ID)
    backend.write(record(version="3"), replaces=FIRST)


# Connections that are lost, or too few


@pytest.mark.parametrize("server", ["postgres"], indirect=True)
def test_all_connections_in_use(connect, url, rival, fork):
    """Who gets no connection in time is told so, and what to raise; a child has its own."""
    backend = connect(f"{url}?timeout=1&pool_size=1")
    backend.write(record(), replaces=None)
    rival.cursor().execute(f"UPDATE tokenkeep SET last_used_at = 1 WHERE id = '{ID}'")
    ends = [meanwhile(lambda: refused(lambda: backend.delete(ID))) for _ in range(2)]

    said = refused(lambda: backend.read(ID))

    assert "were in use" in said
    assert "pool_size" in said
    fork(lambda _: backend.read(ID)).end()
    for end in ends:
        end()
    rival.rollback()
    assert backend.read(ID) == record()


def test_looking_makes_no_table(connect, url, admin, server):
    """Of a store that is not there, everything says that it is empty, until it is made."""
    where = "DATABASE()" if server.name == "MariaDB" else "'public'"
    tables = f"SELECT count(*) FROM information_schema.tables WHERE table_schema = {where}"
    backend = connect(f"{url}?table=p9")
    assert backend.read(ID) is None
    assert backend.find([("owner", ID)]) == backend.scan(None, 10) == backend.due(9e9, 10) == []
    backend.touch(ID, 5.0)
    assert backend.delete(ID, replaces=FIRST) is False
    assert backend.clear() == 0
    refused(lambda: backend.write(record(), replaces=FIRST), StoreConflict)
    assert 0 == admin(tables)[0][0]

    connect(f"{url}?table=p9").write(record(), replaces=None)

    assert 1 == admin(tables)[0][0]
    assert record() == backend.read(ID)
    assert backend.delete(ID)


@pytest.mark.parametrize("error", [RuntimeError, ValueError, KeyError])
def test_what_a_handler_raises(connect, far, proxy, error):
    """It comes through, whatever it is called, and is not taken for the server's."""
    backend = connect(far)
    backend.write(record(), replaces=None)

    def handle(*_):
        raise error

    before = signal.signal(signal.SIGALRM, handle)
    proxy.hold()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(error):
            backend.read(ID)
    finally:
        signal.signal(signal.SIGALRM, before)
    proxy.go_on()
    assert backend.read(ID) == record()


@pytest.mark.parametrize("server", ["postgres"], indirect=True)
def test_a_database_without_an_encoding(connect, url, admin):
    """What initdb makes where there is no locale."""
    ascii_only = "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
    admin(f"CREATE DATABASE plain OWNER app TEMPLATE template0 {ascii_only}")
    backend = connect(f"{url.rpartition('/')[0]}/plain")
    backend.write(record(), replaces=None)
    assert backend.find([("owner", record().owner)]) == [record()]


def test_what_drips_is_let_go(connect, far, proxy):
    """A connection whose answer drips ends with the call that gave up: the next has its place."""
    backend = connect(f"{far}?timeout=0.5&pool_size=1")
    backend.write(record(), replaces=None)
    proxy.drip(0.2)
    said = refused(lambda: backend.delete(digits("nobody")))
    assert "whether the change was made is not known" in said
    until(lambda: not proxy.alive)
    proxy.go_on()
    assert backend.read(ID) == record()
