"""What becomes of a row of one store in another."""

from __future__ import annotations

import dataclasses
from itertools import product

import pytest
from moved_tokens import NOW, login, renewed

from tokenkeep.moving.judging import Action, judge
from tokenkeep.token import Claim, Status

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
COPY = {"version": "v-copy"}
"""As a copy from a store that nobody has written since."""

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

CLAIM = Claim(nonce="n", holder="h", taken_at=NOW, length=20.0)


def row(name="ana", *, nonce="one", **more):
    """Return a row as it is stored."""
    given = {"id": "1", "version": "v", "identity": "i", "created_at": NOW, "updated_at": NOW}
    return login(name, **(given | more)).with_renewal(login=nonce)


def judged(mine, there, *, replace=False, leads_to=None):
    verdict = judge(mine, there, replace=replace, leads_to=leads_to)
    return verdict.action, verdict.row


def test_an_update_loses_nothing_that_counts():
    """Renewals of both sides count on, and what either has to revoke is still to be revoked."""
    mine = renewed(row(), NOW + 1).with_renewal(
        mints=(1.0, 3.0), to_revoke=(("a", "x"), ("b", "y")), claim=CLAIM
    )
    there = row(id="2", version="w", identity="j").with_renewal(
        mints=(2.0, 3.0), to_revoke=(("c", "z"), ("a", "x"))
    )

    action, written = judged(mine, there)

    assert Action.UPDATE == action
    assert ("2", "w", "j") == (written.id, written.version, written.identity)
    assert mine.pair == written.pair
    assert (1.0, 2.0, 3.0) == written.renewal.mints
    assert (("c", "z"), ("a", "x"), ("b", "y")) == written.renewal.to_revoke
    assert written.renewal.claim is None


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


def test_another_refresh_token_counts_its_own_renewals():
    """Limits are counted for each refresh token."""
    mine = row(refresh_token="new", updated_at=NOW + 1).with_renewal(mints=(3.0,))

    _, written = judged(mine, row().with_renewal(mints=(1.0, 2.0)))

    assert (3.0,) == written.renewal.mints


@pytest.mark.parametrize(
    ("mine", "there", "expected"),
    [
        (row(), row(id="2"), Action.NOTHING),
        (row(), row().with_renewal(claim=CLAIM), Action.NOTHING),
        (row(), row(last_used_at=NOW, created_at=1.0), Action.NOTHING),
        (row(updated_at=NOW + 1, scope="s"), row(), Action.UPDATE),
        (row(scope="s"), row(), Action.NOTHING),
        (row(scope="s"), row(updated_at=NOW + 1), Action.NOTHING),
        # A provider that rotates: the login's nonce says that it is the same.
        (row(refresh_token="new", updated_at=NOW + 1), row(), Action.UPDATE),
        (row(refresh_token="new", updated_at=NOW + 1, nonce="two"), row(), Action.SKIP),
        (row(status=Status.LOGIN_NEEDED, updated_at=NOW + 1), row(), Action.UPDATE),
        (row(status=Status.LOGIN_NEEDED, nonce="two", refresh_token="r"), row(), Action.SKIP),
        (row(nonce="two", refresh_token="r"), row(status=Status.LOGIN_NEEDED), Action.UPDATE),
        (row(nonce="two", refresh_token="r"), row(status=Status.REVOKED), Action.SKIP),
        (row(status=Status.REVOKED, access_token=None), row(updated_at=NOW + 9), Action.UPDATE),
        (row(updated_at=NOW + 9), row(status=Status.REVOKED), Action.NOTHING),
        (row(status=Status.PENDING), None, Action.SKIP),
        (row(), row(status=Status.PENDING), Action.SKIP),
        # Without refresh tokens, the access token is the login.
        (
            row(refresh_token=None, nonce=None, scope="s", updated_at=NOW + 1),
            row(refresh_token=None, nonce=None),
            Action.UPDATE,
        ),
        (
            row(refresh_token=None, nonce=None, access_token="b", updated_at=NOW + 1),
            row(refresh_token=None, nonce=None),
            Action.SKIP,
        ),
    ],
)
def test_which_of_two_rows_counts(mine, there, expected):
    """One rule for every case, whichever stores they are in."""
    assert expected == judged(mine, there)[0]


def pair(statuses, when, *, mine=None, there=None):
    """Return a row of the source and one of the target, which differ in any case."""
    at = NOW + WRITTEN.index(when) - 1
    return tuple(
        row(status=status, **({} if status is OK else {"access_token": None}), **more)
        for status, more in zip(
            statuses, ({"updated_at": at, "scope": "s"} | (mine or {}), there or {}), strict=True
        )
    )


def expected(table, statuses, when):
    return ACTIONS[table[statuses].split()[WRITTEN.index(when)]]


