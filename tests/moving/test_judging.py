"""What becomes of a row of one store in another."""

from __future__ import annotations

import dataclasses
from itertools import product

import pytest
from moved_tokens import CLAIM, NOW, login, renewed, revoked

from tokenkeep import Token
from tokenkeep.moving import Action
from tokenkeep.moving.judging import arrived, judge
from tokenkeep.saving import is_older, rotated
from tokenkeep.token import Status

OK, DEAD, REVOKED = Status.OK, Status.LOGIN_NEEDED, Status.REVOKED
EARLIER, AT_ONCE, LATER = NOW - 1, NOW, NOW + 1
"""When the source's row was written, beside the target's."""

CASES = [*product((OK, DEAD, REVOKED), (OK, DEAD, REVOKED), (EARLIER, AT_ONCE, LATER))]
"""The status of the source's row, of the target's, and when."""

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

KEPT, EACH = True, False


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
    if more.get("status", OK) is not OK:
        given["access_token"] = None
    stored = login(name, **(given | {"logged_in_at": NOW} | more))
    return stored.with_renewal(login=nonce, past=spent(*past) if past else ())


def written(at, **more):
    """Return a row of the source that differs from the target's in any case."""
    return row(**{"updated_at": at, "logged_in_at": at, "scope": "s"} | more)


def judged(mine, there, *, replace=False, revokes_grant=EACH):
    verdict = judge(mine, [there], replace=replace, revokes_grant=revokes_grant)
    return verdict.action, verdict.row


def test_an_update_loses_nothing_that_counts():
    """Renewals of both sides count on, and what either has to revoke is still to be revoked."""
    mine = renewed(row(past=["a"]), LATER).with_renewal(
        mints=(1.0, 3.0), to_revoke=secret("x", "y"), replaced=secret("u"), claim=CLAIM
    )
    there = row(id="2", version="w", owner="p", past=["b"]).with_renewal(
        mints=(2.0, 3.0), to_revoke=secret("z", "x"), replaced=secret("v")
    )

    action, update = judged(mine, there)

    assert Action.UPDATE == action
    assert ("2", "w", "p", mine.pair) == (update.id, update.version, update.owner, update.pair)
    assert (1.0, 2.0, 3.0) == update.renewal.mints
    assert set(secret("x", "y", "z")) == set(update.renewal.to_revoke)
    assert set(secret("u", "v")) == set(update.renewal.replaced)
    assert all(is_older(update, each) for each in "ab")
    assert (Action.NOTHING, None) == judged(mine, update)
    assert secret("x", "y", "z") == judged(there, mine)[1].renewal.to_revoke
    # Limits are counted for each refresh token.
    assert (1.0, 3.0) == judged(mine.but(refresh_token="new"), there)[1].renewal.mints


def test_who_renews_in_the_target_goes_on():
    """Without the claim another process would send the same refresh token."""
    there = row().with_renewal(claim=CLAIM)
    elsewhere = dataclasses.replace(CLAIM, nonce="elsewhere")
    mine = renewed(row(), LATER).with_renewal(claim=elsewhere)

    assert CLAIM == judged(mine, there)[1].renewal.claim
    for other in ({"refresh_token": "another"}, {"status": REVOKED, "access_token": None}):
        assert judged(mine.but(**other), there)[1].renewal.claim is None


@pytest.mark.parametrize(
    ("mine", "there", "expected"),
    [
        # What one had before the other's is the older one, whatever the clocks say.
        ({"refresh_token": "new", **FOLLOWED}, {"updated_at": NOW + 9}, Action.UPDATE),
        ({"updated_at": NOW + 9}, {"refresh_token": "new", **FOLLOWED}, Action.NOTHING),
        # Without its refresh token a login ends within the hour.
        ({}, {"refresh_token": None, "updated_at": NOW + 9}, Action.UPDATE),
        # Without refresh tokens, the access token is the login.
        (ONE_HOUR | {"updated_at": LATER}, ONE_HOUR, Action.UPDATE),
        (ONE_HOUR | {"access_token": "b"}, ONE_HOUR, Action.SKIP),
    ],
    ids=["spent there", "spent here", "missing here", "one access token", "two access tokens"],
)
def test_which_of_two_rows_counts(mine, there, expected):
    """Tokens tell whether it is one login and which one goes on, then the clocks."""
    assert expected == judged(row(**mine), row(**there))[0]


