"""Journals: an answer that must not be lost before it is saved."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

import pytest
from reported import reported

import tokenkeep
from tokenkeep import KeyRing, StoreTampered, StoreUnavailable, Token, Vault
from tokenkeep.backends import private_file
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.clock import Clock
from tokenkeep.header import Header
from tokenkeep.journal import Entry, FolderJournal, Journal, packed
from tokenkeep.providers.base import Reply
from tokenkeep.testing import FakeClock

SECRETS = {name: f"1000.the-{name}" for name in ("access_token", "refresh_token", "client_secret")}
ID = f"tk_{'0' * 32}"
BASE = ("1000.the-base-access", "1000.the-base-refresh")
RING = KeyRing([b"k" * 32])


def entry(base_access=BASE[0], base_refresh=BASE[1], token_id=ID, **given):
    asked = Token(
        id=token_id,
        user="ana@example.com:1",
        provider="zoho",
        issuer="https://accounts.zoho.com/oauth/v2/token",
        client_id="client",
        client_secret="1000.the-client-secret",
        data_center="us",
        environment="production",
        access_token=base_access,
        refresh_token=base_refresh,
    )
    answer = {
        "access_token": "1000.the-access-token",
        "refresh_token": "1000.the-refresh-token",
        "learnt": {"client_secret": ["s", "1000.the-new-secret"]},
        "expires_at": 1_800_003_600.0,
        "lifetime": 3600.0,
    }
    return Entry(
        asked=asked, holder="somebody", **{"answered_at": 1_800_000_000.0} | answer | given
    )


REPLY = Reply(status=200, body=b"\xff\0", content_type="x/y", fault="its gzip is cut off")


@pytest.fixture
def backend():
    """A store, whose keys the journal is sealed under."""
    return MemoryBackend()


@pytest.fixture
def open_journal(folder, backend):
    """Open the journal as another process of the host."""
    return lambda: FolderJournal(folder, Header(backend, RING, Clock().monotonic))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state" / "tokens.db.journal"


@pytest.fixture(params=["folder", "memory"])
def journal(request, open_journal):
    return open_journal() if request.param == "folder" else Journal()


def test_put_and_find(journal):
    """
    What was put is found by the refresh token it answers, the first one first.

    Answers push each other out neither for one token nor for one refresh token.
    """
    assert [] == journal.answers(BASE[1])
    given = (entry(answered_at=3.0), entry(base_access="x", answered_at=4.0),
             entry(base_refresh="x"), entry(unread=packed(REPLY), answered_at=2.0))  # fmt: skip
    kept = [journal.put(each) for each in given]

    assert {each.name for each in journal.entries()} == {each.name for each in kept}
    assert [kept[3], kept[0], kept[1]] == journal.answers(BASE[1])
    assert [kept[2]] == journal.answers("x")
    assert [] == journal.answers("another one") == journal.answers(None)
    assert (REPLY, None) == (journal.answers(BASE[1])[0].reply, kept[0].reply)
    for each in (*kept, kept[0]):  # once more is silent
        journal.remove(each)
    assert list(journal.entries()) == []


# Files


def test_removed_while_it_is_read(open_journal, folder):
    """An entry that another process removes just now is passed over."""
    journal = open_journal()
    kept = sorted(journal.put(entry(base_refresh=f"{n}")).name for n in range(3))
    entries = journal.entries()
    assert next(entries).name == kept[0]

    (folder / kept[1]).unlink()

    assert [kept[2]] == [each.name for each in entries]


def test_sealed(open_journal, folder):
    """Invariants 9 and 10: no secret is on disk, in a name or a repr; nobody else may read it."""
    kept = open_journal().put(entry())

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / kept.name).stat().st_mode) == 0o600
    on_disk = b"".join(p.name.encode() + p.read_bytes() for p in folder.iterdir())
    assert b"1000.the-" not in on_disk + repr(kept).encode()


def test_named_by_the_refresh_token(open_journal, monkeypatch):
    """Each looks for its own by name: those of others are not opened."""
    journal = open_journal()
    mine = journal.put(entry())
    for number in range(20):
        journal.put(entry(base_refresh=f"of somebody else {number}"))
    names, read = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: names.append(path.name) or read(path))

    assert [mine] == journal.answers(BASE[1])
    assert [mine.name] == names


def test_synced_before_put_returns(open_journal, monkeypatch):
    """Invariant 1: the file before it gets its name, the folder after it."""
    journal, steps = open_journal(), []
    journal.prepare()  # makes the folder
    fsync, replace = os.fsync, os.replace

    def noted(handle):
        steps.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(
        os, "replace", lambda *at, **to: steps.append("name") or replace(*at, **to)
    )

    journal.put(entry())

    assert ["file", "name", "folder"] == steps


@pytest.mark.parametrize("number", [1, 2], ids=["before it has its name", "after"])
def test_a_writer_dies(open_journal, monkeypatch, number):
    """At its first sync it leaves nothing that counts; then all."""
    journal, fsync, left = open_journal(), os.fsync, [number]
    journal.prepare()

    def die(handle):
        fsync(handle)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", die)
        with pytest.raises(KeyboardInterrupt):
            journal.put(entry())

    found = open_journal().answers(BASE[1])
    assert [entry().pair] * (number == 2) == [each.pair for each in found]


# Keys


def test_after_a_rotation(open_journal, backend, folder):
    """Answers are opened under older data keys, and newer ones, which are looked for."""
    journal = open_journal()
    kept = journal.put(entry())
    other = Header(backend, RING, Clock().monotonic)
    other.rotate_data()
    later = FolderJournal(folder, other).put(entry(base_refresh="later"))
    assert [kept] == journal.answers(BASE[1])
    assert [later] == journal.answers("later")


DAMAGE = {
    "flipped": lambda own, _: own[:-5] + bytes([own[-5] ^ 1]) + own[-4:],
    "not sealed": lambda *_: b'{"access_token": "mine"}',
    "too deep": lambda *_: b"[" * 100_000,
    "cut off": lambda own, _: own[:9],
    "a key that is not there": lambda own, _: own.replace(b'"key": 1', b'"key": 9', 1),
    "another one's": lambda _, others: others["own"],
    "another store's": lambda _, others: others["strange"],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_does_not_open(open_journal, folder, tmp_path, damage):
    """Invariant 10: an error for its own token alone, with no secret; it is left as it is."""
    strangers = FolderJournal(tmp_path, Header(MemoryBackend(), RING, Clock().monotonic))
    strange = tmp_path / strangers.put(entry()).name
    journal, told = open_journal(), []
    bad, good = (journal.put(entry(base_refresh=name)).name for name in ("mine", "another"))
    others = {"own": (folder / good).read_bytes(), "strange": strange.read_bytes()}
    damaged = damage((folder / bad).read_bytes(), others)
    (folder / bad).write_bytes(damaged)

    assert [good] == [each.name for each in journal.answers("another")]
    assert [good] == [each.name for each in journal.entries(on_error=told.append)]
    with pytest.raises(StoreTampered, match=rf"{bad} does not open") as caught:
        journal.answers("mine")
    assert [str(caught.value)] == [str(error) for error in told]
    assert "1000.the-" not in reported(caught.value)
    assert damaged == (folder / bad).read_bytes()


# Trouble


def test_a_full_disk_is_not_filled_further(open_journal, folder, monkeypatch):
    """What could not be written whole takes no room away, however often it is tried."""
    journal = open_journal()
    journal.prepare()  # makes the folder

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for deed in (lambda: journal.put(entry()), open_journal().prepare):
        with pytest.raises(StoreUnavailable, match="used: No space left"):
            deed()

    assert list(folder.iterdir()) == []


def test_prepared(open_journal, folder, monkeypatch):
    """Invariant 4: before the provider is asked, room for its answer was on disk; it is free."""
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda at: synced.append(os.fstat(at)) or fsync(at))

    open_journal().prepare()

    assert [16_384] == [each.st_size for each in synced if stat.S_ISREG(each.st_mode)]
    assert list(folder.iterdir()) == []


def test_prepared_once_a_second(folder, backend, monkeypatch):
    """Many renewals at once look for room once; one a second later looks again."""
    clock = FakeClock()
    journal = FolderJournal(folder, Header(backend, RING, clock.monotonic), clock.monotonic)
    looks, written = [], private_file.written
    monkeypatch.setattr(private_file, "written", lambda at: looks.append(at) or written(at))

    journal.prepare()
    clock.advance(0.9)
    journal.prepare()
    assert len(looks) == 1
    clock.advance(0.2)
    journal.prepare()

    assert len(looks) == 2


def test_what_a_killed_writer_left(open_journal, folder):
    """Its part is removed a day later, before a provider is asked; a part that is new is kept."""
    open_journal().prepare()
    for name, age in {"old.part": 90_000, "new.part": 0}.items():
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age,) * 2)

    open_journal().prepare()

    assert [folder / "new.part"] == list(folder.iterdir())


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_entry_that_can_t_be_used(open_journal, folder, make):
    """One that is there and can't be read is neither passed over nor waited for."""
    journal = open_journal()
    kept = journal.put(entry())
    (folder / kept.name).unlink()
    make(folder / kept.name)

    with pytest.raises(StoreUnavailable, match="it is a folder, or not a regular file"):
        list(journal.entries())


