"""What becomes of a row of one store in another."""

from __future__ import annotations

import dataclasses
from itertools import product

import pytest
from moved_tokens import CLAIM, NOW, login, renewed, revoked

from tokenkeep import Token
from tokenkeep.moving import Action
from tokenkeep.moving.judging import arrived, judge
from tokenkeep.saving import Habits, is_older, rotated
from tokenkeep.token import Status

OK, DEAD, REVOKED = Status.OK, Status.LOGIN_NEEDED, Status.REVOKED
WRITTEN = ("earlier", "at once", "later")
"""The source's row, beside the target's."""

SAME_LOGIN = {
    "the same": {},
    "rotated since": {"refresh_token": "rotated"},
    "saved twice": {"nonce": "two"},
}
"""Either the refresh token or the login's nonce tells."""

OTHER_LOGIN = {"refresh_token": "r", "nonce": "two"}
ONE_HOUR = {"refresh_token": None, "nonce": None}
FOLLOWED = {"past": ("refresh ana",)}
"""As a row that had the target's login before its own."""

#   source, target  -> earlier, at once, later
OF_SAME = {
    (OK, OK): "- - update",
    (OK, DEAD): "- - update",
    (OK, REVOKED): "- - -",
    (DEAD, OK): "- - update",
    (DEAD, DEAD): "- - update",
    (DEAD, REVOKED): "- - -",
    (REVOKED, OK): "update update update",
    (REVOKED, DEAD): "update update update",
    (REVOKED, REVOKED): "- - -",
}
OF_ANOTHER = {
    (OK, OK): "skip skip skip",
    (OK, DEAD): "update update update",
    (OK, REVOKED): "skip skip skip",
    (DEAD, OK): "skip skip skip",
    (DEAD, DEAD): "skip skip skip",
    (DEAD, REVOKED): "skip skip skip",
    (REVOKED, OK): "skip skip skip",
    (REVOKED, DEAD): "skip skip skip",
    (REVOKED, REVOKED): "skip skip skip",
}
ACTIONS = {"-": Action.NOTHING, "update": Action.UPDATE, "skip": Action.SKIP}

KEPT = Habits(revokes_grant=True)
EACH = Habits(revokes_grant=False)


def spent(*tokens):
    """Return what a row remembers of refresh tokens it had."""
    row = Token(refresh_token=tokens[0])
    for each in (*tokens[1:], "now"):
        row = rotated(row, each)
    return row.renewal.past


def secret(*tokens):
    return tuple(("refresh_token", each) for each in tokens)


def row(name="ana", *, nonce="one", past=(), **more):
    """Return a row as it is stored."""
    given = {"id": "1", "version": "v", "owner": "o", "created_at": NOW, "updated_at": NOW}
    stored = login(name, **(given | {"logged_in_at": NOW} | more))
    return stored.with_renewal(login=nonce, past=spent(*past) if past else ())


def judged(mine, there, *, replace=False, habits=EACH):
    verdict = judge(mine, [there], replace=replace, habits=habits)
    return verdict.action, verdict.row


def test_an_update_loses_nothing_that_counts():
    """Renewals of both sides count on, and what either has to revoke is still to be revoked."""
    mine = renewed(row(), NOW + 1).with_renewal(
        mints=(1.0, 3.0), to_revoke=secret("x", "y"), replaced=secret("u"), claim=CLAIM
    )
    there = row(id="2", version="w", owner="p").with_renewal(
        mints=(2.0, 3.0), to_revoke=secret("z", "x"), replaced=secret("v")
    )

    action, written = judged(mine, there)

    assert Action.UPDATE == action
    assert ("2", "w", "p") == (written.id, written.version, written.owner)
    assert mine.pair == written.pair
    assert (1.0, 2.0, 3.0) == written.renewal.mints
    assert set(secret("x", "y", "z")) == set(written.renewal.to_revoke)
    assert set(secret("u", "v")) == set(written.renewal.replaced)
    assert written.renewal.claim is None
    assert (Action.NOTHING, None) == judged(mine, written)
    assert secret("x", "y", "z") == judged(there, mine)[1].renewal.to_revoke


