"""Sweeping: what crashes, outages and logins that never ended left over. Rule `sweepcond`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from interference import before_write
from renewal_scenario import ByOwner, World, dead_holder

from tokenkeep import Claim, StoreTampered, StoreUnavailable, Token
from tokenkeep.errors import ConfigurationError, ProviderUnavailable
from tokenkeep.lookup import first_login_of
from tokenkeep.records import record_id


def test_first_logins_given_up():
    """A lease whose holder is gone goes after its time, in the version that was judged."""
    world = World(backend=ByOwner())
    keeper, name = world.here.keeper, first_login_of(Token(grant_token="a code"))

    def lease(nonce):
        now = world.clock.now()
        claim = Claim(nonce=nonce, holder=dead_holder(), taken_at=now, length=60.0)
        return world.vault.hold(name, claim)

    version, _ = lease("over")
    assert [token.id for token in keeper.tokens()] == [world.id]
    world.clock.advance(59)
    assert keeper.sweep().deleted == 0
    world.clock.advance(1)
    before_write(world, 1, lambda: (world.vault.let_go(name, version), lease("begun")))
    assert keeper.sweep().deleted == 0
    assert lease("mine")[1].nonce == "begun"
    world.clock.advance(60)

    assert keeper.sweep().deleted == 1
    assert len(world.backend.scan(None, 10)) == 2  # the store's own, and the row


@pytest.fixture
def others(tmp_path, world):
    """Six more tokens, so that some are before and some behind any of them."""
    world.keep_in(tmp_path / "journal")
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


def test_one_token_that_is_not_revoked(world, others):
    """Invariant 15: an answer about one token says nothing about the others of its provider."""
    revoked(world, others)
    revoke = world.provider.revoke

    def answers(token):
        if token.refresh_token == "login-2/0":
            raise ProviderUnavailable('provider.example answered "not_revocable"')
        revoke(token)

    world.provider.revoke = answers

    swept = world.here.keeper.sweep()

    assert (swept.revoked, swept.unconfirmed) == (5, 1)


@pytest.mark.parametrize("changes", [{}, {"key": 7}], ids=["damaged", "of a lost key"])
def test_row_that_does_not_open(world, others, changes):
    """Invariant 7: revocations of all other rows are finished; then the error is raised."""
    ids = sorted([*others, world.id])
    revoked(world, ids)
    spoilt = ids[:2] + ids[3:4]
    for token_id in spoilt:
        spoil(world, token_id, **changes)

    with pytest.raises(StoreTampered):
        world.here.keeper.sweep()

    assert len(world.provider.revoked) == len(ids) - len(spoilt)


BAD = {
    "a row that does not open": (lambda world, row, _: spoil(world, row), StoreTampered),
    "a provider that is not configured any more": (
        lambda world, row, _: world.here.providers.unknown.add(row),
        ConfigurationError,
    ),
    "a file that does not open": (lambda *given: given[2].write_bytes(b"x"), StoreTampered),
    # A folder is as little to be read as another user's file, and for root too.
    "a file that can't be read": (
        lambda _, __, path: (path.unlink(), path.mkdir()),
        StoreUnavailable,
    ),
}


@pytest.mark.parametrize(("harm", "error"), BAD.values(), ids=BAD)
def test_entry_that_can_t_be_dealt_with(world, others, tmp_path, harm, error):
    """Invariant 4: the answers of all other rows are saved, and rows are swept as well."""
    unsaved(world, others)
    revoked(world, [world.id])
    bad, folder = world.kept[0], tmp_path / "journal"
    harm(world, bad.asked.id, folder / bad.name)
    told = []

    assert world.here.keeper.sweep(on_error=told.append).saved == 5

    assert {error} == {type(each) for each in told}
    assert [bad.name] == [path.name for path in folder.iterdir()]
    assert world.provider.revoked == ["login-1/0"]
    with pytest.raises(error):
        world.here.keeper.sweep()


def test_store_that_does_not_answer(world, others):
    """A store that is down ends the sweep: it is not waited for once for each answer."""
    unsaved(world, others[:3])
    tried = []
    world.here.store.before["read"] += [lambda: tried.append(1)] * 9
    world.here.store.down = True

    with pytest.raises(StoreUnavailable):
        world.here.keeper.sweep()

    assert tried == [1]
