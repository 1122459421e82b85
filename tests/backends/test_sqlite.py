"""What is special about the SQLite backend."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sqlite3
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tokenkeep.backends.base import FOUND_BY, MARKS
from tokenkeep.backends.forks import ForkSafe
from tokenkeep.backends.rows import COLUMNS
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.errors import StoreUnavailable
from tokenkeep.testing.records import again, digits, record

ONE = record()


@pytest.fixture
def backend(path, connections, made):  # noqa: ARG001 - from the first one on
    backend = made(SQLiteBackend, path)
    yield backend
    backend.close()


@pytest.mark.usefixtures("backend")
def test_safe_on_disk_when_it_returns(connections):
    """Each commit is synced, to a write-ahead log; deleted bytes are overwritten."""
    db = connections[-1]
    setting = {
        name: db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("synchronous", "journal_mode", "secure_delete")
    }

    assert setting == {"synchronous": 2, "journal_mode": "wal", "secure_delete": 1}


ASK = {
    "read": lambda backend: backend.read(ONE.id),
    **{f"find {by}": lambda backend, by=by: backend.find([(by, ONE.id)]) for by in FOUND_BY},
    "find all": lambda backend: backend.find([(by, ONE.id) for by in FOUND_BY] * 50),
    "find very many": lambda backend: backend.find(
        [(by, digits(str(n))) for n in range(250) for by in ("access", "refresh")]
    ),
    "scan": lambda backend: backend.scan(None, 10),
    "scan on": lambda backend: backend.scan(ONE.id, 10),
    **{f"scan {by}": lambda backend, by=by: backend.scan(None, 9, mark=(by, "0")) for by in MARKS},
    "due": lambda backend: backend.due(5.0, 10),
    "due on": lambda backend: backend.due(5.0, 10, after=(1.0, ONE.id)),
    "write": lambda backend: backend.write(again(ONE, user=ONE.id), replaces=ONE.version),
    "touch": lambda backend: backend.touch(ONE.id, 5.0),
    "delete": lambda backend: backend.delete(ONE.id, replaces=again(ONE).version),
}


@pytest.mark.parametrize("analyzed", [False, True], ids=["", "analyzed"])
def test_lookups_use_an_index(backend, connections, analyzed):
    """Nothing reads the whole table or sorts, however it is asked, and whatever is in it."""
    backend.write(ONE, replaces=None)
    db, statements = connections[-1], []
    same = dict.fromkeys(MARKS, digits("same"))
    db.execute("BEGIN")
    for n in range(1000):
        backend.write(record(str(n), due_at=5.0, **same), replaces=None)
    db.execute("COMMIT")
    if analyzed:
        db.execute("ANALYZE")

    for name, ask in ASK.items():
        db.set_trace_callback(statements.append)
        ask(backend)
        db.set_trace_callback(None)
        asked = [each for each in statements if " token " in each]
        assert asked, name
        plan = [row[3] for each in asked for row in db.execute(f"EXPLAIN QUERY PLAN {each}")]
        statements.clear()

        ordered = {"scan", "scan on"}  # all there is, in order
        assert name in ordered or not any(step.startswith("SCAN") for step in plan), (name, plan)
        assert not any("TEMP B-TREE" in step for step in plan), (name, plan)


def test_deleted_tokens_do_not_linger(backend, path):
    """What was cleared is in none of the files any more."""
    mark = os.urandom(32).hex().encode()
    backend.write(record(sealed=mark * 100), replaces=None)

    backend.clear()

    for file in path.parent.iterdir():
        assert mark not in file.read_bytes()


@pytest.fixture
def replaced(backend, path):
    """The open database is moved away, and another one is in its place."""
    backend.write(ONE, replaces=None)
    other = SQLiteBackend(path.with_suffix(".other"))
    other.write(record("other"), replaces=None)
    other.close()
    path.rename(path.with_suffix(".moved"))
    path.with_suffix(".other").rename(path)


@pytest.mark.usefixtures("replaced")
def test_replaced_in_use(backend, path):
    """Nothing goes into a database that lost its name, nor into its successor by mistake."""
    for ask in (
        backend.revision,
        lambda: backend.write(again(ONE), replaces=ONE.version),
        lambda: backend.touch(ONE.id, 5.0),
        lambda: backend.delete(ONE.id),
        lambda: backend.read(ONE.id),
        backend.clear,
    ):
        with pytest.raises(StoreUnavailable, match=r"deleted or replaced.*delete its old -wal"):
            ask()

    path.rename(path.with_suffix(".other"))
    path.with_suffix(".moved").rename(path)
    assert backend.read(ONE.id) == ONE
    backend.close()
    path.with_suffix(".other").replace(path)
    assert backend.scan(None, 10) == [record("other")]


def forked_as_by_uwsgi():
    pid = ctypes.PyDLL(None).fork()
    if not pid:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    return pid


FORKED = [ctypes.PyDLL(None).fork, forked_as_by_uwsgi]


@pytest.mark.parametrize("forked", FORKED[: 2 - (sys.version_info >= (3, 13))])  # must tell both
def test_inherited_connection_is_refused(backend, path, fork, forked, monkeypatch):
    """A child forked behind Python's back is told, and does no harm to its parent."""
    backend.write(ONE, replaces=None)
    shown = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)

    def work(_):
        assert shown == []
        for ask in (
            lambda: backend.read(ONE.id),
            backend.revision,
            lambda: backend.write(again(ONE), replaces=ONE.version),
            lambda: (backend.close(), backend.read(ONE.id)),
            lambda: SQLiteBackend(path),
        ):
            with pytest.raises(StoreUnavailable, match="inherited"):
                ask()

    fork(work, forked).end()

    backend.write(again(ONE), replaces=ONE.version)
    assert SQLiteBackend(path).read(ONE.id) == again(ONE)