@pytest.mark.parametrize("there", [{}, COPY, {"id": "2"}, COPY | {"id": "2"}])
@pytest.mark.parametrize("same", SAME_LOGIN)
def test_two_rows_of_the_same_login(same, there):
    """What was revoked stays so, a copy that nobody has written too; else the last one counts."""
    for (statuses, when), replace in product(product(OF_SAME, WRITTEN), (False, True)):
        mine, its = pair(statuses, when, mine=SAME_LOGIN[same], there=there)

        action, written = judged(mine, its, replace=replace)

        assert expected(OF_SAME, statuses, when) == action, (statuses, when)
        assert written is None or written.status is mine.status
        left = written or its
        assert (REVOKED in statuses) == (left.status is REVOKED), (statuses, when)


@pytest.mark.parametrize("there", [{}, COPY, {"id": "2"}, COPY | {"id": "2"}])
@pytest.mark.parametrize("replace", [False, True])
def test_rows_of_two_logins(replace, there):
    """The target's stays while it is of use; an older copy that nobody uses goes."""
    for statuses, when in product(OF_ANOTHER, WRITTEN):
        mine, its = pair(statuses, when, mine=OTHER_LOGIN, there=there)
        follows = there == COPY and when == "later"
        wins = follows or (replace and statuses[0] is OK)

        action, written = judged(mine, its, replace=replace)

        wanted = Action.UPDATE if wins else expected(OF_ANOTHER, statuses, when)
        assert wanted == action, (statuses, when)
        assert written is None or written.pair == mine.pair


def test_what_only_the_target_has_is_revoked_too():
    """The provider has rotated in the target since: its refresh token goes with the login."""
    mine = row(status=REVOKED, access_token=None).with_renewal(to_revoke=(("a", "x"),))
    its = row(refresh_token="rotated")

    _, written = judged(mine, its)

    assert (("a", "x"), ("refresh_token", "rotated")) == written.renewal.to_revoke
    assert (Action.NOTHING, None) == judged(mine, written)


def test_revoked_in_both_stores():
    """Each had its own refresh token: the provider is told of both, and of none of them twice."""
    mine = row(status=REVOKED, access_token=None).with_renewal(to_revoke=(("a", "x"),))
    its = row(status=REVOKED, access_token=None, refresh_token="rotated", updated_at=NOW + 1)
    its = its.with_renewal(to_revoke=(("b", "y"),))

    action, written = judged(mine, its)

    assert (Action.UPDATE, (("b", "y"), ("a", "x"))) == (action, written.renewal.to_revoke)
    assert (Action.NOTHING, None) == judged(mine, written)
    swept = written.with_renewal(to_revoke=())
    assert (Action.NOTHING, None) == judged(mine, swept)


def test_replacing_takes_only_what_is_of_use():
    """With --replace another login takes the target's place, but a dead one never does."""
    other = {"nonce": "two", "refresh_token": "r"}

    assert Action.UPDATE == judged(row(**other), row(), replace=True)[0]
    assert Action.UPDATE == judged(row(**other), row(status=Status.REVOKED), replace=True)[0]
    for status in (Status.LOGIN_NEEDED, Status.REVOKED):
        assert Action.SKIP == judged(row(**other, status=status), row(), replace=True)[0]


def test_a_pointer_takes_no_named_rows_place():
    """Joined with its user's row in the source, a row that has a name in the target stays."""
    pointer = row(user=None, status=Status.MOVED, moved_to="9", updated_at=NOW + 1)
    owner = row(id="9")

    assert Action.SKIP == judged(pointer, row())[0]
    assert Action.SKIP == judged(pointer, row(user=None, updated_at=NOW + 2))[0]
    for there in ({}, COPY):
        revoked = row(user=None, status=REVOKED, **there)
        assert (Action.NOTHING, None) == judged(pointer, revoked)
    action, written = judged(pointer, row(user=None, identity="j"), leads_to=owner)
    assert (Action.UPDATE, "9", "j") == (action, written.moved_to, written.identity)


def test_a_pointer_takes_no_place_that_would_be_missed():
    """A nameless row becomes one only if its login is where it leads, or came from there."""
    pointer = row(user=None, status=Status.MOVED, moved_to="9", updated_at=NOW + 1)
    there, relogged = row(user=None), row(id="9", refresh_token="another", access_token="b")

    assert Action.SKIP == judged(pointer, there)[0]
    assert Action.SKIP == judged(pointer, there, leads_to=relogged)[0]
    assert Action.UPDATE == judged(pointer, row(user=None, **COPY), leads_to=relogged)[0]
    for place in (None, there):
        assert (Action.SKIP, None) == judged(pointer, place, leads_to=row(user=None))
