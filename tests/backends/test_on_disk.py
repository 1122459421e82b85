"""What holds for each backend whose tokens are in a file, whatever the file."""

from __future__ import annotations

import errno
import json
import logging
import os
import resource
import shutil
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tokenkeep.backends import private_file
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.errors import (
    StoreConflict,
    StoreError,
    StoreForeign,
    StoreTooNew,
    StoreUnavailable,
)
from tokenkeep.testing.records import again, record

ONE = record()
LONG = 60.0
WRITERS = 6
CSV = (
    "id,user_name,client_id,refresh_token,access_token\n1,ana@example.com,client,refresh,access\n"
)


def modes(path):
    return {file.name: file.stat().st_mode & 0o777 for file in path.parent.glob(f"{path.name}*")}


# Who may read it


def test_new_files_are_private(kind, path):
    """Nobody but the owner may read what a store makes, though the umask would let them."""
    before = os.umask(0)
    try:
        backend = kind(path)
        backend.write(ONE, replaces=None)
        found = modes(path)
        backend.close()
    finally:
        os.umask(before)

    assert set(found.values()) == {0o600}


def test_wide_file_is_tightened(kind, path, caplog, made):
    """A store that others may read is closed to them when it is opened, with a warning."""
    made(kind, path).close()
    path.chmod(0o664)

    with caplog.at_level(logging.WARNING):
        backend = kind(path)

    assert modes(path)["tokens"] == 0o600
    assert str(path) in caplog.text
    backend.close()


def test_a_link_is_not_followed(path):
    """Where one was put in the place of a file beside the store, what it leads to stays open."""
    elsewhere = path.with_name("elsewhere")
    elsewhere.touch(0o644)
    elsewhere.chmod(0o644)
    path.with_name(f"{path.name}-shm").symlink_to(elsewhere)

    with suppress(StoreUnavailable), closing(SQLiteBackend(path)) as backend:
        backend.write(ONE, replaces=None)

    assert elsewhere.stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("closed", ["file of another", "folder"])
def test_refused(kind, shared_folder, as_nobody, closed, made):
    """What this user may not read, not close to others or not make is an error that says so."""
    path = shared_folder / "tokens"
    if closed == "folder":
        shared_folder.chmod(0o555)
    else:
        made(kind, path).close()

    def work(say):
        with pytest.raises(StoreUnavailable) as caught:
            made(kind, path)
        say(caught.value)

    assert "allowed to read and write" in as_nobody(work)[0]


# What is not ours, or not usable


def database(*statements):
    def make(path):
        with closing(sqlite3.connect(path)) as db, db:
            for each in statements:
                db.execute(each)

    return make


