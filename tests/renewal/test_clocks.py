"""A host whose clock is wrong: what its processes learn of it, and when they forget that."""

from __future__ import annotations

import pytest
from renewal_scenario import Actor, World

from tokenkeep import StoreTampered, Token
from tokenkeep.clock_errors import ClockErrors
from tokenkeep.journal import FolderJournal, Journal
from tokenkeep.testing import FakeClock

TWO_HOURS = 7200.0
ISSUER = "https://provider.example/token"


def wrong(world, ahead):
    """Let this host's clock be so far ahead of the provider's, as its answers say."""
    world.provider.extra = {"clock_offset": -ahead}


def off(world, ahead):
    """Set this host's clock ahead of the provider's, or behind it; the next caller renews."""
    wrong(world, ahead)
    world.clock.set(world.clock.now() + ahead)
    world.write(expires_at=world.clock.now() - 1)


@pytest.fixture
def new_process(world, tmp_path):
    """Start another process of this host, which knows what the ones before have noted."""
    return lambda: Actor(world, FolderJournal(tmp_path / "journal", world.header))


SINCE = {
    "time passes": (lambda clock: clock.advance(100_000), -TWO_HOURS),
    "corrected by less than counts": (lambda clock: clock.set(clock.now() + 29), -TWO_HOURS),
    "set": (lambda clock: clock.set(clock.now() - TWO_HOURS), 0.0),
    "suspended": (lambda clock: clock.set(clock.now() + 600), 0.0),
    "another start of the host": (lambda clock: vars(clock).update(monotonic=lambda: 60.0), 0.0),
}


@pytest.mark.parametrize("asks", ["who has learnt it", "who comes later"])
@pytest.mark.parametrize(("step", "behind"), SINCE.values(), ids=SINCE)
def test_how_long_it_is_believed(step, behind, asks):
    """Until the clock is set, or stood still in a suspend; it says nothing of another issuer's."""
    clock, journal = FakeClock(), Journal()
    errors = ClockErrors(clock, journal)
    clock.set(clock.now() + TWO_HOURS)  # after who learns it was there
    errors.learn(ISSUER, -TWO_HOURS)
    errors = errors if asks == "who has learnt it" else ClockErrors(clock, journal)
    assert errors.of(ISSUER) == -TWO_HOURS
    assert errors.of("https://other.example/token") == 0.0

    step(clock)

    assert errors.of(ISSUER, look=True) == ClockErrors(clock, journal).of(ISSUER) == behind


@pytest.mark.parametrize("asks", ["this process", "new ones"])
@pytest.mark.parametrize("ahead", [TWO_HOURS, -TWO_HOURS])
def test_clock_set_right(world, new_process, ahead, asks):
    """What was learnt of a clock is forgotten once it is set: no token is handed out ended."""
    process = new_process()
    off(world, ahead)
    world.get(process)
    wrong(world, 0.0)
    world.clock.set(world.clock.now() - ahead)  # as NTP does

    for minutes in (0, 10, 44, 2, 5, 39, 19, 2, 29, 29, 2):
        world.clock.advance(minutes * 60)
        found = world.get(process if asks == "this process" else new_process())
        assert found.expires_at > world.clock.now()

    assert world.calls == 1 + 3  # at minute 56, 119 and 179


@pytest.mark.parametrize("ahead", [0.0, TWO_HOURS])
def test_one_clock_stands_still(world, ahead):
    """A token that was found good ends with the time that passes on either clock."""
    off(world, ahead)
    world.get()
    if ahead:  # a suspend, after which 50 minutes are left; it costs one call at most
        world.clock.set(world.clock.now() + 600)
    else:
        world.clock.set(world.clock.now() - TWO_HOURS)
        world.clock.advance(3700)

    for _ in range(5):
        world.get()

    assert world.calls == 2


def test_clock_far_ahead_blocks_nobody(limited):
    """What a host whose clock is a year ahead has written holds nobody up; nor another issuer."""
    now, year = limited.clock.now(), 365 * 86_400.0
    limited.clock.set(now + year)
    limited.down()
    limited.outcome(lambda: limited.get(limited.there))
    assert limited.stored.renewal.failure.at >= now + year
    limited.clock.set(now)
    limited.here.keeper.clock_errors.learn("https://other.example/token", -3600.0)
    limited.write_renewal(mints=tuple(now + year + n for n in range(10)))

    assert limited.get().access_token == "access-2"
    assert limited.stored.renewal.mints[-1] == now


@pytest.mark.parametrize("learns", ["this process", "another"])
def test_learnt_from_another_token(world, new_process, learns):
    """Tokens that were found good before are judged anew by what another one's renewal taught."""
    watched = new_process()
    other = world.login("login-2", "first-2", user="ben@example.com:2")
    off(world, -TWO_HOURS)
    # By this host's clock, two hours more than it has.
    ends = world.clock.now() + TWO_HOURS + 900
    world.vault.swap(world.vault.reread(other.id).but(expires_at=ends))
    assert watched.keeper.get(id=other.id).access_token == "first-2"

    world.get(watched if learns == "this process" else new_process())
    world.clock.advance(901)
    world.get(watched)

    assert watched.keeper.get(id=other.id).access_token != "first-2"


def test_what_other_processes_learn():
    """It is looked for once a second, and at once where a token ends soon (invariant 2)."""
    clock, journal = FakeClock(), Journal()
    long_there, learns = (ClockErrors(clock, journal) for _ in range(2))
    tokens = [Token(issuer=ISSUER, expires_at=clock.now() + ends) for ends in (-60.0, 7200.0)]
    assert [long_there.local(each) for each in tokens] == tokens

    learns.learn(ISSUER, -TWO_HOURS)

    assert long_there.of(ISSUER) == 0.0
    assert long_there.local(tokens[0]).expires_at == tokens[0].expires_at + TWO_HOURS
    clock.advance(1)
    assert ClockErrors(clock, journal).local(tokens[1]).expires_at == clock.now() + 2 * 7200 - 1


def test_note_of_a_clock_that_is_right():
    """It leaves none; one that came right without being set has its note replaced."""
    clock, journal = FakeClock(), Journal()
    for behind in (0.0, 29.0):
        ClockErrors(clock, journal).learn(ISSUER, behind)
        assert journal.clock_error(ISSUER) is None

    for behind in (TWO_HOURS, 0.0):
        ClockErrors(clock, journal).learn(ISSUER, behind)
        assert ClockErrors(clock, journal).of(ISSUER) == behind


HARM = {
    "spoilt": (lambda note, _: note.write_bytes(note.read_bytes()[:-1] + b"x"), 2),
    "of another start": (lambda _, clock: vars(clock).update(monotonic=lambda: 60.0), 2),
    "in the way": (lambda note, _: (note.unlink(), note.mkdir()), 3),
}


@pytest.mark.parametrize(("harm", "calls"), HARM.values(), ids=HARM)
def test_note_that_does_not_count(world, new_process, tmp_path, harm, calls):
    """A note is sealed, and only a hint: a process asks once too often, and writes it anew."""
    wrong(world, TWO_HOURS)
    world.get(new_process())
    (note,) = notes = list(tmp_path.glob("journal/*.clock"))
    assert b"behind" not in note.read_bytes()
    with pytest.raises(StoreTampered):
        FolderJournal(tmp_path / "journal", World().header).clock_error(ISSUER)
    harm(note, world.clock)

    assert world.get(new_process()).access_token == "access-3"
    world.get(new_process())
    assert world.calls == calls
    assert notes == list(tmp_path.glob("journal/*.clock"))
