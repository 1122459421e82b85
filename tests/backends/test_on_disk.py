"""What holds for each backend whose tokens are in a file, whatever the file."""

from __future__ import annotations

import json
import logging
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tokenkeep.backends.file import FileBackend
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.errors import (
    ConfigurationError,
    StoreError,
    StoreForeign,
    StoreTooNew,
    StoreUnavailable,
)
from tokenkeep.testing._contract_workers import again, record

ONE = record()
LONG = 60.0
WRITERS = 6
CSV = (
    "id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,"
    "expiry_time,redirect_uri,api_domain\n"
    "1,ana@example.com,client,secret,refresh,access,,1795461989774,,\n"
)
OLD_CSV = (
    "user_mail,client_id,refresh_token,access_token,grant_token,expiry_time\n"
    "ana@example.com,client,refresh,access,,1795461989774\n"
)


def modes(path):
    return {file.name: file.stat().st_mode & 0o777 for file in path.parent.glob(f"{path.name}*")}


# Who may read it


@pytest.mark.parametrize("mask", [0, 0o022, 0o277])
def test_new_files_are_private(kind, path, mask):
    """Nobody but the owner may read what a store makes, whatever the umask."""
    before = os.umask(mask)
    try:
        backend = kind(path)
        backend.write(ONE, replaces=None)
        found = modes(path)
        backend.close()
    finally:
        os.umask(before)

    assert len(found) >= 2
    assert set(found.values()) == {0o600}


def test_wide_file_is_tightened(kind, path, caplog):
    """A store that others may read is closed to them when it is opened, with a warning."""
    kind(path).close()
    path.chmod(0o664)

    with caplog.at_level(logging.WARNING):
        backend = kind(path)

    assert modes(path)["tokens"] == 0o600
    assert str(path) in caplog.text
    backend.close()


