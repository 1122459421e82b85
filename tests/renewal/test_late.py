"""LATE: answers that can't be saved on their claim. Rules `save`, `keeprt`, `lift`, and others."""

from __future__ import annotations

import pytest
from renewal_scenario import USER, World, away, failing

from tokenkeep import LoginNeeded, ProviderUnavailable, Status, TokenNotFound, TokenRevoked

FRESH = ("refresh_token", "login-1/1")
SPENT = ("refresh_token", "login-1/0")
each_grant = pytest.mark.parametrize(
    "grant", [False, True], ids=["each by itself", "the whole consent"]
)


STEPS = {
    "log in": lambda world: world.login("login-2", "newer", left=3600, scope="wider"),
    # An access token alone, as an import does; a login that answers no refresh token.
    "save": lambda world: world.login(None, "saved", left=3600, scope="wider"),
    "log in without": lambda world: world.login(
        None, "saved", left=3600, scope="wider", grant_token="another code"
    ),
    "write": lambda world: world.write(scope="wider"),
    "reject": lambda world: world.write(scope="wider", status=Status.LOGIN_NEEDED),
    "revoke": lambda world: world.there.keeper.revoke(world.id),
    "delete": lambda world: world.there.keeper.delete(world.id),
    "renew": lambda world: (world.expire(), world.get(world.there)),
}
"""What others do."""

NEWER = ("newer", "login-2/0")
SAVED = ("saved", "login-1/0")
ANSWER = ("access-2", "login-1/0")
ROTATED = ("access-2", "login-1/1")
ROWS = {
    # What others do, what the caller gets where the refresh token stays the same, and where it
    # rotates, and what has been revoked at the provider then; None is what the answer brought.
    "write": (ANSWER, ROTATED, []),
    "log in": (NEWER, NEWER, []),
    "save": (SAVED, ROTATED, []),
    "log in without": (SAVED, ROTATED, []),
    "reject": (LoginNeeded, ROTATED, []),
    "reject, log in without": (SAVED, ROTATED, []),
    "revoke": (TokenRevoked, TokenRevoked, ["login-1/0", None]),
    "revoke, log in without": (("saved", None), ("saved", None), ["login-1/0"]),
    "delete": (TokenNotFound, TokenNotFound, [None]),
    "delete, log in": (TokenNotFound, TokenNotFound, []),
}


@pytest.mark.parametrize("when", ["in the call", "before the save", "it waits in the journal"])
@pytest.mark.parametrize("row", ROWS)
def test_the_row_as_it_is_now(either, when, row):
    """
    Invariants 4 and 7: an answer is saved where it still may be, else seen to; one call.

    A refresh token that is the same as before stays as whoever deleted its row has left it.
    """
    world, store = either, either.here.store
    steps, (same, rotates, revoked) = row.split(", "), ROWS[row]

    def happens():
        for step in steps:
            STEPS[step](world)

    def kept_until_it_is_final():
        assert len(world.kept) == world.provider.rotates

    if when == "it waits in the journal":
        store.before["save"].append(store.goes_down)
        assert world.get().access_token == "access-2"
        store.down = False
        happens()
        world.here.keeper.sweep()
    else:
        (world.provider.during if when == "in the call" else store.before["save"]).append(happens)
        store.before["save"] += [kept_until_it_is_final] * 3

    outcome = world.outcome()

    assert outcome == (rotates if world.provider.rotates else same)
    answer = "login-1/1" if world.provider.rotates else "access-2"
    assert [each or answer for each in revoked] == world.provider.revoked
    assert world.calls == 1
    assert world.kept == []
    is_discarded = outcome not in (ANSWER, ROTATED, TokenRevoked, TokenNotFound)
    assert ("superseded" in world.here.names()) is is_discarded
    if isinstance(outcome, tuple):
        assert (*outcome, "wider") == (*world.stored.pair, world.stored.scope)
        assert Status.OK is world.stored.status
        assert world.stored.expires_at == world.clock.now() + 3600
        world.expire()
        assert world.outcome() != outcome
        works = LoginNeeded if outcome[1] is None else world.stored.pair
        assert works == world.outcome()
    elif "log in" in steps:
        assert NEWER == world.there.keeper.get(user=USER).pair
    else:
        rows = [(row.status, row.access_token) for row in world.vault.get_tokens()]
        dead = {TokenRevoked: [(Status.REVOKED, None)], TokenNotFound: []}
        assert rows == dead.get(outcome, [(Status.LOGIN_NEEDED, "access-1")])


@pytest.mark.parametrize("when", ["before", "after"])
def test_outcome_of_the_save_is_not_known(world, when):
    """A save that was committed without a word is recognised; one that was not is made again."""
    getattr(world.here.store, when)["save"].append(away)

    assert world.get().access_token == world.stored.access_token == "access-2"
    assert world.calls == 1
    assert world.here.store.written.count("save") == 1
    assert world.here.names() == ["renewed"]


def test_late_save_keeps_other_processes_mint_times(limited):
    """Invariant 6: a late save does not write its own old image of the mint times."""

    def claim_elsewhere():
        mints = limited.stored.renewal.mints
        limited.write_renewal(mints=(*mints, limited.clock.now()))
        limited.claim()

    limited.provider.during.append(claim_elsewhere)

    limited.get()

    assert limited.stored.access_token == "access-2"
    assert len(limited.stored.renewal.mints) == 2
    assert limited.stored.renewal.claim is None


