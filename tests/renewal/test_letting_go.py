"""Tidying up never replaces an outcome, neither a token nor an error; and what close() forgets."""

from __future__ import annotations

import gc
import shutil
from types import FunctionType, ModuleType

import pytest
from renewal_scenario import Actor, OneProvider, World, failing
from reported import reported

from tokenkeep import (
    CoolingDown,
    Keeper,
    LoginNeeded,
    ProviderRefused,
    ProviderUnavailable,
    StoreTampered,
    StoreUnavailable,
    Token,
    TokenNotFound,
)
from tokenkeep.journal import FolderJournal
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
    rotating.here = Actor(rotating, FolderJournal(rotating.folder, rotating.header))
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
    """
    Invariant 4: without a place for the only answer nobody is asked, and that is said.

    Nor does anybody wait for a claim that is of no use, if it can be let go of.
    """
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
    world.provider.revoke = lambda token: (
        revoke(token),
        fail("store", "swap")(world, trouble),
    )

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


def reachable(root):
    """Return all texts that an object leads to; not by way of code."""
    seen, texts, left = set(), set(), [root]
    while left:
        each = left.pop()
        if id(each) in seen or isinstance(each, type | FunctionType | ModuleType):
            continue
        seen.add(id(each))
        if isinstance(each, str):
            texts.add(each)
        left += gc.get_referents(each)
    return texts


def test_close_forgets(fleet):
    """What was handed out, looked up and digested is in a closed keeper's memory no more."""
    keeper = fleet.keeper()
    got = keeper.get(id=fleet.id)
    assert keeper.get(Token(refresh_token=got.refresh_token, client_id=got.client_id)) == got
    secrets = {got.access_token, got.refresh_token, got.client_secret}
    assert secrets & reachable(keeper)

    keeper.close()

    assert not secrets & reachable(keeper)
    assert keeper.get(id=fleet.id).pair == got.pair  # it opens anew


def test_close_forgets_what_a_six_method_store_is_renewed_with(world):
    """What is still to be revoked, with claims and failures."""
    store = ListStore()
    keeper = Keeper(store, providers=OneProvider(world.provider), clock=world.clock)
    saved = keeper.save(world.stored.but(id=None, version=None, owner=None))
    world.provider.unreachable = True
    keeper.revoke(saved.id)
    store.delete_tokens()
    assert "login-1/0" in reachable(keeper)

    keeper.close()

    assert "login-1/0" not in reachable(keeper)


FAILS = {
    "gone": (lambda world: world.there.keeper.delete(world.id), TokenNotFound),
    "dead": (lambda world: world.provider.dead.add("login-1"), LoginNeeded),
    "down": (lambda world: world.down(), ProviderUnavailable),
    "unreadable": (lambda world: setattr(world.provider, "odd", 1), ProviderUnavailable),
    "throttled": (lambda world: world.provider.trouble.append(CoolingDown("Slow")), CoolingDown),
    "no store": (lambda world: world.here.store.goes_down(), StoreUnavailable),
}


@pytest.mark.parametrize(("step", "error"), FAILS.values(), ids=FAILS)
def test_what_was_refused_is_in_no_frame(world, step, error):
    """
    Neither what the API refused nor what the provider answered is in a local variable.

    Nor is it handed out again because the provider, or the store, is down.
    """
    world.write(expires_at=world.clock.now() + 3600)
    world.clock.advance(61)  # else it is too young to be the reason
    step(world)

    with pytest.raises(error) as caught:
        world.here.keeper.rejected(world.id, "access-1")

    text = reported(caught.value)
    assert [secret for secret in ("access-1", "access-2", "login-1/") if secret in text] == []