def test_who_renews_in_the_target_goes_on():
    """Without the claim another process would send the same refresh token."""
    there = row().with_renewal(claim=CLAIM)
    elsewhere = dataclasses.replace(CLAIM, nonce="elsewhere")
    mine = renewed(row(), NOW + 1).with_renewal(claim=elsewhere)

    assert CLAIM == judged(mine, there)[1].renewal.claim
    rotated = judged(mine.but(refresh_token="another"), there)[1]
    assert rotated.renewal.claim is None
    revoked = mine.but(status=REVOKED, access_token=None)
    assert judged(revoked, there)[1].renewal.claim is None


def test_what_a_row_had_stays_known():
    """A copy that does not know of it does not let an older refresh token in again."""
    mine = row(updated_at=NOW + 1, past=["a"])

    _, written = judged(mine, row(past=["b"]))

    assert all(is_older(written, each) for each in "ab")


def test_another_refresh_token_counts_its_own_renewals():
    """Limits are counted for each refresh token."""
    mine = row(refresh_token="new", updated_at=NOW + 1).with_renewal(mints=(3.0,))

    _, written = judged(mine, row().with_renewal(mints=(1.0, 2.0)))

    assert (3.0,) == written.renewal.mints


@pytest.mark.parametrize(
    ("mine", "there", "expected"),
    [
        # What one had before the other's is the older one, whatever the clocks say.
        ({"refresh_token": "new", "past": ["refresh ana"]}, {"updated_at": NOW + 9}, "update"),
        ({"updated_at": NOW + 9}, {"refresh_token": "new", "past": ["refresh ana"]}, "-"),
        # Without refresh tokens, the access token is the login.
        (ONE_HOUR | {"updated_at": NOW + 1}, ONE_HOUR, "update"),
        (ONE_HOUR | {"access_token": "b"}, ONE_HOUR, "skip"),
        ({"scope": "s"}, {}, "-"),
    ],
    ids=["spent there", "spent here", "one access token", "two access tokens", "at one time"],
)
def test_which_of_two_rows_counts(mine, there, expected):
    """Tokens tell whether it is one login and which one goes on, then the clocks."""
    action, _ = judged(row(**mine), row(**there))

    assert ACTIONS[expected] == action


def pair(statuses, when, *, mine=None, there=None):
    """Return a row of the source and one of the target, which differ in any case."""
    at = NOW + WRITTEN.index(when) - 1
    return tuple(
        row(status=status, **({} if status is OK else {"access_token": None}), **more)
        for status, more in zip(
            statuses,
            ({"updated_at": at, "logged_in_at": at, "scope": "s"} | (mine or {}), there or {}),
            strict=True,
        )
    )


def expected(table, statuses, when):
    return ACTIONS[table[statuses].split()[WRITTEN.index(when)]]


@pytest.mark.parametrize("there", [{}, {"id": "2"}])
@pytest.mark.parametrize("same", SAME_LOGIN)
def test_two_rows_of_the_same_login(same, there):
    """What was revoked stays so, a copy that nobody has written too; else the last one counts."""
    for (statuses, when), replace in product(product(OF_SAME, WRITTEN), (False, True)):
        mine, its = pair(statuses, when, mine=SAME_LOGIN[same], there=there)

        action, written = judged(mine, its, replace=replace)

        rotated = same == "rotated since" and statuses in ((OK, REVOKED), (DEAD, REVOKED))
        wanted = Action.UPDATE if rotated else expected(OF_SAME, statuses, when)
        assert wanted == action, (statuses, when)
        left = written or its
        assert (REVOKED in statuses) == (left.status is REVOKED), (statuses, when)
        assert not rotated or secret("rotated") == written.renewal.to_revoke
        if REVOKED not in statuses:
            assert written is None or written.status is mine.status


@pytest.mark.parametrize("followed", [False, True])
@pytest.mark.parametrize("replace", [False, True])
def test_rows_of_two_logins(replace, followed):
    """The target's stays while it is of use; one that the source has got over since goes."""
    for statuses, when in product(OF_ANOTHER, WRITTEN):
        if followed and statuses[0] is REVOKED:
            continue  # then it was revoked with the source's
        mine, its = pair(statuses, when, mine=OTHER_LOGIN | (FOLLOWED if followed else {}))
        follows = followed and when == "later" and statuses[0] is OK
        wins = follows or (replace and statuses[0] is OK)

        action, written = judged(mine, its, replace=replace)

        wanted = Action.UPDATE if wins else expected(OF_ANOTHER, statuses, when)
        assert wanted == action, (statuses, when)
        assert written is None or written.pair == mine.pair


