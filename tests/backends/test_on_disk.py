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
from dataclasses import replace
from pathlib import Path

import filelock  # noqa: F401 - children that gave up their rights could not load it
import pytest

from tokenkeep.backends import Record
from tokenkeep.backends.file import FileBackend
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.errors import (
    ConfigurationError,
    StoreError,
    StoreForeign,
    StoreTooNew,
    StoreUnavailable,
)

CSV = (
    "id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,"
    "expiry_time,redirect_uri,api_domain\n"
    "1,ana@example.com,client,secret,refresh,access,,1795461989774,,\n"
)
OLD_CSV = (
    "user_mail,client_id,refresh_token,access_token,grant_token,expiry_time\n"
    "ana@example.com,client,refresh,access,,1795461989774\n"
)


def record(name="id", **changes):
    values = {"version": "1", "identity": f"of {name}", "key_id": "key", "sealed": b"sealed"}
    return Record(id=name, **{**values, **changes})


@pytest.fixture(params=[SQLiteBackend, FileBackend])
def kind(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens"


def modes(path):
    return {file.name: file.stat().st_mode & 0o777 for file in path.parent.glob(f"{path.name}*")}


# Who may read it


@pytest.mark.parametrize("mask", [0, 0o022, 0o277])
def test_new_files_are_private(kind, path, mask):
    """Nobody but the owner may read what a store makes, whatever the umask."""
    before = os.umask(mask)
    try:
        backend = kind(path)
        backend.write(record(), replaces=None)
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_wide_file_of_another_is_refused(kind, shared_folder, as_nobody):
    """A store that others may read and that this user can't close is not used."""
    path = shared_folder / "tokens"
    kind(path).close()
    path.chmod(0o666)

    def work(say):
        with pytest.raises(StoreUnavailable) as caught:
            kind(path)
        say(caught.value)

    assert f"chmod 600 {path}" in as_nobody(work)[0]


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


def test_newer_format(kind, path):
    """A store of a newer tokenkeep is refused with the advice to upgrade."""
    kind(path).close()
    if kind is SQLiteBackend:
        db = sqlite3.connect(path)
        db.execute("PRAGMA user_version = 2")
        db.close()
    else:
        path.write_text('{"tokenkeep": 2, "anything": []}')
    before = path.read_bytes()

    with pytest.raises(StoreTooNew, match="Upgrade"):
        kind(path)

    assert path.read_bytes() == before


def test_empty_file_becomes_a_store(kind, path):
    """A file somebody touched into being is as good as none."""
    path.touch()

    backend = kind(path)

    backend.write(record(), replaces=None)
    backend.close()
    assert kind(path).read("id") == record()


@pytest.mark.parametrize("share", [0.03, 0.3, 0.6, 0.9])
def test_cut_off_file(kind, path, share):
    """A file that was cut off is a named error, never a store with fewer tokens."""
    backend = kind(path)
    for n in range(50):
        backend.write(record(f"{n:02}", sealed=bytes(2000)), replaces=None)
    backend.close()
    os.truncate(path, int(path.stat().st_size * share))
    backend = None

    with pytest.raises(StoreError) as caught:  # noqa: PT012 - either may notice
        backend = kind(path)
        backend.scan(None, 100)

    assert str(path) in str(caught.value)
    if backend:
        backend.close()


def test_folder_where_a_file_should_be(kind, path):
    """A folder is refused in words."""
    path.mkdir()

    with pytest.raises(StoreUnavailable, match=r"not a file|folder"):
        kind(path)

    assert list(path.iterdir()) == []


def test_pipe_where_a_file_should_be(kind, path):
    """A pipe is refused instead of waited for."""
    os.mkfifo(path)

    with pytest.raises(StoreUnavailable, match="not a file"):
        kind(path)


def test_missing_folder(kind, path):
    """A folder that is not there is named as the reason, and not made."""
    with pytest.raises(StoreUnavailable, match="folder does not exist"):
        kind(path / "tokens")

    assert not path.exists()


def test_unreadable_file(kind, shared_folder, as_nobody):
    """A store that this user may not read is an error that says so."""
    path = shared_folder / "tokens"
    kind(path).close()
    path.chmod(0o600 if os.geteuid() == 0 else 0)

    def work(say):
        with pytest.raises(StoreUnavailable) as caught:
            kind(path)
        say(caught.value)

    assert "Give this user the right" in as_nobody(work)[0]


def test_read_only_folder(kind, shared_folder, as_nobody):
    """A store can't be made in a folder that can't be written, and says so."""
    path = shared_folder / "tokens"
    shared_folder.chmod(0o555)

    def work(say):
        with pytest.raises(StoreUnavailable) as caught:
            kind(path)
        say(caught.value)

    assert "Give this user the right" in as_nobody(work)[0]


def test_folder_turned_read_only(kind, shared_folder, as_nobody):
    """A save that can't be made is an error, and what was stored stays."""
    path = shared_folder / "tokens"

    def work(_):
        backend = kind(path)
        backend.write(record(), replaces=None)
        backend.close()
        shared_folder.chmod(0o555)
        path.chmod(0o400)
        with pytest.raises(StoreUnavailable):
            kind(path).write(record(version="2"), replaces="1")
        path.chmod(0o600)
        shared_folder.chmod(0o755)
        assert kind(path).read("id") == record()

    as_nobody(work)


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf")])
def test_busy_timeout_is_checked(kind, path, timeout):
    """A wait that makes no sense is refused before anything is made."""
    with pytest.raises(ConfigurationError, match="busy_timeout"):
        kind(path, busy_timeout=timeout)

    assert not path.exists()


# A full disk


def fill(backend):
    """Write until it fails; return the names that were acknowledged."""
    done = []
    with pytest.raises(StoreUnavailable) as caught:  # noqa: PT012 - nobody knows when
        for n in range(10000):
            backend.write(record(f"{n:05}", sealed=os.urandom(3000)), replaces=None)
            done.append(f"{n:05}")
    return done, str(caught.value)


def test_file_may_not_grow(kind, path, fork):
    """When no more can be written, saves fail by name, and all acknowledged ones stay."""

    def work(say):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
        backend = kind(path)
        done, _ = fill(backend)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        backend.write(record("after"), replaces=None)
        say(" ".join(done))

    done = fork(work).end()[0].split()

    assert len(done) >= 5
    assert [each.id for each in kind(path).scan(None, 10000)] == [*done, "after"]


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
    assert [each.id for each in backend.scan(None, 10000)] == done
    backend.close()
    assert [each.id for each in backend.scan(None, 10000)] == done
    backend.close()


# Crashes and crowds


def test_killed_while_saving(kind, path, fork):
    """However often a saving process is killed, no acknowledged save is lost."""
    backend = kind(path)
    backend.write(record("counter", version="v0"), replaces=None)
    acknowledged = 0
    for turn in range(20):

        def work(say, start=acknowledged):
            mine = kind(path)
            n = int(mine.read("counter").version[1:])
            assert n >= start
            while True:
                n += 1
                new = record("counter", version=f"v{n}", sealed=os.urandom(5000))
                mine.write(new, replaces=f"v{n - 1}")
                say(n)

        child = fork(work)
        for _ in range(1 + turn % 4):
            acknowledged = int(child.readline())
        said = child.kill()
        acknowledged = int(said[-1]) if said else acknowledged

        stored = int(backend.read("counter").version[1:])
        assert stored in (acknowledged, acknowledged + 1)
        acknowledged = stored
    backend.touch("counter", 1.0)
    assert not Path(f"{path}.tmp").exists()
    backend.close()


def test_twenty_processes_begin_at_once(kind, path, fork):
    """However many processes open a new path at once, they get one store together."""
    gate, opener = os.pipe()

    def work(_, n):
        os.close(opener)
        os.read(gate, 1)  # returns when the parent closes the other end
        kind(path, busy_timeout=30).write(record(f"{n:02}"), replaces=None)

    children = [fork(lambda say, n=n: work(say, n)) for n in range(20)]
    os.close(gate)
    os.close(opener)
    for child in children:
        child.end()

    assert [each.id for each in kind(path).scan(None, 100)] == [f"{n:02}" for n in range(20)]


def test_forks_beside_busy_threads(kind, path, fork):
    """Children forked while threads save neither hang nor lose anybody's save."""
    from concurrent.futures import ThreadPoolExecutor

    backend = kind(path, busy_timeout=30)

    def save(n):
        backend.write(record(f"thread {n:03}"), replaces=None)
        return backend.revision()

    def work(_, n):
        assert backend.read(f"child {n}") is None
        backend.write(record(f"child {n}"), replaces=None)
        backend.revision()

    with ThreadPoolExecutor(4) as pool:
        saves = [pool.submit(save, n) for n in range(100)]
        for n in range(5):
            fork(lambda say, n=n: work(say, n)).end()
        for each in saves:
            each.result()

    names = [f"child {n}" for n in range(5)] + [f"thread {n:03}" for n in range(100)]
    assert [each.id for each in backend.scan(None, 200)] == names
    backend.close()


# Files that move


def test_file_deleted_in_use(kind, path):
    """A store whose file is deleted under it says so and does not begin a new one."""
    backend = kind(path)
    backend.write(record(), replaces=None)
    path.unlink()

    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"deleted|gone"):
            backend.write(record(version="2"), replaces="1")

    assert not path.exists()
    backend.close()


