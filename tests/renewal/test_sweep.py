"""Sweeping: what crashes, outages and logins that never ended left over. Rule `sweepcond`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from renewal_scenario import Actor, ByOwner, World, dead_holder

from tokenkeep import Claim, StoreTampered, StoreUnavailable, Token
from tokenkeep.errors import ConfigurationError, ProviderUnavailable
from tokenkeep.journal import FolderJournal
from tokenkeep.records import record_id

ASKED = Token(grant_token="a code")


def lease(world, nonce):
    """Begin a first login."""
    now = world.clock.now()
    claim = Claim(nonce=nonce, holder=dead_holder(), taken_at=now, length=60.0)
    return world.vault.lease(ASKED, claim)


def test_sweep_deletes_first_logins_given_up(world, keeper):
    """A lease whose holder is gone goes after its time, not before; nobody lists it."""
    lease(world, "n")
    assert [token.id for token in keeper.tokens()] == [world.id]
    world.clock.advance(59)
    assert keeper.sweep().deleted == 0

    world.clock.advance(1)

    assert keeper.sweep().deleted == 1
    assert len(world.backend.scan(None, 10)) == 2  # the store's own, and the row


def test_sweep_leaves_a_login_that_began_meanwhile():
    """A sweep deletes the version it judged; who logs in now, under the same id, is left alone."""
    world = World(backend=ByOwner())
    version, _ = lease(world, "over")
    world.clock.advance(60)
    world.before_write(1, lambda: (world.vault.release(ASKED, version), lease(world, "begun")))

    assert world.here.keeper.sweep().deleted == 0

    assert lease(world, "mine")[1].nonce == "begun"


# What can't be swept holds nothing else up


@pytest.fixture
def others(world):
    """Six more tokens, so that some are before and some behind any of them."""
    logins = (world.login(f"login-{n}", f"first-{n}", user=f"u{n}@x:1") for n in range(2, 8))
    return sorted(token.id for token in logins)


def unsaved(world, ids):
    """Leave answers in the journal, as a store that could not be written does."""
    store = world.here.store
    for token_id in ids:
        store.before["save"].append(store.goes_down)
        world.here.keeper.get(id=token_id)
        store.down = False


def revoked(world, ids):
    """Revoke rows while the provider is out of reach."""
    world.provider.unreachable = True
    for token_id in ids:
        world.here.keeper.revoke(token_id)
    world.provider.unreachable = False


def spoil(world, token_id, **changes):
    """Change a row's record, as nobody does who has its keys."""
    record = world.backend.read(record_id(token_id))
    new = replace(record, **changes, version="a" * 32)
    world.backend.write(new, replaces=record.version)


def test_one_token_that_is_not_revoked(world, keeper, others):
    """Invariant 15: an answer about one token says nothing about the others of its provider."""
    revoked(world, others)
    revoke = world.provider.revoke

    def answers(token):
        if token.refresh_token == "login-2/0":
            raise ProviderUnavailable('provider.example answered "not_revocable"')
        revoke(token)

    world.provider.revoke = answers

    swept = keeper.sweep()

    assert (swept.revoked, swept.unconfirmed) == (5, 1)


@pytest.mark.parametrize("changes", [{}, {"key": 7}], ids=["damaged", "of a lost key"])
def test_row_that_does_not_open(world, keeper, others, changes):
    """Invariant 7: revocations of all other rows are finished; then the error is raised."""
    ids = sorted([*others, world.id])
    revoked(world, ids)
    spoilt = ids[:2] + ids[3:4]
    for token_id in spoilt:
        spoil(world, token_id, **changes)

    with pytest.raises(StoreTampered):
        keeper.sweep()

    assert len(world.provider.revoked) == len(ids) - len(spoilt)


def test_entry_whose_row_does_not_open(world, keeper, others):
    """Invariant 4: the answers of all other rows are saved, and rows are swept as well."""
    unsaved(world, others)
    revoked(world, [world.id])
    bad = world.kept[0].token_id
    spoil(world, bad)

    with pytest.raises(StoreTampered):
        keeper.sweep()

    assert [entry.token_id for entry in world.kept] == [bad]
    assert world.provider.revoked == ["login-1/0"]


def test_entry_whose_provider_is_not_configured(world, keeper, others):
    """An answer of a provider that was taken out of the configuration holds no other up."""
    unsaved(world, others[:3])
    gone = world.kept[0].token_id
    world.here.providers.unknown.add(gone)
    told = []
    assert keeper.sweep(on_error=told.append).saved == 2
    assert [ConfigurationError] == [type(each) for each in told]
    with pytest.raises(ConfigurationError):
        keeper.sweep()

    assert [entry.token_id for entry in world.kept] == [gone]


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
    folder = tmp_path / "journal"
    journal = FolderJournal(folder, world.header)
    world.here = Actor(world, journal)
    unsaved(world, others[:2])
    harm(folder / world.kept[0].name)
    part = folder / "7f-1.part"
    part.touch()

    with pytest.raises(error, match="journal"):
        world.here.keeper.sweep()

    assert list(journal.entries(on_error=lambda _: None)) == []
    assert not part.exists()


def test_store_that_does_not_answer(world, keeper, others):
    """A store that is down ends the sweep: it is not waited for once for each answer."""
    unsaved(world, others[:3])
    tried = []
    world.here.store.before["read"].extend([lambda: tried.append(1)] * 9)
    world.here.store.down = True

    with pytest.raises(StoreUnavailable):
        keeper.sweep()

    assert tried == [1]
