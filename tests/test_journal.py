"""Journals: an answer that must not be lost before it is saved."""

from __future__ import annotations

import os
import stat

import pytest

from tokenkeep import KeyMissing, KeyRing, StoreTampered, StoreUnavailable
from tokenkeep.folder_journal import FolderJournal
from tokenkeep.journal import Entry, MemoryJournal

SECRETS = {
    "base_access": "1000.base-access",
    "base_refresh": "1000.base-refresh",
    "access_token": "1000.new-access",
    "refresh_token": "1000.new-refresh",
    "client_secret": "the client's secret",
}
ID = "0123abcd"


def entry(token_id=ID, **changes):
    made = {
        "token_id": token_id,
        "user": "ana@example.com:1",
        "provider": "zoho",
        "issuer": "https://accounts.zoho.com/oauth/v2/token",
        "client_id": "client",
        "expires_at": 1_800_003_600.0,
        "lifetime": 3600.0,
        "holder": "somebody",
        "answered_at": 1_800_000_000.0,
        **SECRETS,
    }
    return Entry(**{**made, **changes})


@pytest.fixture
def ring():
    return KeyRing([b"k" * 32])


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state" / "tokens.db.journal"


@pytest.fixture(params=["folder", "memory"])
def journal(request, folder, ring):
    return FolderJournal(folder, ring) if request.param == "folder" else MemoryJournal()


def test_put_and_find(journal):
    """What was put is found by the token and the pair it replaces, all of it."""
    kept = journal.put(entry())

    assert journal.find(ID, kept.base) == kept
    assert kept.pair == (SECRETS["access_token"], SECRETS["refresh_token"])


def test_find_another(journal):
    """Another base is another question; the row of the same pair may have moved."""
    journal.put(entry())

    assert journal.find(ID, ("x", SECRETS["base_refresh"])) is None
    assert journal.find("4567", entry().base) is not None


def test_several(journal):
    """Answers for one token don't push each other out."""
    first, second = journal.put(entry()), journal.put(entry(base_access="another"))
    journal.put(entry("4567"))

    assert {e.name for e in journal.entries(ID)} == {first.name, second.name}
    assert len(list(journal.entries())) == 3


def test_remove(journal):
    """A removed answer is gone; removing it again is silent."""
    kept = journal.put(entry())
    journal.remove(kept)
    journal.remove(kept)

    assert list(journal.entries()) == []


def test_empty(journal):
    """A journal nobody wrote to is empty, not an error."""
    assert list(journal.entries()) == []


def test_entry_without_optional_values(journal):
    """None stays None: a base without an access token, a public client."""
    kept = journal.put(entry(base_access=None, client_secret=None, expires_at=None, lifetime=None))

    assert journal.find(ID, (None, SECRETS["base_refresh"])) == kept


def test_repr_has_no_secret():
    """Invariant 9: an entry in a traceback or a log shows no token."""
    assert not any(secret in repr(entry()) for secret in SECRETS.values())


def test_shared_by_processes(folder, ring):
    """Every process of the host sees what another one kept, its writer dead or alive."""
    kept = FolderJournal(folder, ring).put(entry())

    assert FolderJournal(folder, ring).find(ID, kept.base) == kept


def test_removed_while_it_is_read(folder, ring, monkeypatch):
    """An entry that another process removes just now is passed over."""
    journal = FolderJournal(folder, ring)
    gone, stays = journal.put(entry("aa")), journal.put(entry("bb"))
    entries = journal.entries
    (folder / gone.name).unlink()
    monkeypatch.setattr(type(folder), "glob", lambda *_: [folder / gone.name, folder / stays.name])

    assert [e.name for e in entries()] == [stays.name]


def test_private(folder, ring):
    """Nobody but the owner reads the folder or an answer."""
    kept = FolderJournal(folder, ring).put(entry())

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / kept.name).stat().st_mode) == 0o600


def test_sealed(folder, ring):
    """Invariant 10: no secret is on disk, neither inside a file nor in its name."""
    FolderJournal(folder, ring).put(entry())

    on_disk = b"".join(p.name.encode() + p.read_bytes() for p in folder.iterdir())
    assert not any(secret.encode() in on_disk for secret in SECRETS.values())


def test_synced_before_put_returns(folder, ring, monkeypatch):
    """Invariant 1: the file before it gets its name, the folder after it."""
    steps = []
    fsync, replace = os.fsync, type(folder).replace

    def noted_fsync(handle):
        kind = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"
        steps.append(f"fsync {kind}")
        fsync(handle)

    def noted_replace(path, target):
        steps.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(type(folder), "replace", noted_replace)

    FolderJournal(folder, ring).put(entry())

    assert steps == ["fsync file", "rename", "fsync folder"]


def test_half_written(folder, ring, monkeypatch):
    """Who dies while writing leaves nothing that counts as an answer."""
    journal = FolderJournal(folder, ring)

    def die(_handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", die)
    with pytest.raises(KeyboardInterrupt):
        journal.put(entry())

    assert list(journal.entries()) == []


def test_older_key(folder, ring):
    """After a key rotation the answers of before are still opened."""
    kept = FolderJournal(folder, ring).put(entry())
    rotated = KeyRing([b"n" * 32, b"k" * 32])

    assert FolderJournal(folder, rotated).find(ID, kept.base) == kept


def test_missing_key(folder, ring):
    """Invariant 10: without its key an answer is an error that says so, not passed over."""
    FolderJournal(folder, ring).put(entry())

    with pytest.raises(KeyMissing):
        list(FolderJournal(folder, KeyRing([b"n" * 32])).entries())


@pytest.mark.parametrize("change", ["flip", "cut", "empty", "plain", "swap"])
def test_changed(folder, ring, change):
    """Invariant 10: an answer that was changed, or renamed to be another's, does not open."""
    journal = FolderJournal(folder, ring)
    path = folder / journal.put(entry()).name
    sealed = path.read_bytes()
    if change == "flip":
        path.write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    elif change == "cut":
        path.write_bytes(sealed[: len(sealed) // 2])
    elif change == "empty":
        path.write_bytes(b"")
    elif change == "plain":
        path.write_bytes(b'{"access_token": "mine"}')
    else:
        path.rename(folder / f"4567{path.name[4:]}")

    with pytest.raises((StoreTampered, KeyMissing)):
        list(journal.entries())


def test_folder_can_t_be_made(tmp_path, ring):
    """A place that can't be written is a named error with the path."""
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "journal"

    with pytest.raises(StoreUnavailable, match="journal"):
        FolderJournal(folder, ring).put(entry())


def test_entry_that_can_t_be_read(folder, ring):
    """An answer that is there and can't be read is an error, not passed over."""
    journal = FolderJournal(folder, ring)
    path = folder / journal.put(entry()).name
    path.unlink()
    path.mkdir()

    with pytest.raises(StoreUnavailable, match="read"):
        list(journal.entries())


def test_entry_that_can_t_be_removed(folder, ring):
    """An answer that can't be removed is a named error; it may be replayed without harm."""
    journal = FolderJournal(folder, ring)
    kept = journal.put(entry())
    (folder / kept.name).unlink()
    (folder / kept.name).mkdir()

    with pytest.raises(StoreUnavailable, match="can't be written"):
        journal.remove(kept)


def test_another_tokens_bad_entry(folder, ring):
    """An entry that does not open is an error for its own token, and holds no other one up."""
    journal = FolderJournal(folder, ring)
    kept = journal.put(entry())
    (folder / kept.name).write_bytes(b"not sealed")

    assert journal.find("4567", ("x", "y")) is None
    with pytest.raises(StoreTampered):
        journal.find(ID, kept.base)
