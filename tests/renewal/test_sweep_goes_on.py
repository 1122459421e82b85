"""A sweep does what it can: one row or journal entry that does not open holds no other up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from renewal_scenario import Actor

from tokenkeep import StoreTampered, StoreUnavailable
from tokenkeep.errors import ConfigurationError
from tokenkeep.journal import FolderJournal
from tokenkeep.records import record_id

OTHERS = range(2, 8)


@pytest.fixture
def others(world):
    """Six more tokens, so that some are before and some behind any of them."""
    logins = (world.login(f"login-{n}", f"first-{n}", user=f"u{n}@x:1") for n in OTHERS)
    return sorted(token.id for token in logins)


def rewrite(world, token_id, **changes):
    record = world.backend.read(record_id(token_id))
    new = replace(record, **changes, version="a" * 32)
    world.backend.write(new, replaces=record.version)


def damage(world, token_id):
    rewrite(world, token_id)


def seal_under_a_lost_key(world, token_id):
    rewrite(world, token_id, key=7)


@pytest.mark.parametrize("spoil", [damage, seal_under_a_lost_key])
def test_row_that_does_not_open(world, others, spoil):
    """Invariant 7: revocations of all other rows are finished; then the error is raised."""
    keeper = world.here.keeper
    ids = sorted([*others, world.id])
    world.provider.unreachable = True
    for token_id in ids:
        keeper.revoke(token_id)
    world.provider.unreachable = False
    spoilt = ids[:2] + ids[3:4]
    for token_id in spoilt:
        spoil(world, token_id)

    with pytest.raises(StoreTampered):
        keeper.sweep()

    assert len(world.provider.revoked) == len(ids) - len(spoilt)


def unsaved(world, token_id):
    """Leave an answer in the journal, as a store that could not be written does."""
    store = world.here.store
    store.before["save"].append(lambda: setattr(store, "down", True))
    world.here.keeper.get(id=token_id)
    store.down = False


def test_entry_whose_row_does_not_open(world, others):
    """Invariant 4: the answers of all other rows are saved, and rows are swept as well."""
    for token_id in others:
        unsaved(world, token_id)
    world.provider.unreachable = True
    world.here.keeper.revoke(world.id)
    world.provider.unreachable = False
    entries = list(world.here.journal.entries())
    damage(world, entries[0].token_id)

    with pytest.raises(StoreTampered):
        world.here.keeper.sweep()

    assert [entry.token_id for entry in world.here.journal.entries()] == [entries[0].token_id]
    assert world.provider.revoked == ["login-1/0"]


def test_entry_whose_provider_is_not_configured(world, others, monkeypatch):
    """An answer of a provider that was taken out of the configuration holds no other up."""
    for token_id in others[:3]:
        unsaved(world, token_id)
    of = world.here.keeper.providers.of
    gone = next(world.here.journal.entries()).token_id

    def configured(token):
        if token.id == gone:
            raise ConfigurationError("There is no provider 'gone'")
        return of(token)

    monkeypatch.setattr(world.here.keeper._renewer, "_provider_of", configured)

    with pytest.raises(ConfigurationError):
        world.here.keeper.sweep()

    assert [entry.token_id for entry in world.here.journal.entries()] == [gone]


def test_journal_file_that_can_not_be_read(tmp_path, world, others):
    """A journal file that only another user may read holds no other up either."""
    journal = FolderJournal(tmp_path / "journal", world.header)
    world.here = Actor(world, journal)
    for token_id in others[:2]:
        unsaved(world, token_id)
    unreadable = tmp_path / "journal" / next(journal.entries()).name
    unreadable.unlink()
    unreadable.mkdir()  # as little to be read as another user's, and for root too

    with pytest.raises(StoreUnavailable):
        world.here.keeper.sweep()

    assert list(journal.entries(on_error=lambda _: None)) == []


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
