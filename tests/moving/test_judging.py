"""What becomes of a row of one store in another."""

from __future__ import annotations

import dataclasses
from itertools import product

import pytest
from moved_tokens import CLAIM, NOW, login, renewed, revoked

from tokenkeep import Token
from tokenkeep.moving import Action
from tokenkeep.moving.judging import judge
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


def judged(mine, *there, replace=False):
    verdict = judge(mine, there, replace=replace, revokes_grant=False)
    return verdict.action, *(verdict.writes or [None])


def test_an_update_loses_nothing_that_counts():
    """Renewals of both sides count on, and what either has to revoke is still to be revoked."""
    mine = renewed(row(past=["a"]), LATER).with_renewal(
        mints=(1.0, 3.0), to_revoke=secret("x", "y"), replaced=secret("u"), claim=CLAIM
    )
    there = row(id="2", version="w", owner="p", past=["b"]).with_renewal(
        mints=(2.0, 3.0), to_revoke=secret("z", "x"), replaced=secret("v"), renewed_at=NOW
    )

    action, update = judged(mine.with_renewal(renewed_at=NOW), there)

    assert Action.UPDATE == action
    assert ("2", "w", "p", mine.pair) == (update.id, update.version, update.owner, update.pair)
    assert (1.0, 2.0, 3.0) == update.renewal.mints
    assert set(secret("x", "y", "z")) == set(update.renewal.to_revoke)
    assert set(secret("u", "v")) == set(update.renewal.replaced)
    assert all(is_older(update, each) for each in "ab")
    # Invariant 14: the first renewals in the target look for others of a copied login.
    assert update.renewal.renewed_at is None
    assert (Action.NOTHING, None) == judged(mine, update)
    assert {*secret("x", "y", "z")} == {*judged(there, mine)[1].renewal.to_revoke}
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
        # Without refresh tokens, the access token is the login.
        (ONE_HOUR | {"updated_at": LATER}, ONE_HOUR, Action.UPDATE),
        (ONE_HOUR | {"access_token": "b"}, ONE_HOUR, Action.SKIP),
        # Another login, without what makes it last.
        (ONE_HOUR | {"access_token": "b"}, {}, Action.SKIP),
        ({"refresh_token": None}, {"refresh_token": None, "status": REVOKED}, Action.NOTHING),
    ],
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
        wins = its_status is not REVOKED and (status is REVOKED or at == LATER)

        action, update = judged(mine, its, replace=replace)

        case = (status, its_status, at)
        # What has been rotated since has to be revoked in the source, too: it says so.
        goes_on = same == "rotated since" and its_status is REVOKED is not status
        lost = Action.SKIP if goes_on else Action.NOTHING
        assert (Action.UPDATE if wins else lost) == action, case
        left = update or its
        assert (REVOKED in case) == (left.status is REVOKED), case
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


def test_a_revoked_row_takes_all_of_its_login_along():
    """The target has one that the source's row had before, and one that it moved here from."""
    mine = revoked(row(refresh_token="r", nonce="two", past=["refresh ana"]))
    nameless = row(id="2", user=None, refresh_token="r", nonce="two")

    action, *updates = judged(mine, row(updated_at=NOW + 9), nameless)

    assert (Action.UPDATE, [REVOKED] * 2) == (action, [each.status for each in updates])
    assert [secret("refresh ana"), secret("r")] == [each.renewal.to_revoke for each in updates]
    assert (Action.NOTHING, None) == judged(mine, *updates)
    for status in (OK, REVOKED):
        its = row(refresh_token="r", nonce="two", past=["refresh ana"], status=status)
        assert (Action.SKIP, None) == judged(row(), its, replace=True)


@pytest.mark.parametrize("ways", [[{"user": None}], [{"user": "ben"}], [{}, {"user": None}]])
def test_where_no_single_row_can_stand_for_it(ways):
    """The row that is wrong in the target is named, and nothing is done."""
    met = [row(id=str(n), **each) for n, each in enumerate(ways)]

    verdict = judge(written(LATER), met, replace=True, revokes_grant=True)

    assert (Action.SKIP, ()) == (verdict.action, verdict.writes)
    assert f"in token {len(ways) - 1}{' of ben' if met[0].user == 'ben' else ''}: delete" in (
        verdict.reason
    )
