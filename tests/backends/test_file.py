"""What is special about the file backend."""

from __future__ import annotations

import json
import os

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


DAMAGED = {
    "no-records": '{"tokenkeep": 2}',
    "records-no-list": '{"tokenkeep": 2, "records": 5}',
    "text-for-record": '{"tokenkeep": 2, "records": ["id"]}',
    "field-missing": '{"tokenkeep": 2, "records": [{"id": "1"}]}',
    "garbled": '{"tokenkeep": 2, "records": [}',
    "not-utf-8": b'{"tokenkeep": 2, "records": ["\xff"]}',
}
GOOD = {"id": "1", "version": "1", "owner": "o", "kind": "row", "key": 1, "sealed": "eA=="}
for name, records in {
    "field-unknown": [{**GOOD, "secret": "x"}],
    "wrong-type": [{**GOOD, "user": 5}],
    "time-as-text": [{**GOOD, "due_at": "5"}],
    "key-as-text": [{**GOOD, "key": "1"}],
    "not-base64": [{**GOOD, "sealed": "*"}],
}.items():
    DAMAGED[name] = json.dumps({"tokenkeep": 2, "records": records})


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged(path, content):
    """A file that is not as we write it is refused whole and left as it is."""
    content = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(content)

    with pytest.raises(StoreTampered, match="backup"):
        FileBackend(path)

    assert path.read_bytes() == content


def test_emptied_in_use(path):
    """A file that somebody emptied is damaged, not a store without tokens."""
    backend = FileBackend(path)
    backend.write(ONE, replaces=None)
    os.truncate(path, 0)

    with pytest.raises(StoreTampered):
        backend.read(ONE.id)
    with pytest.raises(StoreTampered):
        backend.write(record("other"), replaces=None)


def test_put_back_from_a_backup(path):
    """A file replaced by its backup is what counts from then on."""
    backend = FileBackend(path)
    backend.write(ONE, replaces=None)
    backup = path.read_bytes()
    backend.write(again(ONE), replaces=ONE.version)
    path.with_suffix(".new").write_bytes(backup)
    path.with_suffix(".new").replace(path)

    assert backend.read(ONE.id) == ONE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owner_stays(path, made):
    """A save by root leaves the file to its owner."""
    backend = made(FileBackend, path)
    os.chown(path, 65534, 65534)

    backend.write(ONE, replaces=None)

    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)
