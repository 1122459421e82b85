"""LATE: answers that can't be saved on their claim. Rules `save`, `keeprt`, `lift`, and others."""

from __future__ import annotations

import pytest
from renewal_scenario import USER, World

from tokenkeep import LoginNeeded, ProviderUnavailable, Status, TokenNotFound, TokenRevoked

FRESH = ("refresh_token", "login-1/1")


@pytest.fixture(params=[{}, {"rotates": True, "kills": True}], ids=["same", "rotating"])
def either(request):
    """A provider whose refresh tokens stay the same, and one that kills when they don't."""
    return World(**request.param)


def test_answer_survives_a_stranger_s_write(either):
    """Invariant 4: writes by others lose neither the answer nor what they wrote."""
    for scope in ("one", "two", "three"):
        either.here.store.before["save"].append(lambda s=scope: either.write(scope=s))

    token = either.get()

    assert token.pair == either.stored.pair
    assert ("access-2", "three") == (token.access_token, either.stored.scope)
    assert either.provider.accepts(either.stored.refresh_token)
    assert len(either.provider.sent) == 1


def test_new_login_is_not_overwritten(either):
    """Invariant 7: a login that ended while the answer was on its way stays."""
    either.provider.during.append(lambda: either.login("login-2", "newer", left=3600))

    token = either.get()

    assert ("newer", "login-2/0") == token.pair == either.stored.pair
    assert "superseded" in either.here.names()


def test_new_login_without_a_refresh_token_is_not_overwritten(world):
    """Invariant 7: nor is one that answered no refresh token, so that the stored one stayed."""
    world.provider.during.append(
        lambda: world.login(None, "access-of-login-2", left=3600, grant_token="another code")
    )

    token = world.get()

    assert "access-of-login-2" == token.access_token == world.stored.access_token


def test_revoked_meanwhile(either):
    """
    Invariant 7: an answer that comes after a revocation is not saved, and dies as well.

    The refresh token that the revoker sent to the provider may have been spent by then.
    """
    either.provider.during.append(lambda: either.there.keeper.revoke(either.id))

    with pytest.raises(TokenRevoked):
        either.get()

    assert (Status.REVOKED, None) == (either.stored.status, either.stored.access_token)
    fresh = "login-1/1" if either.provider.rotates else "access-2"
    assert either.provider.revoked == ["login-1/0", fresh]
    assert {"login-1"} == either.provider.dead


def test_deleted_meanwhile(either):
    """
    Invariant 7: an answer never makes a deleted row again, and is not left alive.

    A refresh token that is the same as before stays as whoever deleted the row has left it.
    """
    either.provider.during.append(lambda: either.there.keeper.delete(either.id))

    with pytest.raises(TokenNotFound):
        either.get()

    assert list(either.there.keeper.tokens()) == []
    assert either.provider.revoked == ["login-1/1" if either.provider.rotates else "access-2"]


def test_same_user_s_new_row_is_not_touched(world):
    """An answer for a deleted row does not land in the row that the next login made."""

    def login_anew():
        world.there.keeper.delete(world.id)
        world.login("login-2", "access-of-login-2", left=3600)

    world.provider.during.append(login_anew)

    with pytest.raises(TokenNotFound):
        world.get()

    found = world.there.keeper.get(user=USER)
    assert found.access_token == "access-of-login-2"


def test_second_save_from_one_base(world):
    """Invariant 2: of two renewals of one token only the first is saved, never both."""
    world.provider.during.append(lambda: world.get(world.there))

    token = world.get()

    winner = world.there.store.written.count("save")
    assert (winner, world.here.store.written.count("save")) == (1, 0)
    assert token.access_token == world.stored.access_token


@pytest.mark.parametrize("outcome", ["unknown", "refused"])
def test_outcome_of_the_save_is_not_known(world, outcome):
    """A save that was committed without a word is recognised; one that was not is made again."""
    getattr(world.here.store, outcome).append("save")

    token = world.get()

    assert token.access_token == world.stored.access_token == "access-2"
    assert len(world.provider.sent) == 1
    assert world.here.store.written.count("save") == 1
    assert world.here.names() == ["renewed"]


def test_rotated_answer_lifts_login_needed(rotating):
    """
    A refresh token that came with the answer proves a login_needed wrong.

    Somebody who took the claim over was rejected with the spent refresh
    token and wrote the verdict before the answer could be saved.
    """
    rotating.here.store.before["save"].append(
        lambda: rotating.write(status=Status.LOGIN_NEEDED),
    )

    token = rotating.get()

    assert Status.OK is token.status is rotating.stored.status
    assert rotating.provider.accepts(rotating.stored.refresh_token)


