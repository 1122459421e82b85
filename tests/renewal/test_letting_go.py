"""Tidying up never replaces an outcome, neither a token nor an error; and what close() forgets."""

from __future__ import annotations

import shutil

import pytest
from renewal_scenario import OneProvider, World, failing
from reported import reported

from tokenkeep import (
    CoolingDown,
    Keeper,
    LoginNeeded,
    ProviderRefused,
    ProviderUnavailable,
    StoreTampered,
    StoreUnavailable,
    TokenNotFound,
)
from tokenkeep.stores.list import ListStore

TROUBLES = (
    OSError(9, "Bad file descriptor"),
    StoreUnavailable("The database did not answer"),
    StoreTampered("A row does not open"),
)
TROUBLE = pytest.mark.parametrize("trouble", TROUBLES, ids=lambda each: type(each).__name__)


@pytest.fixture
def world(rotating, tmp_path):
    """A journal in a folder, which may be gone when it is to be let go of."""
    rotating.folder = tmp_path / "journal"
    rotating.keep_in(rotating.folder)
    return rotating


def breaks(world, _=None):
    """Replace the journal's folder, in which there may be an answer, by a file."""
    shutil.rmtree(world.folder)
    world.folder.write_text("in the way")


def fail(thing, method):
    """Return a step: from then on a method fails."""
    return lambda world, trouble: setattr(getattr(world.here, thing), method, failing(trouble))


def at(when, point, step):
    """Return a step: before or after a write of the renewal another one comes."""
    return lambda world, trouble: getattr(world.here.store, when)[point].append(
        lambda: step(world, trouble)
    )


AFTER_A_FAILURE = {
    "the claim can't be written": fail("store", "swap"),
    "the row can't be read": fail("store", "reread"),
    "nor once it is released": at("after", "release", fail("store", "reread")),
}
ERRORS = (
    ProviderRefused("The client is refused", error="invalid_client"),
    ProviderUnavailable("It did not answer"),
    CoolingDown("Too many"),
    ZeroDivisionError(),
)


@TROUBLE
@pytest.mark.parametrize("step", AFTER_A_FAILURE.values(), ids=AFTER_A_FAILURE)
@pytest.mark.parametrize("error", ERRORS, ids=lambda each: type(each).__name__)
def test_after_a_failure(world, trouble, step, error):
    """What the provider said is raised, whatever becomes of claim and row."""
    world.provider.before.append(lambda: step(world, trouble))
    world.provider.trouble += [error, error]

    with pytest.raises(type(error)) as caught:
        world.get()

    assert caught.value is error


AFTER_A_SUCCESS = {
    "folder gone before the call": breaks,
    "before the save": at("before", "save", breaks),
    "after it": at("after", "save", breaks),
    "entry stays": fail("journal", "remove"),
    "entry can't be made": fail("journal", "put"),
    "use can't be noted": fail("store", "touch"),
}


@TROUBLE
@pytest.mark.parametrize("rotates", [True, False])
@pytest.mark.parametrize("step", AFTER_A_SUCCESS.values(), ids=AFTER_A_SUCCESS)
def test_after_a_success(world, trouble, rotates, step):
    """A token that is renewed is handed out, whatever can't be let go of, or noted."""
    world.provider.rotates = rotates
    world.provider.extra = {"clock_offset": 100.0}
    world.clock.advance(3601)  # its use is to be noted again
    world.provider.before.append(lambda: step(world, trouble))

    assert world.get().pair == world.stored.pair == ("access-2", f"login-1/{int(rotates)}")


@TROUBLE
@pytest.mark.parametrize("method", ["answers", "prepare"])
@pytest.mark.parametrize("stays", [False, True])
def test_journal_fails_before_the_call(method, trouble, stays):
    """Invariant 4: without a place for the only answer nobody is asked, and that is said."""
    world = World(rotates=True, mint_limit=10)
    fail("journal", method)(world, trouble)
    if stays:
        at("after", "claim", fail("store", "swap"))(world, StoreUnavailable("Nor does it answer"))

    with pytest.raises(type(trouble)) as caught:
        world.get()

    assert caught.value is trouble
    assert world.provider.sent == []
    if not stays:
        assert (world.stored.renewal.claim, world.stored.renewal.mints) == (None, ())
        assert world.get(world.there).pair == ("access-2", "login-1/1")


@TROUBLE
def test_confirmation_that_can_t_be_noted(world, trouble):
    """What was revoked is revoked; it is revoked once more with the next sweep."""
    revoke = world.provider.revoke
    world.provider.revoke = lambda token: (revoke(token), fail("store", "swap")(world, trouble))

    assert world.here.keeper.revoke(world.id).renewal.to_revoke
    assert world.provider.revoked == ["login-1/0"]


@TROUBLE
@pytest.mark.parametrize("whose", ["keeper", "store"])
def test_closing_after_an_error(world, trouble, whose):
    """An error inside the block is what comes out of it; without one it is what closing says."""
    closes = world.here.keeper if whose == "keeper" else world.here.store.vault
    world.here.store.close = failing(trouble)
    world.here.store.vault.backend.close = failing(trouble)

    with pytest.raises(ZeroDivisionError), closes:
        raise ZeroDivisionError
    with pytest.raises(type(trouble)), closes:
        pass


def test_close_forgets_what_a_six_method_store_is_renewed_with(world):
    """What is still to be revoked, with claims and failures."""
    keeper = Keeper(ListStore(), providers=OneProvider(world.provider), clock=world.clock)
    saved = keeper.save(world.stored.but(id=None, version=None, owner=None))
    world.provider.unreachable = True
    keeper.revoke(saved.id)
    assert keeper.sweep().unconfirmed == 1

    keeper.close()

    assert keeper.sweep().unconfirmed == 0


FAILS = {
    "delete": TokenNotFound,
    "consent withdrawn": LoginNeeded,
    "provider down": ProviderUnavailable,
    "odd answer": ProviderUnavailable,
    "throttled": CoolingDown,
    "store down": StoreUnavailable,
}


@pytest.mark.parametrize("step", FAILS)
def test_what_was_refused_is_in_no_frame(world, step):
    """Neither what the API refused nor what the provider answered is in a local variable."""
    world.write(expires_at=world.clock.now() + 3600)
    world.clock.advance(61)  # else it is too young to be the reason
    world.step(step)()

    with pytest.raises(FAILS[step]) as caught:
        world.here.keeper.rejected(world.id, "access-1")

    text = reported(caught.value)
    assert [secret for secret in ("access-1", "access-2", "login-1/") if secret in text] == []
