"""What becomes of a row of one store in another."""

from __future__ import annotations

import pytest
from moved_tokens import NOW, login, renewed

from tokenkeep.moving.judging import Action, judge
from tokenkeep.token import Claim, Status

CLAIM = Claim(nonce="n", holder="h", taken_at=NOW, length=20.0)


def row(name="ana", *, nonce="one", **more):
    """Return a row as it is stored."""
    given = {"id": "1", "version": "v", "identity": "i", "created_at": NOW, "updated_at": NOW}
    return login(name, **(given | more)).with_renewal(login=nonce)


def judged(mine, there, *, replace=False):
    verdict = judge(mine, there, replace=replace)
    return verdict.action, verdict.row


def test_an_update_loses_nothing_that_counts():
    """Renewals of both sides count on, and what either has to revoke is still to be revoked."""
    mine = renewed(row(), NOW + 1).with_renewal(
        mints=(1.0, 3.0), to_revoke=(("a", "x"), ("b", "y")), claim=CLAIM
    )
    there = row(id="2", version="w", identity="j").with_renewal(
        mints=(2.0, 3.0), to_revoke=(("c", "z"), ("a", "x")), claim=CLAIM
    )

    action, written = judged(mine, there)

    assert Action.UPDATE == action
    assert ("2", "w", "j") == (written.id, written.version, written.identity)
    assert mine.pair == written.pair
    assert (1.0, 2.0, 3.0) == written.renewal.mints
    assert (("c", "z"), ("a", "x"), ("b", "y")) == written.renewal.to_revoke
    assert written.renewal.claim is None


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

    assert Action.SKIP == judged(pointer, row())[0]
    assert Action.SKIP == judged(pointer, row(user=None, updated_at=NOW + 2))[0]
    action, written = judged(pointer, row(user=None, identity="j"))
    assert (Action.UPDATE, "9", "j") == (action, written.moved_to, written.identity)
