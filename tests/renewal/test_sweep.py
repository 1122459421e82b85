"""Sweeping: what crashes, outages and logins that never ended left over. Rule `sweepcond`."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from renewal_scenario import ByOwner, Crash, World, crash

from tokenkeep import Claim, Keeper, Status, StoreTampered, Token, holder
from tokenkeep.journal import Entry, FolderJournal


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


def test_sweep_leaves_a_login_that_began_meanwhile():
    """A sweep deletes the version it judged; who logs in now, under the same id, is left alone."""
    world = World(backend=ByOwner())
    asked, now = Token(grant_token="a code"), world.clock.now()
    over = Claim(nonce="over", holder=dead_holder(), taken_at=now, length=60.0)
    version, _ = world.vault.lease(asked, over)
    world.clock.advance(60)
    begun = replace(over, nonce="begun", taken_at=world.clock.now())

    def begins():
        world.vault.release(asked, version)
        world.vault.lease(asked, begun)

    world.before_write(1, begins)

    assert world.here.keeper.sweep().deleted == 0

    assert world.vault.lease(asked, over)[1].nonce == "begun"


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