def test_closed_after_an_interruption(path, fork, monkeypatch):
    """A close that a handler broke off is done before the next fork: children can go on."""
    backend, connect, closings = SQLiteBackend(path), sqlite3.connect, []

    def interrupted(*args, factory, **given):
        class Interrupted(factory):
            def close(self):
                closings.append(self)
                if len(closings) == 1:
                    raise TimeoutError("a watchdog")
                super().close()

        return connect(*args, factory=Interrupted, **given)

    monkeypatch.setattr(sqlite3, "connect", interrupted)
    backend.write(ONE, replaces=None)

    with pytest.raises(TimeoutError):
        backend.close()

    assert fork(lambda say: say(backend.read(ONE.id) == ONE)).end() == ["True"]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="such a library must tell the parent, too")
def test_forked_by_a_library_beside_a_fork(fork):
    """What another thread of the parent holds as it forks holds up no later fork of the child."""
    is_forking, go_on = threading.Event(), threading.Event()

    class Slow(ForkSafe):
        def before_fork(self):
            if not is_forking.is_set():
                is_forking.set()
                go_on.wait(60)
            return super().before_fork()

    slow = Slow()
    thread = threading.Thread(target=lambda: fork(lambda _: None).end())
    thread.start()
    is_forking.wait(60)

    def work(say):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(30)  # else it would hang
        pid = os.fork()
        if not pid:
            os._exit(0)
        os.waitpid(pid, 0)
        say("forked")

    assert fork(work, forked_as_by_uwsgi).end() == ["forked"]
    go_on.set()
    thread.join()
    del slow


def test_reopened_is_another_revision(backend, path):
    """After a pause in which others wrote, no revision of before comes again."""
    before = set()
    for turn in range(5):
        before.add(backend.revision())
        backend.close()
        SQLiteBackend(path).write(record(str(turn)), replaces=None)

        assert backend.revision() not in before


def test_dropped_without_close(path):
    """A backend that is merely forgotten closes its files without a complaint."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backend = SQLiteBackend(path)
        backend.write(ONE, replaces=None)
        del backend
        gc.collect()

    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.fixture
def in_the_midst(connections):
    """Let a signal handler do something while a call has a statement under way."""
    before = signal.getsignal(signal.SIGUSR1)

    def call(handle, work):
        signal.signal(signal.SIGUSR1, lambda *_: handle())
        connections[-1].set_trace_callback(lambda _: signal.raise_signal(signal.SIGUSR1))
        try:
            return work()
        finally:
            connections[-1].set_trace_callback(None)

    yield call
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("during", ["read", "find all", "write"])
def test_a_handler_that_asks(backend, in_the_midst, during):
    """In the midst of a call it is refused by name, and the call gets its own answer."""
    backend.write(ONE, replaces=None)
    answers = []

    def handle():
        for ask in (ASK["read"], ASK["touch"], ASK["write"], SQLiteBackend.revision):
            with pytest.raises(StoreUnavailable, match="signal handler"):
                ask(backend)
            answers.append(ask)

    expected = None if during == "write" else ASK[during](backend)
    assert in_the_midst(handle, lambda: ASK[during](backend)) == expected

    assert len(answers) >= 4
    with ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(backend.scan, None, 10).result()) == 1


def test_fork_in_a_signal_handler(backend, in_the_midst, fork):
    """A child forked in the midst of a call is refused; the call itself goes on."""
    backend.write(ONE, replaces=None)
    children = []

    def work(say):
        with pytest.raises(StoreUnavailable, match="inherited"):
            backend.read(ONE.id)
        say("refused")

    found = in_the_midst(lambda: children.append(fork(work)), lambda: backend.read(ONE.id))

    assert found == ONE
    assert [child.end() for child in children] == [["refused"]]


@pytest.mark.parametrize("column", [*COLUMNS])
def test_wrong_type_in_a_column(backend, path, column):
    """Whatever somebody wrote into a column: all others are read, and it hides at most itself."""
    other = record(id=digits("2"), owner=digits("o"), version=digits("3"))
    backend.write(other, replaces=None)
    for value in ("'soon'", "x'00'", "NULL", "9e999", "'a' || x'ff'", "CAST(x'c328' AS TEXT)"):
        backend.write(record(user=digits("u")), replaces=None)
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(f"UPDATE token SET {column} = {value} WHERE id = ?", (ONE.id,))

            assert other in backend.scan(None, 10)
            assert all(isinstance(each.id, str) for each in backend.scan(None, 10))
            assert backend.find([("owner", other.owner)]) == [other]
            assert len(backend.due(9e9, 10)) < 3
            backend.read(ONE.id)
            db.execute("DELETE FROM token WHERE id IS NOT ?", (other.id,))
