"""Sweeping: what crashes, outages and logins that never ended left over. Rule `sweepcond`."""

from __future__ import annotations

import json

import pytest
from renewal_scenario import Crash, crash

from tokenkeep import Claim, Keeper, Status, StoreTampered, Token, holder
from tokenkeep.folder_journal import FolderJournal
from tokenkeep.journal import Entry
from tokenkeep.records import record_id


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


def dead_holder():
    """Describe a process of this host that is gone: its number belongs to another one now."""
    return json.dumps({**json.loads(holder.me()), "started": "1"})


def test_sweep_deletes_first_logins_given_up(world, keeper):
    """A lease whose holder is gone goes after its time, not before; nobody lists it."""
    claim = Claim(nonce="n", holder=dead_holder(), taken_at=world.clock.now(), length=60.0)
    world.vault.lease(Token(grant_token="a code"), claim)
    assert [token.id for token in keeper.tokens()] == [world.id]
    world.clock.advance(59)
    assert keeper.sweep().deleted == 0

    world.clock.advance(1)

    assert keeper.sweep().deleted == 1
    assert len(world.backend.scan(None, 10)) == 2  # the store's own, and the row


MONTH = 30 * 86_400.0


@pytest.fixture
def id_of_nothing(world):
    """An id of a caller's whose row is gone, as a crash in the midst of a deletion leaves it."""
    row = world.login("login-2", user="bea", id="customer-42")
    world.backend.delete(record_id(row.id))
    return "customer-42"


def test_sweep_deletes_ids_that_lead_nowhere(world, keeper, id_of_nothing):
    """Once a month it is looked whether the row of an id is there; then the id stays."""
    world.vault.save_token(world.stored.but(id="customer-1", version=None))
    world.clock.advance(MONTH - 1)
    assert keeper.sweep().deleted == 0

    world.clock.advance(1)

    assert keeper.sweep().deleted == 1
    assert keeper.sweep().deleted == 0
    assert world.vault.find_token_by_id("customer-1") == world.stored
    assert world.vault.find_token_by_id(id_of_nothing) is None


def test_sweep_leaves_an_id_that_leads_somewhere_again(world, keeper, id_of_nothing):
    """Invariant 7: a sweep deletes the version it judged; an id that was saved under stays."""
    world.clock.advance(MONTH)
    world.before_write(1, lambda: world.login("login-3", user="bea", id=id_of_nothing))

    assert keeper.sweep().deleted == 0

    assert world.vault.find_token_by_id(id_of_nothing).refresh_token == "login-3/0"


def leave_two_rows(world):
    """Leave one login in the rows of two users: each looked before the other one wrote."""

    def saved_for_bob():
        world.clock.advance(1)
        world.login("login-5", user="bob")
        world.backend.find = lambda _: crash()  # before the other one's second look

    world.before_write(1, saved_for_bob)
    with pytest.raises(Crash):
        world.login("login-5", user="bea")
    del world.backend.find
    return [world.vault.find_token(Token(user=user)) for user in ("bea", "bob")]


def test_sweep_looks_where_nobody_has_looked(world, keeper):
    """Invariant 14: of two rows that a crash has left of one login, the one made first has it."""
    first, second = leave_two_rows(world)
    assert first.refresh_token == second.refresh_token == "login-5/0"

    world.clock.advance(61)  # whoever is still at it would have looked by now
    keeper.sweep()

    kept, gone = world.vault.reread(first.id), world.vault.reread(second.id)
    assert kept.pair == first.pair
    assert (gone.status, gone.pair) == (Status.LOGIN_NEEDED, (None, None))
    assert world.provider.revoked == []
    assert [] == list(world.backend.due(world.clock.now(), 10))
    assert world.here.keeper.get(user="bea").access_token == "access-2"


def test_sweep_of_a_broken_journal_entry_names_it(tmp_path, world):
    """A journal entry that was changed is an error that says which file."""
    journal = FolderJournal(tmp_path / "journal", world.header)
    entry = journal.put(an_entry(world.id))
    (tmp_path / "journal" / entry.name).write_bytes(b"x" * 100)
    keeper = Keeper(world.here.store, providers=world.here.keeper.providers, journal=journal)

    with pytest.raises(StoreTampered, match=entry.name):
        keeper.sweep()


def an_entry(token_id):
    return Entry(
        token_id=token_id, user=None, provider="scripted", issuer=None, client_id=None,
        client_secret=None, data_center=None, environment=None, base_access=None,
        base_refresh="r", access_token="a", refresh_token="r2", expires_at=None, lifetime=None,
        learnt={}, holder="", answered_at=0.0,
    )  # fmt: skip