FOREIGN = {
    "oauthtoken": database("CREATE TABLE oauthtoken (id varchar(10), access_token varchar(100))"),
    "other-application": database("PRAGMA application_id = 1"),
    **{
        name: lambda path, content=content: path.write_text(content)
        for name, content in {
            "csv": CSV,
            "json": '{"access_token": "access"}',
            "json-list": "[]",
            "nul": "\0" * 5000,
        }.items()
    },
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_foreign_file_is_left_alone(kind, path, make):
    """A file of somebody else is refused, not changed by a bit, and import is named."""
    make(path)
    path.chmod(0o644)
    before = path.read_bytes()

    with pytest.raises(StoreForeign) as caught:
        kind(path)

    assert "tokenkeep import" in str(caught.value)
    assert "access_token" not in str(caught.value)
    assert path.read_bytes() == before
    assert modes(path) == {"tokens": 0o644}


@pytest.mark.parametrize(
    ("number", "error"), [(3, StoreTooNew), (1, StoreForeign), (None, StoreForeign)]
)
def test_another_format(kind, path, made, number, error):
    """A store of a newer tokenkeep, or of none, is refused, says why, and is left as it is."""
    made(kind, path).close()
    if kind is SQLiteBackend:
        database(f"PRAGMA user_version = {number or 0}")(path)
    else:
        path.write_text(json.dumps({"tokenkeep": number, "records": []}))
    before = path.read_bytes()

    with pytest.raises(error, match="Upgrade" if error is StoreTooNew else "format"):
        kind(path)

    assert path.read_bytes() == before


def test_empty_file_becomes_a_store(kind, path):
    """A file somebody touched into being is as good as none."""
    path.touch()

    backend = kind(path)

    backend.write(ONE, replaces=None)
    backend.close()
    assert kind(path).read(ONE.id) == ONE


def test_looking_makes_nothing(kind, path):
    """Nor does a change of what is not there."""
    backend = kind(path)

    for _ in range(2):
        assert (backend.read(ONE.id), backend.scan(None, 10), backend.clear()) == (None, [], 0)
        assert backend.delete(ONE.id) is False
        backend.touch(ONE.id, 5.0)
        with pytest.raises(StoreConflict):
            backend.write(again(ONE), replaces=ONE.version)
    assert backend.revision() == kind(path).revision()

    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("share", [0.03, 0.6])
def test_cut_off_file(kind, path, share):
    """A file that was cut off is a named error, never a store with fewer tokens."""
    backend = kind(path)
    for n in range(50):
        backend.write(record(str(n), sealed=bytes(2000)), replaces=None)
    backend.close()
    os.truncate(path, int(path.stat().st_size * share))
    backend = None

    with pytest.raises(StoreError) as caught:  # noqa: PT012 - either may notice
        backend = kind(path)
        backend.scan(None, 100)

    assert str(path) in str(caught.value)
    if backend:
        backend.close()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_no_file(kind, path, make):
    """A folder is refused in words; a pipe too, instead of being waited for; nothing is made."""
    make(path)

    with pytest.raises(StoreUnavailable, match=r"not a file|folder"):
        kind(path)
    with pytest.raises(StoreUnavailable, match="No such file"):
        kind(path.with_name("no") / "tokens")

    assert [path] == list(path.parent.iterdir())


# A full disk


def ids(backend):
    return {each.id for each in backend.scan(None, 10_000)}


def ids_of(*names):
    return {record(str(name)).id for name in names}


def test_file_may_not_grow(kind, path, fork):
    """When no more can be written, saves fail by name, and all acknowledged ones stay."""

    def work(say):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
        backend = kind(path)
        with suppress(StoreUnavailable):
            for n in range(10_000):
                backend.write(record(str(n), sealed=os.urandom(3000)), replaces=None)
                say(n)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        backend.write(record("after"), replaces=None)

    done = fork(work).end()

    assert 5 <= len(done) < 10_000
    assert ids(kind(path)) == ids_of(*done, "after")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_what_the_disk_says(code):
    """What stops a save is said as the system says it, with what to do."""
    with pytest.raises(StoreUnavailable, match=os.strerror(code)) as caught:
        private_file.refuse(Path("tokens"), OSError(code, os.strerror(code)))

    assert caught.value.hint
    with pytest.raises(TimeoutError, match="a signal handler's"):
        private_file.refuse(Path("tokens"), TimeoutError("a signal handler's"))


# Crashes and crowds


def test_killed_while_saving(kind, path, fork):
    """However often a saving process is killed, no acknowledged save is lost."""
    backend = kind(path)
    counter = record("counter", sealed=b"0 ")
    backend.write(counter, replaces=None)
    acknowledged = 0
    for turn in range(20):

        def work(say, start=acknowledged):
            mine = kind(path)
            old = mine.read(counter.id)
            n = int(old.sealed.split()[0])
            assert n >= start
            while True:
                n += 1
                new = again(old, str(n), sealed=b"%d %s" % (n, os.urandom(2500).hex().encode()))
                mine.write(new, replaces=old.version)
                say(n)
                old = new

        child = fork(work)
        for _ in range(1 + turn % 4):
            acknowledged = int(child.readline())
        said = child.kill()
        acknowledged = int(said[-1]) if said else acknowledged

        stored = int(backend.read(counter.id).sealed.split()[0])
        assert stored in (acknowledged, acknowledged + 1)
        acknowledged = stored
    backend.touch(counter.id, 1.0)
    assert not Path(f"{path}.tmp").exists()
    backend.close()


def test_twenty_processes_begin_at_once(kind, path, fork_together):
    """However many processes open a new path at once, they get one store together."""
    fork_together(lambda n: kind(path, busy_timeout=30).write(record(str(n)), replaces=None), 20)

    assert ids(kind(path)) == ids_of(*range(20))


# A store that another process keeps busy


@pytest.fixture
def backend(kind, path):
    backend = kind(path, busy_timeout=LONG)
    backend.write(ONE, replaces=None)
    yield backend
    backend.close()


def test_writers_wait_side_by_side(backend, kind, busy, until_waiting):
    """No thread queues behind one that waits: all try, and readers read meanwhile."""
    end = busy(kind)
    before = backend.revision()
    with ThreadPoolExecutor(WRITERS) as pool:
        writes = [
            pool.submit(backend.write, record(f"thread {n}"), replaces=None)
            for n in range(WRITERS)
        ]
        until_waiting(WRITERS)

        assert backend.read(ONE.id) == ONE
        assert backend.find([("owner", ONE.owner)]) == [ONE]
        assert backend.scan(None, 10) == [ONE]
        assert backend.revision() == before
        assert kind(backend.home, busy_timeout=0).read(ONE.id) == ONE
        assert not any(write.done() for write in writes)

        end()
        for write in writes:
            write.result()
    assert len(backend.scan(None, 10)) == WRITERS + 1


def test_others_are_waited_for_briefly(backend, busy, kind, monkeypatch):
    """A commit of another process takes less than a millisecond; one that hangs costs no core."""
    end, pauses, sleep = busy(kind), [], time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: pauses.append(seconds) or sleep(seconds))

    with pytest.raises(StoreUnavailable, match="busy"):
        kind(backend.home, busy_timeout=0.05).write(record("another"), replaces=None)
    end()

    assert pauses[0] < 0.001
    assert pauses == sorted(pauses)
    assert pauses[-1] == 0.005


