"""An answer while the store can't be written: kept sealed, handed out, saved later."""

from __future__ import annotations

import pytest

from tokenkeep import StoreConflict, StoreUnavailable
from tokenkeep.journal import FolderJournal

BOTH = pytest.mark.parametrize("fleet", ["none", "rotate_reuse_kills"], indirect=True)


@pytest.fixture
def events():
    return []


@pytest.fixture
def keeper(fleet, events):
    """A keeper whose store accepts the claim, and no write after it."""
    made = fleet.keeper(on_event=events.append)
    backend, write, done = made.store.backend, made.store.backend.write, []

    def refused_after_the_claim(record, *, replaces):
        if done:
            raise StoreUnavailable("The disk is full")
        done.append(record)
        write(record, replaces=replaces)

    backend.write = refused_after_the_claim
    made.disk_has_room_again = lambda: setattr(backend, "write", write)
    return made


def names(events):
    return [event.name for event in events]


@BOTH
def test_handed_out_and_kept(fleet, keeper, events):
    """Invariant 4: the caller gets it, the journal has it sealed, and another process saves it."""
    token = keeper.get(id=fleet.id)

    assert fleet.works(token)
    assert fleet.stored.pair == fleet.first.pair
    assert names(events) == ["unsaved"]
    [path] = fleet.journal.iterdir()
    sealed = path.read_bytes()
    assert token.access_token.encode() not in sealed
    assert token.refresh_token.encode() not in sealed
    assert fleet.keeper().sweep().saved == 1
    assert fleet.stored.pair == token.pair
    assert fleet.stored.renewal.claim is None
    assert list(fleet.journal.iterdir()) == []
    assert fleet.calls == 1


@BOTH
def test_saved_by_the_next_caller(fleet, keeper):
    """Invariant 4: who takes the claim over finds the answer and asks nobody."""
    token = keeper.get(id=fleet.id)

    answer = fleet.start(fake_clock=True).get()

    assert answer["access_token"] == token.access_token == fleet.stored.access_token
    assert fleet.calls == 1


def test_not_dropped_while_the_store_is_down(fleet, keeper):
    """Invariant 4: a sweep that can't write leaves the answer where it is."""
    keeper.get(id=fleet.id)

    with pytest.raises(StoreUnavailable):
        keeper.sweep()

    assert len(list(fleet.journal.iterdir())) == 1
    keeper.disk_has_room_again()
    assert keeper.sweep().saved == 1


@pytest.mark.parametrize("fleet", ["rotate"], indirect=True)
def test_entry_that_can_t_be_removed(fleet, events, monkeypatch):
    """A saved answer that stays in the journal is no failure, and replaying it changes nothing."""

    def refused(self, entry):  # noqa: ARG001  # the interface's
        raise StoreUnavailable("read-only")

    keeper = fleet.keeper(on_event=events.append)
    keeper.sweep()  # looks at the login, which is a write
    with monkeypatch.context() as patch:
        patch.setattr(FolderJournal, "remove", refused)
        keeper.get(id=fleet.id)
    saved = fleet.stored
    assert names(events) == ["unjournaled", "renewed"]

    keeper.sweep()

    assert fleet.stored == saved
    assert list(fleet.journal.iterdir()) == []


@pytest.mark.parametrize("fleet", ["rotate"], indirect=True)
def test_neither_store_nor_journal(fleet, keeper, events, monkeypatch):
    """Invariant 4: where nothing can be written the token is handed out and that is reported."""

    def refused(*_):
        raise StoreUnavailable("The journal can't be written")

    monkeypatch.setattr(FolderJournal, "put", refused)

    assert fleet.works(keeper.get(id=fleet.id))
    assert "unjournaled" in names(events)
    assert names(events)[-1] == "unsaved"


def full(world):
    """Let the store be read only, as on a full disk."""

    def refuse(record, *, replaces):  # noqa: ARG001  # the interface's
        raise StoreUnavailable("The disk is full")

    world.backend.write = refuse


@pytest.fixture
def unsaved(world):
    """What a caller was given whose answer could not be saved: the disk is full since."""
    world.here.store.before["save"].append(lambda: full(world))
    token = world.get()
    assert token.access_token == "access-2"
    return token


@pytest.mark.usefixtures("unsaved")
@pytest.mark.parametrize("wait", [0.0, 30.0, 300.0, 1800.0])
def test_goes_on_being_handed_out(world, wait):
    """Invariant 4: the journal's answer serves this host's callers while the store is full."""
    world.clock.advance(wait)

    for actor in (world.here, world.beside, world.here):
        assert world.get(actor).access_token == "access-2"
    assert len(world.provider.sent) == 1


@pytest.mark.usefixtures("unsaved")
def test_saved_as_soon_as_it_can_be(world):
    """The same answer is written once the store takes it, and the journal is empty."""
    world.clock.advance(400.0)
    world.let_be()

    assert world.get(world.beside).access_token == "access-2"
    assert world.stored.access_token == "access-2"
    assert list(world.here.journal.entries()) == []
    assert len(world.provider.sent) == 1


@pytest.mark.usefixtures("unsaved")
def test_found_by_who_waits(world):
    """Who waits for a holder that could not save finds its answer at once, not after its claim."""
    world.let_be()
    began = world.clock.monotonic()

    assert world.get(world.beside).access_token == "access-2"

    assert len(world.provider.sent) == 1
    assert world.clock.monotonic() - began < world.provider.profile.claim_length / 2


def test_not_handed_out_once_it_has_ended(world, unsaved):
    """Nor once it was refused."""
    world.clock.advance(61)
    with pytest.raises(StoreUnavailable):
        world.here.keeper.rejected(world.id, unsaved.access_token)
    world.clock.advance(7200)
    with pytest.raises(StoreUnavailable):
        world.get()


def test_no_version_of_what_is_stored(world, unsaved):
    """It does not make the expired token look good, and brings no deleted row back."""
    world.let_be()
    assert unsaved.version is None
    assert world.get().access_token == "access-2"
    world.vault.delete_token(world.id)

    with pytest.raises(StoreConflict):
        world.vault.swap(unsaved)
    assert world.vault.get_tokens() == []