def test_a_revoked_row_takes_earlier_logins_of_it_along():
    """The target has one that the source's row had before it was revoked."""
    mine = revoked(row(refresh_token="r", nonce="two", past=["refresh ana"]))

    action, written = judged(mine, row(updated_at=NOW + 9))

    assert (Action.UPDATE, REVOKED) == (action, written.status)
    for status in (OK, REVOKED):
        its = row(refresh_token="r", nonce="two", past=["refresh ana"], status=status)
        assert (Action.SKIP, None) == judged(row(), its, replace=True)


@pytest.mark.parametrize("habits", [EACH, KEPT])
def test_what_another_login_replaces_is_not_forgotten(habits):
    """It was given from outside: it is revoked with its user's login, as after a save."""
    mine, there = row(**OTHER_LOGIN), row().with_renewal(given=True, to_revoke=secret("x"))

    _, written = judged(mine, there, replace=True, habits=habits)

    seen = (*written.renewal.to_revoke, *written.renewal.replaced)
    assert set(secret("x", "refresh ana")) == set(seen)
    assert (secret("x") if habits is EACH else ()) == written.renewal.to_revoke
    assert (Action.SKIP, None) == judged(there, written, replace=True)


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("habits", [EACH, KEPT])
def test_unfinished_revocations_of_another_login(habits, ended):
    """The target's login stays and sees to them; at once, where that does not end it."""
    mine = revoked(row(**OTHER_LOGIN)).but(ended=ended)

    action, written = judged(mine, row(), habits=habits)

    assert (Action.UPDATE, OK) == (action, written.status)
    lists = (written.renewal.to_revoke, written.renewal.replaced)
    assert ((secret("r"), ()) if habits is EACH else ((), secret("r"))) == lists
    assert (Action.SKIP, None) == judged(mine, written)
    confirmed = written.with_renewal(to_revoke=(), replaced=())
    assert (Action.SKIP, None) == judged(mine, confirmed)


def test_deleted_with_an_older_login_to_revoke():
    """The row was of use when it was deleted: the target's goes on, and sees to the older one."""
    mine = row(updated_at=NOW + 9).but(ended=True, access_token=None)
    mine = mine.with_renewal(to_revoke=secret("x"))

    action, written = judged(mine, row())

    assert (Action.UPDATE, OK, secret("x")) == (action, written.status, written.renewal.to_revoke)
    assert ("access ana", False) == (written.access_token, written.ended)


def test_revoked_in_both_stores():
    """Each had its own refresh token: the provider is told of both, and of none of them twice."""
    mine = revoked(row())
    its = revoked(row(refresh_token="rotated", updated_at=NOW + 1))

    action, written = judged(mine, its)

    assert Action.UPDATE == action
    assert secret("rotated", "refresh ana") == written.renewal.to_revoke
    assert (Action.NOTHING, None) == judged(mine, written)
    swept = written.with_renewal(to_revoke=())
    assert (Action.NOTHING, None) == judged(mine, swept)


def test_what_a_row_is_for_never_changes():
    """A row without a name gets none by an update: that is a save of the target's own."""
    mine = row(updated_at=NOW + 1, data_center="eu")

    _, written = judged(mine, row(user=None, data_center=None))

    assert (None, "eu") == (written.user, written.data_center)
    assert "eu" == judged(mine.but(data_center=None), row(data_center="eu"))[1].data_center


def test_nobody_has_looked_for_others_of_a_copied_login():
    """Invariant 14: its first renewals in the target do, whatever the source's have done."""
    mine = login().with_renewal(renewed_at=NOW, renewed_by="another host/1")

    there, newer = login(version="1"), mine.but(updated_at=NOW + 1, version="2")
    later = judge(newer, [there], replace=False)

    assert arrived(mine).renewal.renewed_at is None
    assert later.row.renewal.renewed_at is None