def test_busy_for_too_long(kind, path, busy, made):
    """What never ends is waited for as long as was said, then named; a touch does not wait."""
    backend = made(kind, path, busy_timeout=0.05)
    patient = kind(path, busy_timeout=LONG)
    end = busy(kind)
    start = time.monotonic()

    with pytest.raises(StoreUnavailable, match=r"busy for 0\.05 sec"):
        backend.write(ONE, replaces=None)
    with pytest.raises(StoreUnavailable, match="busy"):
        patient.touch(ONE.id, 5.0)

    assert time.monotonic() - start < LONG / 2
    assert backend.read(ONE.id) is None
    end()
    backend.write(ONE, replaces=None)
    patient.touch(ONE.id, 5.0)
    assert backend.read(ONE.id) == record(last_used_at=5.0)
    for each in (backend, patient):
        each.close()


# Files that move


@pytest.mark.parametrize("what", ["file", "folder"])
def test_deleted_in_use(kind, tmp_path, what):
    """A store whose file or folder is deleted under it says so, and does not begin a new one."""
    folder = tmp_path / "folder"
    folder.mkdir()
    backend = kind(folder / "tokens")
    backend.write(ONE, replaces=None)
    if what == "file":
        (folder / "tokens").unlink()
    else:
        shutil.rmtree(folder)

    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"deleted|gone|No such file"):
            backend.write(again(ONE), replaces=ONE.version)

    assert not (folder / "tokens").exists()
    backend.close()


def test_relative_path_stays_where_it_was(kind, tmp_path, monkeypatch):
    """A relative path means the folder of the time when the store was opened."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    backend = kind("tokens")
    monkeypatch.chdir(tmp_path / "elsewhere")
    backend.close()

    backend.write(ONE, replaces=None)

    assert list((tmp_path / "elsewhere").iterdir()) == []
    backend.close()


def test_symbolic_link_is_followed(kind, tmp_path):
    """A store behind a link is written where the link leads; the link stays."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real" / "tokens")

    backend = kind(link)
    backend.write(ONE, replaces=None)
    backend.write(again(ONE), replaces=ONE.version)
    backend.close()

    assert link.is_symlink()
    assert kind(tmp_path / "real" / "tokens").read(ONE.id) == again(ONE)
    assert backend.home == tmp_path / "real" / "tokens"
