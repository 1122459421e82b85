"""Tidying up never replaces an outcome, neither a token nor an error; and what close() forgets."""

from __future__ import annotations

import gc
import shutil
from types import FunctionType, ModuleType

import pytest
from renewal_scenario import Actor, OneProvider, World, failing
from reported import reported
from test_local_swap import SixMethods

from tokenkeep import (
    CoolingDown,
    Keeper,
    LoginNeeded,
    ProviderRefused,
    ProviderUnavailable,
    StoreError,
    StoreTampered,
    StoreUnavailable,
    Token,
    TokenNotFound,
)
from tokenkeep.journal import FolderJournal

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
    """A journal in a folder, which is gone when it is to be let go of."""
    journal = Broken(tmp_path / "journal", rotating.header)
    rotating.here = Actor(rotating, journal)
    return rotating


# The claim, after a failure


@TROUBLE
@pytest.mark.parametrize("method", ["swap", "reread"])
@pytest.mark.parametrize(
    "error",
    [
        ProviderRefused("The client is refused", error="invalid_client"),
        ProviderUnavailable("It did not answer"),
        ZeroDivisionError(),
    ],
    ids=lambda each: type(each).__name__,
)
def test_claim_after_a_failure(world, trouble, method, error):
    """What the provider said is raised, whatever becomes of the claim."""
    world.provider.before += [
        lambda: setattr(world.here.store, method, failing(trouble)),
        lambda: None,
    ]
    world.provider.trouble += [error, error]

    with pytest.raises(type(error)) as caught:
        world.get()

    assert caught.value is error


@TROUBLE
def test_claim_of_a_call_that_was_not_made(rotating, trouble):
    """On a full disk that is said."""
    rotating.here.journal.prepare = failing(StoreUnavailable("The disk is full"))
    rotating.here.store.after["claim"].append(
        lambda: setattr(rotating.here.store.vault, "swap", failing(trouble))
    )

    with pytest.raises(StoreUnavailable, match="The disk is full"):
        rotating.get()


@TROUBLE
@pytest.mark.parametrize("method", ["find", "unread", "prepare"])
def test_claim_of_a_journal_that_fails(rotating, method, trouble):
    """Whatever the journal raises before the call, nobody waits for a claim that is of no use."""
    setattr(rotating.here.journal, method, failing(trouble))

    with pytest.raises((OSError, StoreError)):
        rotating.get()

    assert rotating.stored.renewal.claim is None
    assert rotating.get(rotating.there).pair == ("access-2", "login-1/1")


# The journal


POINTS = {
    "before the call": lambda world: world.provider.before,
    "before the save": lambda world: world.here.store.before["save"],
    "after the save": lambda world: world.here.store.after["save"],
}


@pytest.mark.parametrize("rotates", [True, False])
@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_journal_after_a_success(broken, point, rotates):
    """A token that is renewed is handed out, though its entry, or room, can't be let go of."""
    broken.provider.rotates = rotates
    point(broken).append(broken.here.journal.breaks)

    assert broken.get().pair == broken.stored.pair == ("access-2", f"login-1/{int(rotates)}")


@pytest.mark.parametrize(
    "error", [ProviderUnavailable("It did not answer"), CoolingDown("Too many"), KeyError()]
)
def test_room_after_a_failure(broken, error):
    """Nor to an error."""
    broken.provider.before += [broken.here.journal.breaks, lambda: None]
    broken.provider.trouble += [error, error]

    with pytest.raises(type(error)) as caught:
        broken.get()

    assert caught.value is error


@pytest.mark.parametrize("method", ["remove", "put"])
@TROUBLE
def test_journal_of_somebody_else(rotating, method, trouble):
    """Whatever a journal raises, the token is handed out."""
    setattr(rotating.here.journal, method, failing(trouble))

    assert rotating.get().access_token == "access-2"