def test_unrotated_answer_does_not_lift_login_needed(world):
    """With the same refresh token the later word stands: it was rejected."""
    world.here.store.before["save"].append(lambda: world.write(status=Status.LOGIN_NEEDED))

    with pytest.raises(Exception, match="rejected the refresh token"):
        world.get()

    assert Status.LOGIN_NEEDED is world.stored.status


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


def test_journal_entry_goes_last(rotating):
    """Invariant 4: while the save is not final, the journal keeps the answer."""
    kept = []
    look = lambda: kept.append(len(list(rotating.here.journal.entries())))  # noqa: E731
    rotating.here.store.before["save"] += [
        lambda: (look(), rotating.write(scope="x")),
        lambda: (look(), rotating.write(scope="y")),
        look,
    ]

    rotating.get()

    assert kept == [1, 1, 1]
    assert list(rotating.here.journal.entries()) == []


def test_answer_that_the_row_has_gone_on_from(rotating):
    """An old entry of a journal says nothing about a refresh token that was spent since."""
    kept = []
    rotating.here.journal.remove = kept.append  # as a crash before it does
    rotating.get()
    rotating.expire()
    rotating.get(rotating.there)

    rotating.beside.keeper.sweep()

    assert (rotating.stored.renewal.replaced, rotating.stored.renewal.to_revoke) == ((), ())
    assert "login-1/2" == rotating.stored.refresh_token


# Another login, or another access token, is stored by then


@pytest.mark.parametrize("grant", [False, True], ids=["each by itself", "the whole consent"])
def test_superseded_answer_is_seen_to(grant):
    """
    Invariant 15: the fresh refresh token of a login that was replaced is not forgotten alive.

    It takes the place of the spent one: in what is to be revoked now, or in what ends with
    the user's new login where revoking it would end that.
    """
    world = World(rotates=True, revokes_grant=grant)
    world.provider.during.append(lambda: world.login("login-2", "newer", left=3600))

    assert world.get().access_token == "newer"

    renewal = world.stored.renewal
    spent = ("refresh_token", "login-1/0")
    assert FRESH in (renewal.replaced if grant else renewal.to_revoke)
    assert spent not in renewal.replaced + renewal.to_revoke
    world.here.keeper.sweep()
    assert set() == world.provider.dead & {"login-2"}
    world.here.keeper.revoke(world.id)
    assert {"login-1", "login-2"} == world.provider.dead


@pytest.mark.parametrize("away", [False, True])
def test_superseded_answer_is_seen_to_in_the_end(rotating, away):
    """It compares and writes as all else does; until it could, the journal keeps the answer."""
    store = rotating.here.store
    rotating.provider.during.append(lambda: rotating.login("login-2", "newer", left=3600))
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
    assert list(rotating.here.journal.entries()) == []


def save(world, **fields):
    """Save an access token alone, as an import does, or a login that answers no refresh token."""
    return world.login(None, "access of a save", left=3600, **fields)


def lives_on(world):
    """Tell whether the stored refresh token works, and the next renewal too."""
    alive = world.provider.accepts(world.stored.refresh_token)
    world.expire()
    return alive and world.get().access_token == world.stored.access_token


@pytest.mark.parametrize("grant", [None, "another code"])
def test_save_without_a_refresh_token(killing, grant):
    """Invariant 4: the only refresh token that lives is saved, and its access token with it."""
    killing.provider.during.append(lambda: save(killing, grant_token=grant, scope="wider"))

    token = killing.get()

    assert ("access-2", "login-1/1") == token.pair == killing.stored.pair
    assert killing.stored.expires_at == killing.clock.now() + 3600
    assert killing.stored.scope == "wider"
    assert "superseded" not in killing.here.names()
    assert lives_on(killing)
    assert killing.provider.sent == ["login-1/0", "login-1/1"]


def test_replayed_over_a_save(killing):
    """Invariant 4: an answer in the journal is still the only one, whatever was saved since."""
    killing.here.store.before["save"].append(killing.here.store.goes_down)
    assert killing.get().access_token == "access-2"
    killing.here.store.down = False
    save(killing)

    swept = killing.beside.keeper.sweep()

    assert (swept.saved, swept.discarded) == (1, 0)
    assert killing.stored.pair == ("access-2", "login-1/1")
    assert lives_on(killing)


