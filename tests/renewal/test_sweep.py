"""Sweeping: what crashes, outages and logins that never ended left over. Rule `sweepcond`."""

from __future__ import annotations

import pytest
from renewal_scenario import USER

from tokenkeep import Claim, Keeper, StoreTampered, Token
from tokenkeep.folder_journal import FolderJournal
from tokenkeep.journal import Entry
from tokenkeep.sweeping import PENDING_AGE, POINTER_AGE


def test_sweep_replays_the_journal(world, keeper):
    """Invariant 4: an answer that could not be saved is saved by the next sweep."""
    world.here.store.before["save"].append(lambda: setattr(world.here.store, "down", True))
    token = world.get()
    assert token.access_token == "access-2"
    assert "unsaved" in world.here.names()
    assert world.stored.access_token == "access-1"

    world.here.store.down = False
    swept = world.beside.keeper.sweep()

    assert (swept.saved, swept.discarded) == (1, 0)
    assert world.stored.access_token == "access-2"
    assert world.stored.renewal.claim is None
    assert keeper.sweep().saved == 0


def test_sweep_discards_what_is_out_of_date(world, keeper):
    """An answer whose base is not stored any more is thrown away."""
    world.here.store.before["save"].append(lambda: setattr(world.here.store, "down", True))
    world.get()
    world.here.store.down = False
    world.login("login-2", "newer", left=3600)

    assert keeper.sweep().discarded == 1
    assert world.stored.access_token == "newer"
    assert list(world.here.journal.entries()) == []


def pending(world, age):
    """Leave the row of a first login that began *age* seconds ago."""
    now = world.clock.now()
    world.clock.set(now - age)
    claim = Claim(nonce="n", holder="h", taken_at=now - age, length=5.0)
    row = world.there.store.vault.reserve(Token(grant_token="a code"), claim)
    world.clock.set(now)
    return row


def test_sweep_deletes_first_logins_given_up(world, keeper):
    """Rows of first logins that never ended go after a minute, not before; nobody lists them."""
    old = pending(world, PENDING_AGE + 1)
    assert [token.id for token in keeper.tokens()] == [world.id]
    assert keeper.sweep().deleted == 1
    assert world.backend.read(old.id) is None

    young = pending(world, PENDING_AGE - 1)
    assert keeper.sweep().deleted == 0
    assert world.backend.read(young.id) is not None


def test_sweep_leaves_a_login_that_ended_meanwhile(world, keeper, monkeypatch):
    """Invariant 7: a sweep deletes the version it judged; a row that was completed stays."""
    row = pending(world, PENDING_AGE + 1)
    vault = world.here.store.vault
    delete = vault.delete_token

    def completed_meanwhile(token_id, **given):
        vault.save_token(Token(grant_token="a code", access_token="a"))
        delete(token_id, **given)

    monkeypatch.setattr(vault, "delete_token", completed_meanwhile)

    assert keeper.sweep().deleted == 0
    assert keeper.store.reread(row.id).access_token == "a"


def test_sweep_deletes_old_pointers(world, keeper):
    """The id of a row that became another goes on working for a month."""
    nameless = world.there.store.vault.save_token(
        Token(client_id="client", refresh_token="login-9/0", access_token="x")
    )
    world.there.store.vault.save_token(nameless.but(user=USER))
    assert keeper.get(id=nameless.id).id == world.id

    world.clock.advance(POINTER_AGE - 1)
    assert keeper.sweep().deleted == 0
    world.clock.advance(2)
    assert keeper.sweep().deleted == 1


def test_sweep_of_a_broken_journal_entry_names_it(tmp_path, world):
    """A journal entry that was changed is an error that says which file."""
    journal = FolderJournal(tmp_path / "journal", world.ring)
    entry = journal.put(an_entry(world.id))
    (tmp_path / "journal" / entry.name).write_bytes(b"x" * 100)
    keeper = Keeper(world.here.store, providers=world.here.keeper.providers, journal=journal)

    with pytest.raises(StoreTampered, match=entry.name):
        keeper.sweep()


def an_entry(token_id):
    return Entry(
        token_id=token_id, user=None, provider="scripted", issuer=None, client_id=None,
        base_access=None, base_refresh="r", access_token="a", refresh_token="r2",
        expires_at=None, lifetime=None, client_secret=None, holder="", answered_at=0.0,
    )  # fmt: skip