@pytest.mark.parametrize(
    ("named", "place"),
    [("state/below", "state/below/journal/*"), ("~/state", "state/journal/*"),
     (" state\r", "state/journal/*"), (None, "argument/journal/*"), ("sqlite:", "t.db.journal")],
)  # fmt: skip
def test_where_it_is(tmp_path, monkeypatch, named, place):
    """A server's is where TOKENKEEP_STATE says, or an argument; an embedded store's beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(MemoryBackend, "embedded", False)
    environ = {"TOKENKEEP_KEYS": tokenkeep.generate_key(), "TOKENKEEP_STATE": named or "unused"}
    if named in (None, "state/below"):  # the process's own environment
        monkeypatch.setenv("TOKENKEEP_STATE", environ["TOKENKEEP_STATE"])
        vault = Vault(MemoryBackend(), RING, state=None if named else tmp_path / "argument")
    else:
        url = f"sqlite:///{tmp_path}/t.db" if named == "sqlite:" else "memory:"
        vault = tokenkeep.open_store(url, environ=environ)

    with vault:
        vault.journal.put(entry())

    (found,) = tmp_path.glob("**/*.answer")
    assert [found.parent] == [*tmp_path.glob(place)]
    folders = [above for above in found.parents if above.is_relative_to(tmp_path)][:-1]
    assert {0o700} == {stat.S_IMODE(above.stat().st_mode) for above in folders}


def test_where_it_is_before_its_store(tmp_path, monkeypatch, backend):
    """Who looked into it before the store was made puts answers where others look for them."""
    monkeypatch.setattr(MemoryBackend, "embedded", False)
    early = Vault(backend, RING, state=tmp_path, make=False)
    assert [] == list(early.journal.entries())

    early.journal.put(entry())

    assert [entry().pair] == [
        each.pair for each in Vault(backend, RING, state=tmp_path).journal.answers(BASE[1])
    ]


def test_a_place_that_can_not_be_made(tmp_path, monkeypatch, backend):
    """The error says which variable names another one; nothing else fails for want of it."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(MemoryBackend, "embedded", False)
    journal = Vault(backend, RING, state=tmp_path / "file").journal

    for deed in (lambda: journal.put(entry()), journal.prepare):
        with pytest.raises(StoreUnavailable, match=r"journal.*TOKENKEEP_STATE") as caught:
            deed()
        assert "1000.the-" not in reported(caught.value)
    assert [] == journal.answers(BASE[1])
    assert [] == list(journal.entries())
    journal.remove(entry(name="a.answer"))
