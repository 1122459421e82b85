"""Revocations the provider has not confirmed, and a login that comes in between."""

import pytest
from renewal_scenario import World

from tokenkeep import Status, StoreTampered
from tokenkeep.journal import FolderJournal


@pytest.fixture
def revoked():
    """A world whose token was revoked here while the provider was out of reach."""

    def make(**provider):
        world = World(**provider)
        world.provider.unreachable = True
        world.here.keeper.revoke(world.id)
        world.provider.unreachable = False
        return world

    return make


def test_outlives_a_new_login(revoked):
    """A refresh token revoked here is revoked at the provider, though its user came back."""
    world = revoked(revokes_grant=False)
    world.login("login-2", "newer", left=3600)

    swept = world.here.keeper.sweep()

    assert swept.revoked == 1
    assert world.provider.revoked == ["login-1/0"]
    assert (world.stored.status, world.stored.access_token) == (Status.OK, "newer")
    assert world.stored.renewal.to_revoke == ()


def test_never_ends_the_new_login(revoked):
    """Where revoking one token ends the whole consent, the new login goes first."""
    world = revoked(revokes_grant=True)
    world.login("login-2", "newer", left=3600)

    world.here.keeper.sweep()

    assert world.provider.revoked == []
    assert world.stored.renewal.to_revoke == ()


def test_twice(revoked):
    """Two revocations in a row, none of them confirmed, are both made up for."""
    world = revoked(revokes_grant=False)
    world.login("login-2", "newer", left=3600)
    world.provider.unreachable = True
    world.here.keeper.revoke(world.id)
    world.provider.unreachable = False

    assert world.here.keeper.sweep().revoked == 1
    assert world.provider.revoked == ["login-1/0", "login-2/0"]


def test_own_write_ends_what_is_cached(world):
    """A process never hands out what it has replaced itself, however long others may be stale."""
    world.login(left=3600)
    vault = world.here.store.vault
    world.backend.revision = lambda: None  # as a server, which has no change counter
    assert world.get().access_token == "access-1"
    world.clock.advance(61)

    renewed = world.here.keeper.rejected(world.id, "access-1")

    assert vault.find_token_by_id(world.id).access_token == renewed.access_token == "access-2"
    world.here.keeper.revoke(world.id)
    assert vault.find_token_by_id(world.id).status is Status.REVOKED
    vault.delete_tokens()
    assert vault.find_token_by_id(world.id) is None


def test_reader_in_between(world):
    """A reader that began before a write and ends after it does not bring the old token back."""
    world.login(left=3600)
    vault = world.here.store.vault
    world.backend.revision = lambda: None
    read = world.backend.read

    def slow_read(record_id):
        record = read(record_id)
        world.backend.read = read
        vault.swap(vault.reread(world.id).but(access_token="access-9"))
        return record

    world.backend.read = slow_read
    vault.find_token_by_id(world.id)

    assert vault.find_token_by_id(world.id).access_token == "access-9"


def test_one_bad_file_holds_nothing_up(world, tmp_path):
    """A journal entry that does not open is an error, after everything else was done."""
    journal = FolderJournal(tmp_path / "journal", world.header)
    keeper = world.here.keeper
    keeper.journal = journal
    world.provider.unreachable = True
    keeper.revoke(world.id)
    world.provider.unreachable = False
    (tmp_path / "journal").mkdir(exist_ok=True)
    (tmp_path / "journal" / "7f-0.answer").write_bytes(b"not sealed")
    part = tmp_path / "journal" / "7f-1.part"
    part.touch()

    with pytest.raises(StoreTampered, match=r"7f-0\.answer"):
        keeper.sweep()

    assert world.provider.revoked == ["login-1/0"]
    assert world.stored.renewal.to_revoke == ()
    assert not part.exists()