def test_clock_that_can_t_be_noted(rotating):
    """How far the clock is off is noted between the answer and its save, and must not end it."""
    rotating.provider.extra = {"clock_offset": 100.0}
    rotating.here.journal.note_clock = failing(OSError(30, "Read-only file system"))
    rotating.here.journal.clock_error = failing(OSError(5, "Input/output error"))

    assert rotating.get().pair == rotating.stored.pair == ("access-2", "login-1/1")


# The look at the row, after a renewal that failed


@TROUBLE
def test_look_after_a_failure(world, trouble):
    """The row can't be read after it: the provider's error is what is said."""
    world.down()
    store = world.here.store
    store.after["release"].append(lambda: setattr(store, "reread", failing(trouble)))

    with pytest.raises(ProviderUnavailable):
        world.get()


# A token in use; a revocation


@TROUBLE
def test_use_that_can_t_be_noted(world, trouble):
    """A token is handed out though it can't be noted that it is in use."""
    world.here.store.touch = failing(trouble)
    world.clock.advance(3601)

    assert world.get().access_token == "access-2"


def test_the_application_s_own_timeout(world):
    """What a signal handler has raised in the midst of it is the application's, and goes on."""
    world.here.store.touch = failing(TimeoutError("the application's alarm"))
    world.clock.advance(3601)

    with pytest.raises(TimeoutError, match="alarm"):
        world.get()


@TROUBLE
def test_confirmation_that_can_t_be_noted(world, trouble):
    """What was revoked is revoked; it is revoked once more with the next sweep."""
    swap = world.here.store.swap

    def swaps(token):
        if world.provider.revoked:
            raise trouble
        return swap(token)

    world.here.store.swap = swaps

    revoked = world.here.keeper.revoke(world.id)

    assert revoked.renewal.to_revoke
    assert world.provider.revoked == ["login-1/0"]


# Closing


@TROUBLE
@pytest.mark.parametrize("whose", ["keeper", "store"])
def test_closing_after_an_error(world, trouble, whose):
    """An error inside the block is what comes out of it; without one it is what closing says."""
    closes = world.here.keeper if whose == "keeper" else world.here.store.vault
    world.here.store.close = failing(trouble)
    world.here.store.vault.backend.close = failing(trouble)

    def works(error=None):
        with closes:
            if error:
                raise error

    with pytest.raises(ZeroDivisionError):
        works(ZeroDivisionError())
    with pytest.raises(type(trouble)):
        works()


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
    store, provider = SixMethods(), world.provider
    keeper = Keeper(store, providers=OneProvider(provider), clock=world.clock)
    saved = keeper.save(world.stored.but(id=None, version=None, owner=None))
    refresh_token = saved.refresh_token
    keeper.get(id=saved.id)
    provider.unreachable = True
    assert keeper.revoke(saved.id).renewal.to_revoke
    store.delete_tokens()
    provider.sent.clear()
    del saved
    assert refresh_token in reachable(keeper)

    keeper.close()

    assert refresh_token not in reachable(keeper)


# What an API refused is nobody's to read


REFUSED = "access-1"


def unreadable(world):
    world.provider.rotates = True
    world.provider.profile = World(rotates=True).provider.profile
    world.provider.odd = 1


FAILS = {
    "gone": (lambda world: world.there.keeper.delete(world.id), TokenNotFound),
    "dead": (lambda world: world.provider.dead.add("login-1"), LoginNeeded),
    "down": (lambda world: world.down(), ProviderUnavailable),
    "unreadable": (unreadable, ProviderUnavailable),
    "throttled": (lambda world: world.provider.trouble.append(CoolingDown("Slow")), CoolingDown),
    "no store": (lambda world: world.here.store.goes_down(), StoreUnavailable),
}


@pytest.mark.parametrize(("step", "error"), FAILS.values(), ids=FAILS)
def test_what_was_refused_is_in_no_frame(world, step, error):
    """Neither what the API refused nor what the provider answered is in a local variable."""
    step(world)

    with pytest.raises(error) as caught:
        world.here.keeper.rejected(world.id, REFUSED)

    text = reported(caught.value)
    assert [secret for secret in (REFUSED, "access-2", "login-1/") if secret in text] == []
