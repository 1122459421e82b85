"""Sweeping: what crashes, outages and logins that never ended left over. Rule `sweepcond`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from renewal_scenario import Actor, ByOwner, World, dead_holder

from tokenkeep import Claim, StoreTampered, StoreUnavailable, Token
from tokenkeep.errors import ConfigurationError, ProviderUnavailable
from tokenkeep.journal import FolderJournal
from tokenkeep.records import record_id


def unsaved(world, token_id):
    """Leave an answer in the journal, as a store that could not be written does."""
    store = world.here.store
    store.before["save"].append(store.goes_down)
    token = world.here.keeper.get(id=token_id)
    store.down = False
    return token


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


# What can't be swept holds nothing else up


def test_one_token_that_is_not_revoked(world, keeper):
    """Invariant 15: an answer about one token says nothing about the others of its provider."""
    rows = [world.login(f"login-{n}", user=f"u{n}@x:1") for n in range(2, 6)]
    world.provider.unreachable = True
    for row in rows:
        keeper.revoke(row.id)
    world.provider.unreachable = False
    revoke = world.provider.revoke

    def answers(token):
        if token.refresh_token == "login-2/0":
            raise ProviderUnavailable('provider.example answered "not_revocable"')
        revoke(token)

    world.provider.revoke = answers

    swept = keeper.sweep()

    assert (swept.revoked, swept.unconfirmed) == (3, 1)


@pytest.fixture
def others(world):
    """Six more tokens, so that some are before and some behind any of them."""
    logins = (world.login(f"login-{n}", f"first-{n}", user=f"u{n}@x:1") for n in range(2, 8))
    return sorted(token.id for token in logins)


def spoil(world, token_id, **changes):
    """Change a row's record, as nobody does who has its keys."""
    record = world.backend.read(record_id(token_id))
    new = replace(record, **changes, version="a" * 32)
    world.backend.write(new, replaces=record.version)


@pytest.mark.parametrize("changes", [{}, {"key": 7}], ids=["damaged", "of a lost key"])
def test_row_that_does_not_open(world, others, changes):
    """Invariant 7: revocations of all other rows are finished; then the error is raised."""
    keeper = world.here.keeper
    ids = sorted([*others, world.id])
    world.provider.unreachable = True
    for token_id in ids:
        keeper.revoke(token_id)
    world.provider.unreachable = False
    spoilt = ids[:2] + ids[3:4]
    for token_id in spoilt:
        spoil(world, token_id, **changes)

    with pytest.raises(StoreTampered):
        keeper.sweep()

    assert len(world.provider.revoked) == len(ids) - len(spoilt)


def test_entry_whose_row_does_not_open(world, others):
    """Invariant 4: the answers of all other rows are saved, and rows are swept as well."""
    for token_id in others:
        unsaved(world, token_id)
    world.provider.unreachable = True
    world.here.keeper.revoke(world.id)
    world.provider.unreachable = False
    entries = list(world.here.journal.entries())
    spoil(world, entries[0].token_id)

    with pytest.raises(StoreTampered):
        world.here.keeper.sweep()

    assert [entry.token_id for entry in world.here.journal.entries()] == [entries[0].token_id]
    assert world.provider.revoked == ["login-1/0"]


def test_entry_whose_provider_is_not_configured(world, others):
    """An answer of a provider that was taken out of the configuration holds no other up."""
    for token_id in others[:3]:
        unsaved(world, token_id)
    gone = next(world.here.journal.entries()).token_id
    world.here.providers.unknown.add(gone)
    told = []
    assert world.here.keeper.sweep(on_error=told.append).saved == 2
    assert [ConfigurationError] == [type(each) for each in told]
    with pytest.raises(ConfigurationError):
        world.here.keeper.sweep()

    assert [entry.token_id for entry in world.here.journal.entries()] == [gone]


def unreadable(path):
    path.unlink()
    path.mkdir()  # as little to be read as another user's, and for root too


def changed(path):
    path.write_bytes(b"not sealed")


@pytest.mark.parametrize(
    ("harm", "error"), [(unreadable, StoreUnavailable), (changed, StoreTampered)]
)
def test_journal_file_that_does_not_open(tmp_path, world, others, harm, error):
    """It is an error that says which, after everything else was done."""
    journal = FolderJournal(tmp_path / "journal", world.header)
    world.here = Actor(world, journal)
    for token_id in others[:2]:
        unsaved(world, token_id)
    bad = tmp_path / "journal" / next(journal.entries()).name
    harm(bad)
    part = tmp_path / "journal" / "7f-1.part"
    part.touch()

    with pytest.raises(error, match="journal"):
        world.here.keeper.sweep()

    assert list(journal.entries(on_error=lambda _: None)) == []
    assert not part.exists()


def test_store_that_does_not_answer(world, others):
    """A store that is down ends the sweep: it is not waited for once for each answer."""
    for token_id in others[:3]:
        unsaved(world, token_id)
    tried = []
    world.here.store.before["read"].extend([lambda: tried.append(1)] * 9)
    world.here.store.down = True

    with pytest.raises(StoreUnavailable):
        world.here.keeper.sweep()

    assert tried == [1]