def test_entry_of_what_was_saved_long_ago(killing):
    """An answer whose refresh token was stored already does not come back over a save."""
    kept = []
    killing.here.journal.remove = kept.append  # as a crash before it does
    killing.get()
    save(killing)

    assert len(kept) == 1
    assert killing.beside.keeper.sweep().discarded == 1
    assert killing.stored.pair == ("access of a save", "login-1/1")


def test_login_after_a_verdict(rotating):
    """A login that omits the refresh token after login_needed leaves room for the late answer."""

    def rejected_then_login():
        rotating.write(status=Status.LOGIN_NEEDED)
        save(rotating, grant_token="another code")

    rotating.here.store.before["save"].append(rejected_then_login)

    rotating.get()

    assert Status.OK is rotating.stored.status
    assert rotating.stored.pair == ("access-2", "login-1/1")


def test_what_was_revoked_does_not_come_back(rotating):
    """Invariant 7: nor does a login without a refresh token bring back what was revoked."""

    def revoked_then_login():
        rotating.there.keeper.revoke(rotating.id)
        save(rotating, grant_token="another code")

    rotating.provider.during.append(revoked_then_login)

    assert rotating.get().pair == ("access of a save", None)
    rotating.expire()
    with pytest.raises(LoginNeeded):
        rotating.get()


def test_without_rotation_the_save_stands(world):
    """Where the refresh token stays the same nothing is lost: the later access token is used."""
    world.provider.during.append(lambda: save(world))

    token = world.get()

    assert ("access of a save", "login-1/0") == token.pair == world.stored.pair


# Taken back


def test_provider_out_of_reach(rotating):
    """Invariant 7: a fresh token that could not be revoked is kept until a sweep can."""

    def revoke():
        rotating.provider.unreachable = True
        rotating.there.keeper.revoke(rotating.id)

    rotating.provider.during.append(revoke)
    with pytest.raises(TokenRevoked):
        rotating.get()
    assert "revocation_pending" in rotating.here.names()
    assert set() == rotating.provider.dead

    rotating.provider.unreachable = False
    rotating.here.keeper.sweep()

    assert {"login-1"} == rotating.provider.dead
    assert list(rotating.here.journal.entries()) == []


@pytest.mark.parametrize("grant", [False, True], ids=["each by itself", "the whole consent"])
def test_its_user_logs_in_before_the_sweep(grant):
    """Invariant 7: nothing is revoked that would end the newer login, nor forgotten alive."""
    world = World(rotates=True, revokes_grant=grant)

    def delete():
        world.provider.unreachable = True
        world.there.keeper.delete(world.id)

    world.provider.during.append(delete)
    with pytest.raises(TokenNotFound):
        world.get()
    world.provider.unreachable = False
    newer = world.login("login-2", "newer", left=3600)

    world.here.keeper.sweep()

    assert list(world.here.journal.entries()) == []
    assert world.provider.revoked == ([] if grant else ["login-1/1"])
    assert world.here.keeper.get(id=newer.id).access_token == "newer"
    world.here.keeper.end(newer.id)
    assert {"login-1", "login-2"} == world.provider.dead


@pytest.mark.parametrize("rotates", [False, True])
@pytest.mark.parametrize("gone", ["revoke", "delete"])
@pytest.mark.parametrize("when", ["in the call", "in a call that fails", "before the claim"])
def test_taken_back_during_an_early_renewal(rotates, gone, when):
    """Invariant 7: from the commit on nobody gets it, also who read it before."""
    world = World(rotates=rotates)
    world.write(expires_at=world.clock.now() + 200)

    def take_back():
        getattr(world.beside.keeper, gone)(world.id)

    if when == "before the claim":
        world.here.store.before["claim"].append(take_back)
    else:
        world.provider.during.append(take_back)
    if when == "in a call that fails":
        world.provider.lost.append(ProviderUnavailable("It did not answer"))

    with pytest.raises(TokenRevoked if gone == "revoke" else TokenNotFound):
        world.get()


def test_answer_of_a_row_that_is_gone_holds_no_other_up():
    """What only waits to be taken back is left to the sweep: no caller tries it."""
    world = World(revokes_grant=False)

    def delete():
        world.beside.keeper.delete(world.id)
        world.provider.unreachable = True

    world.provider.during.append(delete)
    with pytest.raises(TokenNotFound):
        world.get()
    world.id = world.login().id  # the same login, saved anew
    revoke = world.provider.revoke
    world.provider.revoke = lambda _: pytest.fail("a caller asked for a revocation")

    assert world.get().access_token == "access-3"

    world.provider.revoke, world.provider.unreachable = revoke, False
    world.here.keeper.sweep()
    assert world.provider.revoked == ["access-2"]
