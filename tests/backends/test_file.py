"""The file backend: the contract, and what is special about it."""

from __future__ import annotations

import json
import os
from functools import partial

import pytest
from filelock import FileLock

from tokenkeep.backends import Record
from tokenkeep.backends.file import FileBackend
from tokenkeep.errors import StoreTampered, StoreUnavailable
from tokenkeep.testing import RevisionContract, SharedBackendContract


class TestContract(SharedBackendContract, RevisionContract):
    @pytest.fixture
    def open_backend(self, tmp_path):
        return partial(FileBackend, tmp_path / "tokens.json")


def record(name="id", **changes):
    values = {"version": "1", "identity": f"of {name}", "key_id": "key", "sealed": b"sealed"}
    return Record(id=name, **{**values, **changes})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.json"


def test_what_people_see(path):
    """The file is JSON, a record a line, without what is None."""
    FileBackend(path).write(record(user="ana"), replaces=None)

    assert json.loads(path.read_text()) == {
        "tokenkeep": 1,
        "records": [
            {
                "id": "id",
                "version": "1",
                "identity": "of id",
                "key_id": "key",
                "sealed": "c2VhbGVk",
                "user": "ana",
            }
        ],
    }
    assert len(path.read_text().splitlines()) == 3


def test_formatted_by_hand_is_still_ours(path):
    """A file that an editor laid out anew is read as before."""
    FileBackend(path).write(record(), replaces=None)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4, sort_keys=True))

    assert FileBackend(path).read("id") == record()


def test_never_changed_in_place(path):
    """Who has the old file open goes on reading the old file, whole."""
    backend = FileBackend(path)
    backend.write(record(), replaces=None)
    with path.open() as file:
        backend.write(record(version="2", sealed=b"x" * 5000), replaces="1")

        assert json.load(file)["records"][0]["version"] == "1"


def test_left_by_a_killed_writer(path):
    """What a killed writer left beside the file does no harm and is gone after a save."""
    backend = FileBackend(path)
    aside = path.with_name("tokens.json.tmp")
    aside.write_text('{"tokenkeep": 1, "reco')
    aside.chmod(0o644)

    backend.write(record(), replaces=None)

    assert not aside.exists()
    assert FileBackend(path).read("id") == record()
    assert path.stat().st_mode & 0o777 == 0o600


def test_something_in_the_way(path):
    """A folder where the new file would be written is an error; the old one stays."""
    backend = FileBackend(path)
    path.with_name("tokens.json.tmp").mkdir()

    with pytest.raises(StoreUnavailable):
        backend.write(record(), replaces=None)

    assert backend.scan(None, 10) == []


def test_lock_file_stays(path):
    """The lock file is never deleted: that would let two processes in at once."""
    FileBackend(path).write(record(), replaces=None)

    assert path.with_name("tokens.json.lock").exists()


def test_busy(path):
    """A lock that is never given back is waited for as long as was said, then named."""
    backend = FileBackend(path, busy_timeout=0.05)

    with FileLock(f"{path}.lock"), pytest.raises(StoreUnavailable, match=r"busy for 0\.05 sec"):
        backend.write(record(), replaces=None)

    backend.write(record(), replaces=None)
    assert backend.read("id") == record()


def test_readers_need_no_lock(path):
    """Somebody who is writing holds no reader up."""
    backend = FileBackend(path, busy_timeout=0)
    backend.write(record(), replaces=None)

    with FileLock(f"{path}.lock"):
        assert FileBackend(path, busy_timeout=0).read("id") == record()


DAMAGED = {
    "version": '{"tokenkeep": "one", "records": []}',
    "no-records": '{"tokenkeep": 1}',
    "records-no-list": '{"tokenkeep": 1, "records": 5}',
    "text-for-record": '{"tokenkeep": 1, "records": ["id"]}',
    "field-missing": '{"tokenkeep": 1, "records": [{"id": "1"}]}',
    "garbled": '{"tokenkeep": 1, "records": [}',
    "not-utf-8": b'{"tokenkeep": 1, "records": ["\xff"]}',
}
GOOD = {"id": "1", "version": "1", "identity": "i", "key_id": "k", "sealed": "eA=="}
for name, records in {
    "field-unknown": [{**GOOD, "secret": "x"}],
    "wrong-type": [{**GOOD, "user": 5}],
    "time-as-text": [{**GOOD, "expires_at": "5"}],
    "not-base64": [{**GOOD, "sealed": "*"}],
    "same-id": [GOOD, {**GOOD, "identity": "j"}],
    "same-identity": [GOOD, {**GOOD, "id": "2"}],
}.items():
    DAMAGED[name] = json.dumps({"tokenkeep": 1, "records": records})


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
    backend.write(record(), replaces=None)
    os.truncate(path, 0)

    with pytest.raises(StoreTampered):
        backend.read("id")
    with pytest.raises(StoreTampered):
        backend.write(record("other"), replaces=None)


def test_put_back_from_a_backup(path):
    """A file replaced by its backup is what counts from then on."""
    backend = FileBackend(path)
    backend.write(record(), replaces=None)
    backup = path.read_bytes()
    backend.write(record(version="2"), replaces="1")
    path.with_suffix(".new").write_bytes(backup)
    path.with_suffix(".new").replace(path)

    assert backend.read("id") == record()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owner_stays(path):
    """A save by root leaves the file to its owner."""
    backend = FileBackend(path)
    os.chown(path, 65534, 65534)

    backend.write(record(), replaces=None)

    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)