def test_folder_deleted_in_use(kind, tmp_path):
    """A store whose folder is deleted under it says so and does not make another."""
    folder = tmp_path / "folder"
    folder.mkdir()
    backend = kind(folder / "tokens")
    shutil.rmtree(folder)

    with pytest.raises(StoreUnavailable):
        backend.write(record(), replaces=None)

    assert not folder.exists()
    backend.close()


@pytest.mark.parametrize(
    "name", ["a b", "a?b", "a#b", "a%20b", "\u00fcml\u00e4ut", "\U0001f511", "a'b\"c", "a&b=c;d"]
)
def test_odd_names(kind, tmp_path, name):
    """A file is made under the very name that was given."""
    backend = kind(tmp_path / name)

    backend.write(record(), replaces=None)

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

    backend.write(record(), replaces=None)

    assert list((tmp_path / "elsewhere").iterdir()) == []
    backend.close()


def test_symbolic_link_is_followed(kind, tmp_path):
    """A store behind a link is written where the link leads; the link stays."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real" / "tokens")

    backend = kind(link)
    backend.write(record(), replaces=None)
    backend.write(replace(record(), version="2"), replaces="1")
    backend.close()

    assert link.is_symlink()
    assert kind(tmp_path / "real" / "tokens").read("id") == record(version="2")
    assert backend.home == tmp_path / "real" / "tokens"