@pytest.mark.parametrize(
    ("since", "pair"), [("renew", ("access-3", "login-1/2")), ("save", ("saved", "login-1/1"))]
)
def test_entry_of_what_was_saved_long_ago(rotating, since, pair):
    """An answer that was stored does not come back over what has become of the row since."""
    kept = []
    rotating.here.journal.remove = kept.append  # as a crash before it does
    rotating.get()
    STEPS[since](rotating)
    assert len(kept) == 1

    assert rotating.beside.keeper.sweep().discarded == 1
    assert (rotating.stored.renewal.replaced, rotating.stored.renewal.to_revoke) == ((), ())
    assert pair == rotating.stored.pair


@each_grant
def test_superseded_answer_is_seen_to(grant):
    """
    Invariant 15: the fresh refresh token of a login that was replaced is not forgotten alive.

    It takes the place of the spent one: in what is to be revoked now, or in what ends with
    the user's new login where revoking it would end that.
    """
    world = World(rotates=True, revokes_grant=grant)
    world.provider.during.append(lambda: STEPS["log in"](world))

    assert NEWER == world.outcome()
    renewal = world.stored.renewal
    assert FRESH in (renewal.replaced if grant else renewal.to_revoke)
    assert SPENT not in renewal.replaced + renewal.to_revoke
    world.here.keeper.sweep()
    assert set() == world.provider.dead & {"login-2"}
    world.here.keeper.revoke(world.id)
    assert {"login-1", "login-2"} == world.provider.dead


@pytest.mark.parametrize("away", [False, True])
def test_superseded_answer_is_seen_to_in_the_end(rotating, away):
    """It compares and writes as all else does; until it could, the journal keeps the answer."""
    store = rotating.here.store
    rotating.provider.during.append(lambda: STEPS["log in"](rotating))
    # The first is the save of the answer, the second sees to it.
    store.before["save"] += [
        lambda: setattr(store, "down", away),
        lambda: rotating.write(scope="all"),
    ]
    rotating.get()
    store.down = False

    assert away == rotating.here.keeper.sweep().discarded
    assert away or rotating.stored.scope == "all"
    assert FRESH in rotating.stored.renewal.replaced
    assert rotating.kept == []


def in_vain(world, step="delete"):
    """Let the row be taken back while it is renewed, and the provider be out of reach since."""

    def steps():
        world.provider.unreachable = True
        STEPS[step](world)

    world.provider.during.append(steps)
    assert world.outcome() in (TokenNotFound, TokenRevoked)
    assert "revocation_pending" in world.here.names()
    assert set() == world.provider.dead


def test_provider_out_of_reach(rotating):
    """Invariant 7: a fresh token that could not be revoked is kept until a sweep can."""
    in_vain(rotating, "revoke")
    rotating.provider.unreachable = False

    rotating.here.keeper.sweep()

    assert {"login-1"} == rotating.provider.dead
    assert rotating.kept == []


@each_grant
def test_its_user_logs_in_before_the_sweep(grant):
    """Invariant 7: nothing is revoked that would end the newer login, nor forgotten alive."""
    world = World(rotates=True, revokes_grant=grant)
    in_vain(world)
    world.provider.unreachable = False
    STEPS["log in"](world)

    world.here.keeper.sweep()

    assert world.kept == []
    assert world.provider.revoked == ([] if grant else ["login-1/1"])
    newer = world.here.keeper.get(user=USER)
    assert NEWER == newer.pair
    world.here.keeper.end(newer.id)
    assert {"login-1", "login-2"} == world.provider.dead


def test_answer_of_a_row_that_is_gone_holds_no_other_up():
    """What only waits to be taken back is left to the sweep: no caller tries it."""
    world = World(revokes_grant=False)
    in_vain(world)
    world.id = world.login().id  # the same login, saved anew
    reach = world.provider.revoke
    world.provider.revoke = lambda _: pytest.fail("a caller asked for a revocation")

    assert world.get().access_token == "access-3"

    world.provider.revoke, world.provider.unreachable = reach, False
    world.here.keeper.sweep()
    assert world.provider.revoked == ["access-2"]


@pytest.mark.parametrize("rotates", [False, True])
@pytest.mark.parametrize(("gone", "error"), [("revoke", TokenRevoked), ("delete", TokenNotFound)])
@pytest.mark.parametrize("when", ["in the call", "in a call that fails", "before the claim"])
def test_taken_back_during_an_early_renewal(rotates, gone, error, when):
    """Invariant 7: from the commit on nobody gets it, also who read it before."""
    world = World(rotates=rotates)
    world.write(expires_at=world.clock.now() + 200)
    claim = world.here.store.before["claim"]
    steps = claim if when == "before the claim" else world.provider.during
    fails = failing(ProviderUnavailable("It did not answer"))
    is_lost = when == "in a call that fails"
    steps.append(lambda: (STEPS[gone](world), fails() if is_lost else None))

    assert error is world.outcome()