@pytest.mark.parametrize("there", [{}, {"id": "2"}])
@pytest.mark.parametrize("same", SAME_LOGIN)
def test_two_rows_of_the_same_login(same, there):
    """What was revoked stays so, a copy that nobody has written too; else the last one counts."""
    for (status, its_status, at), replace in product(CASES, (False, True)):
        mine = written(at, status=status, **SAME_LOGIN[same])
        its = row(status=its_status, **there)
        rotated_since = same == "rotated since" and its_status is REVOKED is not status
        wins = its_status is not REVOKED and (status is REVOKED or at == LATER)

        action, update = judged(mine, its, replace=replace)

        case = (status, its_status, at)
        assert (Action.UPDATE if wins or rotated_since else Action.NOTHING) == action, case
        left = update or its
        assert (REVOKED in case) == (left.status is REVOKED), case
        assert not rotated_since or secret("rotated") == update.renewal.to_revoke
        assert REVOKED in case or update is None or update.status is status


@pytest.mark.parametrize("followed", [False, True])
@pytest.mark.parametrize("replace", [False, True])
def test_rows_of_two_logins(replace, followed):
    """The target's stays while it is of use; one that the source has got over since goes."""
    for status, its_status, at in CASES:
        if followed and status is REVOKED:
            continue  # then it was revoked with the source's
        mine = written(at, status=status, **OTHER_LOGIN | (FOLLOWED if followed else {}))
        wins = status is OK and (its_status is DEAD or replace or (followed and at == LATER))

        action, update = judged(mine, row(status=its_status), replace=replace)

        assert (Action.UPDATE if wins else Action.SKIP) == action, (status, its_status, at)
        assert update is None or update.pair == mine.pair


def test_a_revoked_row_takes_earlier_logins_of_it_along():
    """The target has one that the source's row had before it was revoked."""
    mine = revoked(row(refresh_token="r", nonce="two", past=["refresh ana"]))

    action, update = judged(mine, row(updated_at=NOW + 9))

    assert (Action.UPDATE, REVOKED) == (action, update.status)
    for status in (OK, REVOKED):
        its = row(refresh_token="r", nonce="two", past=["refresh ana"], status=status)
        assert (Action.SKIP, None) == judged(row(), its, replace=True)


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("revokes_grant", [EACH, KEPT])
def test_unfinished_revocations_of_another_login(*, revokes_grant, ended):
    """The target's login stays and sees to them; at once, where that does not end it."""
    mine = revoked(row(**OTHER_LOGIN)).but(ended=ended)

    action, update = judged(mine, row(), revokes_grant=revokes_grant)

    assert (Action.UPDATE, OK) == (action, update.status)
    lists = (update.renewal.to_revoke, update.renewal.replaced)
    assert ((secret("r"), ()) if revokes_grant is EACH else ((), secret("r"))) == lists
    assert (Action.SKIP, None) == judged(mine, update)
    confirmed = update.with_renewal(to_revoke=(), replaced=())
    assert (Action.SKIP, None) == judged(mine, confirmed)


def test_deleted_with_an_older_login_to_revoke():
    """The row was of use when it was deleted: the target's goes on, and sees to the older one."""
    mine = row(updated_at=LATER, ended=True, access_token=None)

    there = row(refresh_token="rotated", **FOLLOWED)

    action, update = judged(mine.with_renewal(to_revoke=secret("x")), there)

    assert (Action.UPDATE, OK, secret("x")) == (action, update.status, update.renewal.to_revoke)
    assert (("access ana", "rotated"), False) == (update.pair, update.ended)


def test_what_a_row_is_for_never_changes():
    """A row without a name gets none by an update: that is a save of the target's own."""
    mine = row(updated_at=NOW + 1, data_center="eu")

    _, update = judged(mine, row(user=None, data_center=None))

    assert (None, "eu") == (update.user, update.data_center)
    assert "eu" == judged(mine.but(data_center=None), row(data_center="eu"))[1].data_center


def test_nobody_has_looked_for_others_of_a_copied_login():
    """Invariant 14: its first renewals in the target do, whatever the source's have done."""
    mine = login().with_renewal(renewed_at=NOW, renewed_by="another host/1")

    there, newer = login(version="1"), mine.but(updated_at=NOW + 1, version="2")
    later = judge(newer, [there], replace=False)

    assert arrived(mine).renewal.renewed_at is None
    assert later.row.renewal.renewed_at is None
