"""LATE: answers that can't be saved on their claim. Rules `save`, `lift`, `ownimage`."""

from __future__ import annotations

import pytest
from renewal_scenario import USER, World

from tokenkeep import Status, TokenNotFound, TokenRevoked


def test_answer_survives_a_stranger_s_write(world):
    """Invariant 4: a write by somebody else loses neither the answer nor what it wrote."""
    world.here.store.before["save"].append(lambda: world.write(scope="ZohoCRM.modules.ALL"))

    token = world.get()

    assert "access-2" == token.access_token == world.stored.access_token
    assert world.stored.scope == "ZohoCRM.modules.ALL"
    assert len(world.provider.sent) == 1


def test_answer_survives_a_stranger_s_write_with_rotation(killing):
    """Invariant 4: with rotation the answer is the only token there is; it is saved."""
    killing.here.store.before["save"].append(lambda: killing.write(scope="all"))

    killing.get()

    assert killing.stored.refresh_token == "login-1/1"
    assert killing.stored.scope == "all"
    assert killing.provider.accepts(killing.stored.refresh_token)


def test_several_conflicts_in_a_row(world):
    """A late save starts over as often as others write."""
    for scope in ("one", "two", "three"):
        world.here.store.before["save"].append(lambda s=scope: world.write(scope=s))

    world.get()

    assert (world.stored.access_token, world.stored.scope) == ("access-2", "three")


def test_new_login_is_not_overwritten(world):
    """Invariant 7: a login that ended while the answer was on its way stays."""
    world.provider.during.append(lambda: world.login("login-2", "access-of-login-2", left=3600))

    token = world.get()

    assert "access-of-login-2" == token.access_token == world.stored.access_token
    assert world.stored.refresh_token == "login-2/0"
    assert "superseded" in world.here.names()


def test_new_login_without_a_refresh_token_is_not_overwritten(world):
    """Invariant 7: nor does one that answered no refresh token, so that the stored one stayed."""
    world.provider.during.append(
        lambda: world.login(None, "access-of-login-2", left=3600, grant_token="another code")
    )

    token = world.get()

    assert "access-of-login-2" == token.access_token == world.stored.access_token


def test_revocation_is_not_lifted(world):
    """Invariant 7: an answer that comes after a revocation is not saved and not handed out."""
    world.provider.during.append(lambda: world.there.keeper.revoke(world.id))

    with pytest.raises(TokenRevoked):
        world.get()

    assert Status.REVOKED is world.stored.status
    assert world.stored.access_token is None


def test_deleted_row_is_not_made_again(world):
    """Invariant 7: an answer never inserts a row that was deleted meanwhile."""
    world.provider.during.append(lambda: world.there.keeper.delete(world.id))

    with pytest.raises(TokenNotFound):
        world.get()

    assert list(world.there.keeper.tokens()) == []


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


def test_outcome_of_the_save_is_not_known(world):
    """A save that was committed without a word is recognised, not repeated."""
    world.here.store.unknown.append("save")

    token = world.get()

    assert token.access_token == world.stored.access_token == "access-2"
    assert len(world.provider.sent) == 1
    assert world.here.store.written.count("save") == 1


def test_save_that_was_not_committed(world):
    """A save that failed without being committed is made again."""
    world.here.store.refused.append("save")

    world.get()

    assert world.stored.access_token == "access-2"
    assert len(world.provider.sent) == 1


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


FRESH = ("refresh_token", "login-1/1")


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


def test_superseded_answer_survives_a_stranger_s_write(rotating):
    """That it is seen to compares and writes as all else does."""
    rotating.provider.during.append(lambda: rotating.login("login-2", "newer", left=3600))
    # The first is the save of the answer, the second sees to it.
    rotating.here.store.before["save"] += [lambda: None, lambda: rotating.write(scope="all")]

    rotating.get()

    assert FRESH in rotating.stored.renewal.replaced
    assert "all" == rotating.stored.scope
    assert list(rotating.here.journal.entries()) == []


def test_superseded_answer_while_the_store_is_away(rotating):
    """Until it is seen to, the journal keeps it."""
    rotating.provider.during.append(lambda: rotating.login("login-2", "newer", left=3600))
    rotating.here.store.before["save"].append(lambda: setattr(rotating.here.store, "down", True))
    rotating.get()
    rotating.here.store.down = False

    assert 1 == rotating.here.keeper.sweep().discarded
    assert FRESH in rotating.stored.renewal.replaced


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
