"""What is special about the file backend."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from tokenkeep.backends.file import FileBackend
from tokenkeep.errors import StoreTampered, StoreUnavailable
from tokenkeep.testing.records import again, digits, record

ONE = record()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.json"


def test_what_people_see(path):
    """The file is JSON, a record a line, without what is None; an editor may lay it out anew."""
    FileBackend(path).write(record(user=digits("ana"), due_at=5.5), replaces=None)

    assert json.loads(path.read_text()) == {
        "tokenkeep": 2,
        "records": [
            {
                "id": ONE.id,
                "version": ONE.version,
                "owner": ONE.owner,
                "kind": "row",
                "key": 1,
                "sealed": "c2VhbGVk",
                "user": digits("ana"),
                "due_at": 5.5,
            }
        ],
    }
    assert len(path.read_text().splitlines()) == 3
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4, sort_keys=True))
    assert FileBackend(path).read(ONE.id) == record(user=digits("ana"), due_at=5.5)


def test_never_changed_in_place(path):
    """Who has the old file open goes on reading the old file, whole."""
    backend = FileBackend(path)
    backend.write(ONE, replaces=None)
    with path.open() as file:
        backend.write(again(ONE, sealed=b"x" * 5000), replaces=ONE.version)

        assert json.load(file)["records"][0]["version"] == ONE.version


def test_left_by_a_killed_writer(path):
    """What a killed writer left is gone after a save; a folder in its place is an error."""
    backend = FileBackend(path)
    aside = path.with_name("tokens.json.tmp")
    aside.write_text('{"tokenkeep": 2, "reco')
    aside.chmod(0o644)

    backend.write(ONE, replaces=None)

    assert not aside.exists()
    assert FileBackend(path).read(ONE.id) == ONE
    assert path.stat().st_mode & 0o777 == 0o600
    aside.mkdir()
    with pytest.raises(StoreUnavailable):
        backend.write(again(ONE), replaces=ONE.version)
    assert backend.scan(None, 10) == [ONE]


GOOD = {"id": "1", "version": "1", "owner": "o", "kind": "row", "key": 1, "sealed": "eA=="}
DAMAGED = {
    "no records": "2}",
    "no list": '2, "records": 5}',
    "text": '2, "records": ["id"]}',
    "garbled": '2, "records": [}',
    "not UTF-8": '2, "records": ["\udcff"]}',
    **{
        f"{name} {value}": json.dumps({"records": [{**GOOD, name: value}]}).replace("{", "2, ", 1)
        for name, value in {"secret": "x", "user": 5, "due_at": "5", "sealed": "*"}.items()
    },
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged(path, content):
    """A file that is not as we write it is refused whole and left as it is."""
    written = f'{{"tokenkeep": {content}'.encode(errors="surrogateescape")
    path.write_bytes(written)

    with pytest.raises(StoreTampered, match="backup"):
        FileBackend(path)

    assert path.read_bytes() == written


def test_emptied_in_use(path):
    """A file that somebody emptied is damaged, not a store without tokens."""
    backend = FileBackend(path)
    backend.write(ONE, replaces=None)
    os.truncate(path, 0)

    with pytest.raises(StoreTampered):
        backend.read(ONE.id)
    with pytest.raises(StoreTampered):
        backend.write(record("other"), replaces=None)


def test_replaced(path, made):
    """A file that is put back from a backup counts from then on."""
    backend, backup = made(FileBackend, path), path.with_suffix(".new")
    FileBackend(backup).write(ONE, replaces=None)

    backup.replace(path)
    backend.write(record("mine"), replaces=None)

    assert {each.owner for each in backend.scan(None, 9)} == {ONE.owner, record("mine").owner}


def test_lock_of_a_file_that_is_gone(path, made, monkeypatch):
    """Who gets the lock of what another save has just replaced writes nothing, and begins anew."""
    backend, flock, sync, synced = made(FileBackend, path), fcntl.flock, os.fsync, []

    def late(file, how):
        monkeypatch.setattr(fcntl, "flock", flock)
        FileBackend(path).write(ONE, replaces=None)
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(handle) or sync(handle))
    backend.write(record("mine"), replaces=None)

    assert len(synced) == 4  # for each save the file and its folder
    assert {each.owner for each in backend.scan(None, 9)} == {ONE.owner, record("mine").owner}


def test_a_link_beside_it(path, made, monkeypatch):
    """Another user who puts a link in the place of the new file neither gets nor changes ours."""
    backend, mine = made(FileBackend, path), path.with_name("mine")
    mine.write_text("my own")
    aside, real_unlink = path.with_name("tokens.json.tmp"), Path.unlink

    def linked(*args, **given):
        real_unlink(*args, **given)
        aside.symlink_to(mine)

    monkeypatch.setattr(Path, "unlink", linked)
    with pytest.raises(StoreUnavailable):
        backend.write(ONE, replaces=None)

    assert (mine.read_text(), path.is_symlink()) == ("my own", False)
    monkeypatch.undo()
    backend.write(ONE, replaces=None)
    assert FileBackend(path).read(ONE.id) == ONE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owner_stays(path, made):
    """A save by root leaves the file to its owner."""
    backend = made(FileBackend, path)
    os.chown(path, 65534, 65534)

    backend.write(ONE, replaces=None)

    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)
