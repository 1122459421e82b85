"""How far a host's clock is off is known to all of its processes, later ones too."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from renewal_processes import KEY, PATIENCE
from renewal_scenario import Actor, World

from tokenkeep import StoreTampered, holder
from tokenkeep.clock import ClockError
from tokenkeep.journal import FolderJournal, Journal

ISSUER = "https://provider.example/token"
TWO_HOURS = 7200.0


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "journal"


@pytest.fixture
def new_process(world, folder):
    """Start a process of a host whose clock is two hours ahead."""
    world.provider.extra = {"clock_offset": -TWO_HOURS}
    return lambda: Actor(world, FolderJournal(folder, world.header))


def notes(folder):
    return sorted(folder.glob("*.clock"))


def test_short_lived_processes(world, new_process):
    """Invariant 2: what the first process has learnt spares all later ones the call."""
    for _ in range(20):
        world.get(new_process())
        world.clock.advance(120)

    assert len(world.provider.sent) == 1


def test_processes_that_have_found_nothing_yet(world, new_process):
    """Invariant 2: processes that were there before it was learnt don't ask either."""
    processes = [new_process() for _ in range(4)]
    for each in processes:
        each.keeper.clock_errors.of(ISSUER)

    for each in processes:
        world.get(each)

    assert len(world.provider.sent) == 1


def test_host_that_is_behind(world, new_process):
    """A process that has never asked knows when a token has really ended."""
    world.provider.extra = {"clock_offset": TWO_HOURS}
    long_there = new_process()
    long_there.keeper.clock_errors.of(ISSUER)
    world.get(new_process())
    world.clock.advance(3000)
    assert world.get(long_there).access_token == "access-2"

    world.clock.advance(601)

    assert world.get(long_there).access_token == "access-3"
    assert world.get(new_process()).access_token == "access-3"


def test_tokens_looked_at_before(world, new_process):
    """What is read of another process counts for tokens that were found good before it, too."""
    world.provider.extra = {"clock_offset": TWO_HOURS}
    ends = world.clock.now() + TWO_HOURS + 900
    other = world.login("login-2", "first-2", user="ben@example.com:2")
    world.there.store.vault.swap(other.but(expires_at=ends))
    long_there = new_process()
    assert long_there.keeper.get(id=other.id).access_token == "first-2"
    world.get(new_process())
    world.clock.advance(901)

    world.get(long_there)

    assert long_there.keeper.get(id=other.id).access_token == "access-3"


def test_clock_set_right(world, new_process):
    """What was noted of a clock is not believed once that clock was set."""
    world.get(new_process())
    world.clock.set(world.clock.now() - TWO_HOURS)
    world.provider.extra = {"clock_offset": 0.0}

    for minutes in (0, 10, 44, 2, 5):
        world.clock.advance(minutes * 60)
        assert world.get(new_process()).expires_at > world.clock.now()

    assert len(world.provider.sent) == 2


def test_another_start_of_the_host(world, new_process, folder, monkeypatch):
    """What was noted before the host was started anew, or by another one, is not believed."""
    world.get(new_process())
    monkeypatch.setattr(holder, "boot", lambda: "another")
    world.get(new_process())
    assert len(world.provider.sent) == 2

    world.get(new_process())

    assert len(world.provider.sent) == 2
    assert len(notes(folder)) == 1


def test_no_boot_id(world, new_process, folder, monkeypatch):
    """A system that does not tell when it was started keeps no note that it could not judge."""
    monkeypatch.setattr(holder, "boot", lambda: None)

    world.get(new_process())

    assert notes(folder) == []


@pytest.mark.parametrize("offset", [0.0, 29.0, None])
def test_clock_that_is_right(world, new_process, folder, offset):
    """A host whose clock is right leaves no note."""
    world.provider.extra = {"clock_offset": offset}

    world.get(new_process())

    assert notes(folder) == []


def test_clock_that_was_slewed(world, new_process):
    """A clock that came right without being set is noted, too."""
    world.get(new_process())
    world.provider.extra = {"clock_offset": 0.0}
    world.write(expires_at=world.clock.now() - TWO_HOURS - 1)

    world.get(new_process())

    assert new_process().keeper.clock_errors.of(ISSUER) == 0.0


def spoil(path):
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def block(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [spoil, block])
def test_note_that_does_not_open(world, new_process, folder, harm):
    """A note is only a hint: without it a process asks once too often, and that is all."""
    world.get(new_process())
    (note,) = notes(folder)
    harm(note)

    assert world.get(new_process()).access_token == "access-3"


def test_spoilt_note_is_replaced(world, new_process, folder):
    """The next one takes its place."""
    world.get(new_process())
    spoil(*notes(folder))
    world.get(new_process())

    world.get(new_process())

    assert len(world.provider.sent) == 2


@pytest.fixture(params=["folder", "memory"])
def journal(request, folder, world):
    return FolderJournal(folder, world.header) if request.param == "folder" else Journal()


def test_journal_keeps_notes(journal):
    """A note replaces the one about the same issuer, and no other; answers don't mix with them."""
    one, two = (ClockError(behind=n, zero=n, boot="b") for n in (1.5, 2.5))
    assert journal.clock_error(ISSUER) is None

    journal.note_clock(ISSUER, two)
    journal.note_clock(ISSUER, one)
    journal.note_clock(None, two)

    assert journal.clock_error(ISSUER) == one
    assert journal.clock_error(None) == two
    assert list(journal.entries()) == []


def test_sealed(world, new_process, folder):
    """Invariant 10: a note opens only with its store's keys; nobody else may read the folder."""
    world.get(new_process())
    (note,) = notes(folder)

    assert b"boot" not in note.read_bytes()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert FolderJournal(folder, world.header).clock_error(ISSUER).behind == -TWO_HOURS
    with pytest.raises(StoreTampered):
        FolderJournal(folder, World().header).clock_error(ISSUER)


GET = """
import sys, time
real = time.time
time.time = lambda: real() + 7200
from tokenkeep import Keeper, open_store
print(Keeper(open_store(sys.argv[1])).get(id=sys.argv[2]).access_token)
"""


def test_real_processes(fleet):
    """Invariant 2: one call, however many processes of a host that is ahead ask, now and later."""
    command = [sys.executable, "-c", GET, fleet.url, fleet.id]
    environ = {**os.environ, "TOKENKEEP_KEYS": KEY}

    def asked():
        return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE)

    running = [asked() for _ in range(4)]
    told = [each.communicate(timeout=PATIENCE)[0] for each in running]
    told += [asked().communicate(timeout=PATIENCE)[0]]

    assert set(told) == {f"{fleet.stored.access_token}\n".encode()}
    assert fleet.calls == 1
