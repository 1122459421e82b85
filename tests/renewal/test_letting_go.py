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


class Broken(FolderJournal):
    """A journal whose folder is replaced by a file once an answer is in it, or room for one."""

    def __init__(self, folder, header):
        super().__init__(folder, header)
        self.path = folder

    def breaks(self):
        shutil.rmtree(self.path)
        self.path.write_text("in the way")


@pytest.fixture
def broken(rotating, tmp_path):
    """A journal in a folder, which may be gone when it is to be let go of."""
    rotating.here = Actor(rotating, Broken(tmp_path / "journal", rotating.header))
    return rotating


def fail(thing, method):
    """Return a step: from then on a method fails."""
    return lambda here, trouble: setattr(getattr(here, thing), method, failing(trouble))


def look_fails(here, trouble):
    here.store.after["release"].append(lambda: fail("store", "reread")(here, trouble))


AFTER_A_FAILURE = {
    "the claim can't be written": fail("store", "swap"),
    "the row can't be read": fail("store", "reread"),
    "nor once it is released": look_fails,
    "room can't be given back": lambda here, _: here.journal.breaks(),
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
def test_after_a_failure(broken, trouble, step, error):
    """What the provider said is raised, whatever becomes of claim, row and room."""
    broken.provider.before.append(lambda: step(broken.here, trouble))
    broken.provider.trouble += [error, error]

    with pytest.raises(type(error)) as caught:
        broken.get()

    assert caught.value is error


AFTER_A_SUCCESS = {
    "folder gone before the call": lambda here, _: here.journal.breaks(),
    "before the save": lambda here, _: here.store.before["save"].append(here.journal.breaks),
    "after it": lambda here, _: here.store.after["save"].append(here.journal.breaks),
    "entry stays": fail("journal", "remove"),
    "entry can't be made": fail("journal", "put"),
    "clock can't be noted": fail("journal", "note_clock"),
    "nor is it known": fail("journal", "clock_error"),
    "use can't be noted": fail("store", "touch"),
}


@TROUBLE
@pytest.mark.parametrize("rotates", [True, False])
@pytest.mark.parametrize("step", AFTER_A_SUCCESS.values(), ids=AFTER_A_SUCCESS)
def test_after_a_success(broken, trouble, rotates, step):
    """A token that is renewed is handed out, whatever can't be let go of, or noted."""
    broken.provider.rotates = rotates
    broken.provider.extra = {"clock_offset": 100.0}
    broken.clock.advance(3601)  # its use is to be noted again
    broken.provider.before.append(lambda: step(broken.here, trouble))

    assert broken.get().pair == broken.stored.pair == ("access-2", f"login-1/{int(rotates)}")


@TROUBLE
@pytest.mark.parametrize("method", ["find", "unread", "prepare"])
@pytest.mark.parametrize("stays", [False, True])
def test_journal_fails_before_the_call(method, trouble, stays):
    """
    Invariant 4: without room for the only answer nobody is asked, and that is said.

    Nor does anybody wait for a claim that is of no use, if it can be let go of.
    """
    world = World(rotates=True, mint_limit=10)
    setattr(world.here.journal, method, failing(trouble))
    if stays:
        fails = failing(StoreUnavailable("It did not answer either"))
        world.here.store.after["claim"].append(
            lambda: setattr(world.here.store.vault, "swap", fails)
        )

    with pytest.raises(type(trouble)) as caught:
        world.get()

    assert caught.value is trouble
    assert world.provider.sent == []
    if not stays:
        assert (world.stored.renewal.claim, world.stored.renewal.mints) == (None, ())
        assert world.get(world.there).pair == ("access-2", "login-1/1")


def test_the_application_s_own_timeout(world):
    """What a signal handler has raised in the midst of it is the application's, and goes on."""
    world.here.store.touch = failing(TimeoutError("the application's alarm"))
    world.clock.advance(3601)

    with pytest.raises(TimeoutError, match="alarm"):
        world.get()


@TROUBLE
def test_confirmation_that_can_t_be_noted(world, trouble):
    """What was revoked is revoked; it is revoked once more with the next sweep."""
    revoke = world.provider.revoke
    world.provider.revoke = lambda token: (
        revoke(token),
        fail("store", "swap")(world.here, trouble),
    )

    assert world.here.keeper.revoke(world.id).renewal.to_revoke
    assert world.provider.revoked == ["login-1/0"]


# Closing


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


# What an API refused is nobody's to read


FAILS = {
    "gone": (lambda world: world.there.keeper.delete(world.id), TokenNotFound),
    "dead": (lambda world: world.provider.dead.add("login-1"), LoginNeeded),
    "down": (lambda world: world.down(), ProviderUnavailable),
    "unreadable": (lambda world: setattr(world.provider, "odd", 1), ProviderUnavailable),
    "throttled": (lambda world: world.provider.trouble.append(CoolingDown("Slow")), CoolingDown),
    "no store": (lambda world: world.here.store.goes_down(), StoreUnavailable),
}


@pytest.mark.parametrize(("step", "error"), FAILS.values(), ids=FAILS)
def test_what_was_refused_is_in_no_frame(rotating, step, error):
    """Neither what the API refused nor what the provider answered is in a local variable."""
    step(rotating)

    with pytest.raises(error) as caught:
        rotating.here.keeper.rejected(rotating.id, "access-1")

    text = reported(caught.value)
    assert [secret for secret in ("access-1", "access-2", "login-1/") if secret in text] == []
