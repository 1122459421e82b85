"""An answer while the store can't be written: kept sealed, handed out, saved later."""

from __future__ import annotations

import pytest
from renewal_scenario import Actor, failing

from tokenkeep import StoreConflict, StoreUnavailable
from tokenkeep.journal import FolderJournal

full = failing(StoreUnavailable("The disk is full"))


def fills(world):
    """Return a step: the disk is full from then on, until `World.let_be`."""
    return lambda: setattr(world.backend, "write", full)


@pytest.fixture
def world(either, tmp_path):
    """A renewal whose answer could not be saved: the disk is full since."""
    either.folder = tmp_path / "journal"
    either.here = Actor(either, FolderJournal(either.folder, either.header))
    either.beside = Actor(either, either.here.journal)
    either.here.store.before["save"].append(fills(either))
    either.given = either.get()
    assert either.given.access_token == "access-2"
    return either


def test_handed_out_and_kept(world):
    """Invariant 4: the caller gets it, the journal has it sealed, and another process saves it."""
    assert world.provider.accepts(world.given.refresh_token)
    assert world.stored.pair == ("access-1", "login-1/0")
    assert world.here.names() == ["unsaved"]
    (path,) = world.folder.iterdir()
    assert not [secret for secret in world.given.pair if secret.encode() in path.read_bytes()]
    with pytest.raises(StoreUnavailable):
        world.beside.keeper.sweep()
    assert len(world.kept) == 1
    world.let_be()

    assert world.beside.keeper.sweep().saved == 1

    assert world.stored.pair == world.given.pair
    assert world.stored.renewal.claim is None
    assert list(world.folder.iterdir()) == []
    assert world.calls == 1


@pytest.mark.parametrize("wait", [0.0, 30.0, 400.0, 1800.0])
def test_goes_on_being_handed_out(world, wait):
    """
    Invariant 4: the journal's answer serves this host's callers while the store is full.

    Who comes once it is not saves the answer, and waits for no claim.
    """
    world.clock.advance(wait)
    for actor in (world.here, world.beside, world.here):
        assert world.get(actor).access_token == "access-2"
    assert world.calls == 1
    world.let_be()
    began = world.clock.monotonic()

    assert world.get(world.beside).access_token == world.stored.access_token == "access-2"

    assert world.clock.monotonic() - began < world.provider.profile.claim_length / 2
    assert list(world.folder.iterdir()) == []
    assert world.calls == 1


def test_neither_store_nor_journal(rotating):
    """Invariant 4: where nothing can be written the token is handed out and that is reported."""
    rotating.here.journal.put = full
    rotating.here.store.before["save"].append(fills(rotating))

    assert rotating.provider.accepts(rotating.get().refresh_token)
    assert "unjournaled" in rotating.here.names()
    assert rotating.here.names()[-1] == "unsaved"


def test_not_handed_out_once_it_has_ended(world):
    """Nor once it was refused."""
    world.clock.advance(61)
    with pytest.raises(StoreUnavailable):
        world.here.keeper.rejected(world.id, world.given.access_token)
    world.clock.advance(7200)
    with pytest.raises(StoreUnavailable):
        world.get()


def test_no_version_of_what_is_stored(world):
    """It does not make the expired token look good, and brings no deleted row back."""
    world.let_be()
    assert world.given.version is None
    assert world.get().access_token == "access-2"
    world.vault.delete_token(world.id)

    with pytest.raises(StoreConflict):
        world.vault.swap(world.given)
    assert world.vault.get_tokens() == []


def test_who_waits_takes_it(rotating):
    """Another process of the host does not wait for the end of a claim that nobody could clear."""
    rotating.here.store.before["save"].append(rotating.here.store.goes_down)
    assert rotating.get().version is None
    began = rotating.clock.monotonic()

    assert rotating.get(rotating.beside).pair == rotating.stored.pair == ("access-2", "login-1/1")

    assert rotating.clock.monotonic() - began < 5
    assert rotating.calls == 1