def refusal(kind, path, as_nobody):
    """Return what a user without special rights is told who opens a store."""

    def work(say):
        with pytest.raises(StoreUnavailable) as caught:
            kind(path)
        say(caught.value)

    return as_nobody(work)[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_wide_file_of_another_is_refused(kind, shared_folder, as_nobody):
    """A store that others may read and that this user can't close is not used."""
    path = shared_folder / "tokens"
    kind(path).close()
    path.chmod(0o666)

    assert f"chmod 600 {path}" in refusal(kind, path, as_nobody)


@pytest.mark.parametrize("closed", ["file", "folder"])
def test_missing_right(kind, shared_folder, as_nobody, closed):
    """A store that this user may not read, or can't make there, is an error that says so."""
    path = shared_folder / "tokens"
    if closed == "folder":
        shared_folder.chmod(0o555)
    else:
        kind(path).close()
        path.chmod(0o600 if os.geteuid() == 0 else 0)

    assert "Give this user the right" in refusal(kind, path, as_nobody)


# What is not ours, or not usable


def make_sample_of_zoho(path):
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE oauthtoken (id varchar(10), access_token varchar(100))")
        db.execute("INSERT INTO oauthtoken VALUES ('1', 'access')")
    db.close()


def make_other_database(path):
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA application_id = 1")
    db.close()


FOREIGN = {
    "oauthtoken": make_sample_of_zoho,
    "other-application": make_other_database,
    "csv": lambda path: path.write_text(CSV),
    "old-csv": lambda path: path.write_text(OLD_CSV),
    "short": lambda path: path.write_text("x"),
    "json": lambda path: path.write_text(json.dumps({"access_token": "access"})),
    "json-list": lambda path: path.write_text("[]"),
    "nul": lambda path: path.write_text("\0" * 5000),
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


def test_stores_of_the_other_kind_are_foreign(tmp_path):
    """The two kinds of store refuse each other's files."""
    SQLiteBackend(tmp_path / "a").close()
    FileBackend(tmp_path / "b").close()

    with pytest.raises(StoreForeign):
        FileBackend(tmp_path / "a")
    with pytest.raises(StoreForeign):
        SQLiteBackend(tmp_path / "b")


@pytest.mark.parametrize(
    ("version", "error", "said"),
    [(3, StoreTooNew, "Upgrade"), (1, StoreForeign, "no released tokenkeep")],
    ids=["newer", "never released"],
)
def test_another_format(kind, path, version, error, said):
    """A store of another tokenkeep is refused, says why, and is left as it is."""
    kind(path).close()
    if kind is SQLiteBackend:
        db = sqlite3.connect(path)
        db.execute(f"PRAGMA user_version = {version}")
        db.close()
    else:
        path.write_text(f'{{"tokenkeep": {version}, "records": []}}')
    before = path.read_bytes()

    with pytest.raises(error, match=said):
        kind(path)

    assert path.read_bytes() == before


def test_empty_file_becomes_a_store(kind, path):
    """A file somebody touched into being is as good as none."""
    path.touch()

    backend = kind(path)

    backend.write(ONE, replaces=None)
    backend.close()
    assert kind(path).read(ONE.id) == ONE


@pytest.mark.parametrize("share", [0.03, 0.3, 0.6, 0.9])
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
    """A folder is refused in words; a pipe too, instead of being waited for."""
    make(path)

    with pytest.raises(StoreUnavailable, match=r"not a file|folder"):
        kind(path)

    assert [path] == list(path.parent.iterdir())


def test_missing_folder(kind, path):
    """A folder that is not there is named as the reason, and not made."""
    with pytest.raises(StoreUnavailable, match="folder does not exist"):
        kind(path / "tokens")

    assert not path.exists()


def test_folder_turned_read_only(kind, shared_folder, as_nobody):
    """A save that can't be made is an error, and what was stored stays."""
    path = shared_folder / "tokens"

    def work(_):
        backend = kind(path)
        backend.write(ONE, replaces=None)
        backend.close()
        shared_folder.chmod(0o555)
        path.chmod(0o400)
        with pytest.raises(StoreUnavailable):
            kind(path).write(again(ONE), replaces=ONE.version)
        path.chmod(0o600)
        shared_folder.chmod(0o755)
        assert kind(path).read(ONE.id) == ONE

    as_nobody(work)


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf")])
def test_busy_timeout_is_checked(kind, path, timeout):
    """A wait that makes no sense is refused before anything is made."""
    with pytest.raises(ConfigurationError, match="busy_timeout"):
        kind(path, busy_timeout=timeout)

    assert not path.exists()


# A full disk


def fill(backend):
    """Write until it fails; return how many were acknowledged, and the error."""
    with pytest.raises(StoreUnavailable) as caught:  # noqa: PT012 - nobody knows when
        for n in range(10000):
            backend.write(record(str(n), sealed=os.urandom(3000)), replaces=None)
    return n, str(caught.value)


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
        done, _ = fill(backend)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        backend.write(record("after"), replaces=None)
        say(done)

    done = int(fork(work).end()[0])

    assert done >= 5
    assert ids(kind(path)) == ids_of(*range(done), "after")


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_full_disk(kind, small_disk):
    """On a full disk saves fail and say so, all acknowledged ones stay, deleting helps."""
    backend = kind(small_disk / "tokens")

    done, error = fill(backend)

    assert "full" in error
    assert ids(backend) == ids_of(*range(done))
    backend.close()
    assert ids(backend) == ids_of(*range(done))
    backend.close()


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


def test_busy_for_too_long(kind, path, busy):
    """What never ends is waited for as long as was said, then named."""
    backend = kind(path, busy_timeout=0.05)
    end = busy(kind)

    with pytest.raises(StoreUnavailable, match=r"busy for 0\.05 sec"):
        backend.write(ONE, replaces=None)

    assert backend.read(ONE.id) is None
    end()
    backend.write(ONE, replaces=None)
    backend.close()


def test_touch_never_waits(backend, kind, busy):
    """When a token was last used is not worth a wait: a busy store is an error at once."""
    end = busy(kind)
    start = time.monotonic()

    with pytest.raises(StoreUnavailable, match="is busy"):
        backend.touch(ONE.id, 5.0)

    assert time.monotonic() - start < LONG / 2
    end()
    backend.touch(ONE.id, 5.0)
    assert backend.read(ONE.id) == record(last_used_at=5.0)


# Files that move


def test_file_deleted_in_use(kind, path):
    """A store whose file is deleted under it says so and does not begin a new one."""
    backend = kind(path)
    backend.write(ONE, replaces=None)
    path.unlink()

    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"deleted|gone"):
            backend.write(again(ONE), replaces=ONE.version)

    assert not path.exists()
    backend.close()


def test_folder_deleted_in_use(kind, tmp_path):
    """A store whose folder is deleted under it says so and does not make another."""
    folder = tmp_path / "folder"
    folder.mkdir()
    backend = kind(folder / "tokens")
    shutil.rmtree(folder)

    with pytest.raises(StoreUnavailable):
        backend.write(ONE, replaces=None)

    assert not folder.exists()
    backend.close()


@pytest.mark.parametrize(
    "name", ["a b", "a?b", "a#b", "a%20b", "\u00fcml\u00e4ut", "\U0001f511", "a'b\"c", "a&b=c;d"]
)
def test_odd_names(kind, tmp_path, name):
    """A file is made under the very name that was given."""
    backend = kind(tmp_path / name)

    backend.write(ONE, replaces=None)

    assert (tmp_path / name).exists()
    assert backend.home == tmp_path / name
    assert name in backend.describe()
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
