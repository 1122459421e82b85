"""Saving: a login, an update, or something older; one table of cases for every store."""

from __future__ import annotations

import math

import pytest

from tokenkeep import (
    Claim,
    DuplicateRefreshToken,
    EmptyLookup,
    Failure,
    Renewal,
    Status,
    StoreConflict,
    Token,
    saving,
)
from tokenkeep.errors import LookupFailed
from tokenkeep.lookup import FIXED
from tokenkeep.saving import cleaned, died, first, plan, rotated, superseded, taken

NOW = 1000.0
PLACE = {"provider": "zoho", "data_center": "us", "environment": "production"}
ROW = Token(
    id="row",
    version="v",
    owner="of ana",
    user="ana",
    client_id="c",
    client_secret="s",
    access_token="a",
    refresh_token="r",
    grant_token="g",
    expires_at=2000.0,
    created_at=1.0,
    updated_at=1.0,
    logged_in_at=1.0,
    renewal=Renewal(
        claim=Claim(nonce="n", holder="h", taken_at=1.0, length=20.0),
        mints=(1.0, 2.0),
        failure=Failure(kind="x", error="e", at=1.0, until=2.0, count=1, credential="d"),
        login="old",
    ),
    **PLACE,
)
NAMELESS = ROW.but(id="nameless", user=None, access_token="a3", refresh_token="r3",
                   grant_token="g3")  # fmt: skip
SECOND = ROW.but(id="second", user="bob", access_token="a2", refresh_token="r2", grant_token="g2")
EACH = {"revokes_grant": False}
"""At a provider that revokes each refresh token for itself."""

REFRESH = (("refresh_token", "r"),)


def planned(rows, *, by_id=None, revokes_grant=True, **saved):
    how = {"login": "new", "now": NOW, "revokes_grant": revokes_grant}
    return plan(Token(**saved), rows, by_id=by_id, **how)


def save(stored, **changes):
    """Return what a save under a row's own id makes of it."""
    made = planned([stored], by_id=stored, **changes)
    assert stored is made.stored
    return made.row


# Which row it is for

TARGETS = {
    "what it is for": ({"user": "ana", "client_id": "c", "access_token": "x", **PLACE}, "row"),
    "that, before a refresh token": (
        {"user": "ana", "client_id": "c", "refresh_token": "r3", **PLACE}, "row"),
    "refresh token": ({"refresh_token": "r2"}, "second"),
    "refresh token before grant": ({"refresh_token": "r2", "grant_token": "g"}, "second"),
    "grant": ({"grant_token": "g2"}, "second"),
    "grant before access token": ({"grant_token": "g2", "access_token": "a"}, "second"),
    "access token": ({"access_token": "a2"}, "second"),
    "access token with another login": ({"access_token": "a", "refresh_token": "y"}, None),
    "nothing in common": ({"access_token": "x", "refresh_token": "y"}, None),
    "another user": ({"user": "eve", "client_id": "c", "access_token": "a", **PLACE}, None),
    "another client": ({"grant_token": "g2", "client_id": "d"}, None),
    "another environment": ({"access_token": "a2", "environment": "sandbox"}, None),
}  # fmt: skip


@pytest.mark.parametrize(("saved", "row"), TARGETS.values(), ids=TARGETS)
def test_which_row_is_written(saved, row):
    """What it is for, else its refresh, grant or access token; never somebody else's row."""
    stored = planned([SECOND, NAMELESS, ROW], **saved).stored

    assert row == (stored and stored.id)


def test_the_row_of_an_id():
    """An id decides, and fills in what is not known; what is known never changes."""
    by_id = {"by_id": ROW, "id": "row", "access_token": "x"}
    for name in FIXED:
        unknown = ROW.but(**{name: None})
        assert "x" == planned([], **by_id | {"by_id": unknown}, **{name: "other"}).row.access_token
        with pytest.raises(StoreConflict, match="another token's"):
            planned([], **by_id, **{name: "other"})


@pytest.mark.parametrize("name", FIXED)
def test_a_refresh_token_is_in_one_row(name):
    """A save that would put it into a second one is refused, and names the row that has it."""
    with pytest.raises(DuplicateRefreshToken) as refused:
        planned([ROW], **{"user": "ana", "client_id": "c", "refresh_token": "r", **PLACE,
                          name: "other"})  # fmt: skip

    assert "row" == refused.value.token_id


# Whose it is becomes known


def test_a_login_that_came_another_way():
    """The same login in both rows: what is to be revoked of either is, and no more."""
    pending = NAMELESS.with_renewal(to_revoke=(("refresh_token", "r0"),))
    merged = taken(ROW.but(refresh_token="r3"), pending, **EACH)
    later = taken(ROW, rotated(NAMELESS.but(refresh_token="r"), "r3"), **EACH)

    assert (("refresh_token", "r0"),) == merged.renewal.to_revoke
    assert ROW.but(refresh_token="r3").pair == merged.pair
    assert ("r3", ()) == (later.refresh_token, later.renewal.to_revoke), "r is spent"


def test_both_histories():
    """Of two rows that were one login's copies, a run that went on in one of them is told once."""
    shared = ROW.having("login", 1.0).having("renewed", 2.0, "a")
    row, carried = shared.having("renewed", 5.0, "b"), shared.having("login_needed", 3.0)

    both = taken(row, carried.but(refresh_token="r9"), **EACH).history

    told = [("login", 1.0, 1), ("login_needed", 3.0, 1), ("renewed", 5.0, 2)]
    assert told == [(each.what, each.at, each.count) for each in both]


# What it changes


def test_cleaned():
    """Empty texts are None; what has no token is refused, and is told what is missing."""
    assert Token(access_token="a") == cleaned(Token(id="", user="", access_token="a", scope=""))
    client = Token(user="ana", client_id="c", refresh_token="")
    assert cleaned(client) == client.but(refresh_token=None)
    with pytest.raises(EmptyLookup, match="a user, any name"):
        cleaned(client.but(client_id=None))
    with pytest.raises(EmptyLookup, match="Give an access, refresh or grant token"):
        cleaned(client, needs_login=lambda _: True)


@pytest.mark.parametrize("name", ["expires_at", "refresh_expires_at"])
@pytest.mark.parametrize(
    "ends", [math.nan, math.inf, -math.inf, -1.0, 1e20, 1_800_000_000_000, 10**400, "soon"]
)
def test_an_end_that_is_no_time(name, ends):
    """Any moment of the years 1970 to 9999 is one; milliseconds, NaN and text are refused."""
    with pytest.raises(LookupFailed, match=f"{name} is not a number of seconds"):
        cleaned(Token(access_token="a", **{name: ends}))
    for end in (None, 0, 5.0, 1_800_000_000, 253_402_300_799.0):
        token = Token(access_token="a", **{name: end})
        assert cleaned(token) is token


@pytest.mark.parametrize(
    "changes", [{}, {"expires_at": 5.0}, {"access_token": "x", "expires_at": 4600.0}]
)
def test_an_update(changes):
    """It writes only what it brings, and leaves claim, mint times and the login as they are."""
    same = {"refresh_token": "r", "access_token": "a", "grant_token": "g", "expires_at": 2000.0}
    after = save(ROW, **same | changes)

    lifetime = 3600.0 if "access_token" in changes else None
    assert after == (ROW.but(**changes, updated_at=NOW) if changes else ROW).with_renewal(
        lifetime=lifetime
    )


def test_an_old_copy_says_nothing_of_the_lifetime():
    """Where answers name none, it is what tells when to renew."""
    row = ROW.with_renewal(lifetime=3600.0)

    assert 3600.0 == save(row, access_token="a0", expires_at=500.0).renewal.lifetime


@pytest.mark.parametrize(
    ("copy", "fits"),
    [({"scope": "x"}, True), ({"client_secret": "s2"}, True), ({"access_token": "a0"}, False),
     ({"refresh_token": "r5"}, False), ({"grant_token": "g5"}, False),
     ({"status": Status.REVOKED}, False), ({"status": Status.LOGIN_NEEDED}, False)],
)  # fmt: skip
def test_a_copy_of_another_version(copy, fits):
    """It may change what is no token; its tokens and status are out of date."""
    mine = {"id": "row", "refresh_token": "r"} | copy
    assert save(ROW, **mine, version="v") is not ROW
    if fits:
        assert copy.items() <= vars(save(ROW, **mine, version="older")).items()
        return
    with pytest.raises(StoreConflict, match="since it was read"):
        save(ROW, **mine, version="older")


# Logins

LOGINS = {
    "another refresh token": ({"refresh_token": "r2"}, True),
    "another refresh token, same grant": ({"refresh_token": "r2", "grant_token": "g"}, True),
    "a grant that was just exchanged": ({"grant_token": "g2", "access_token": "a2"}, True),
    "the stored refresh token": ({"refresh_token": "r", "access_token": "a2"}, False),
    "the stored grant": ({"grant_token": "g", "access_token": "a2"}, False),
    "an access token alone": ({"access_token": "a2"}, False),
}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize(("saved", "is_login"), LOGINS.values(), ids=LOGINS)
def test_a_login_starts_anew(status, saved, is_login):
    """
    It has a nonce, a time and an event of its own, and counts mints anew for another token.

    Only a login brings a dead row back; anything else changes nothing in it.
    """
    row = ROW if status is Status.OK else died(ROW, status, 2.0)
    after = save(row, **saved)

    if not is_login:
        expected = ROW.but(access_token="a2", expires_at=None, updated_at=NOW)
        assert after == (expected if row is ROW else row)
        return
    assert (Status.OK, "new", NOW) == (after.status, after.renewal.login, after.logged_in_at)
    assert (None, None) == (after.renewal.claim, after.renewal.failure)
    assert ("login", NOW) == (after.history[-1].what, after.history[-1].at)
    assert (after.refresh_token == "r") is (after.renewal.mints == (1.0, 2.0))


def test_a_login_without_an_access_token():
    """The stored one was the replaced login's: it goes with it."""
    moved = taken(ROW, NAMELESS.but(access_token=None, expires_at=None), **EACH)
    for after in (save(ROW, refresh_token="r2"), moved):
        assert (None, None) == (after.access_token, after.expires_at)
    assert save(ROW, refresh_token="r").access_token == ROW.access_token


SAID = {"refresh_expires_at": 900.0, "extra": {"id_token": "old"}}
"""Of the login that is stored: its refresh token has ended."""


@pytest.mark.parametrize(
    "said", [{}, {"refresh_expires_at": 5000.0}, {"extra": {"id_token": "new"}}], ids=repr
)
@pytest.mark.parametrize("login", ["refresh token", "grant", "grant alone", "another row's"])
def test_what_was_said_of_the_login_before(login, said):
    """A login's end, and what came with it, is as it says itself: not as the one before did."""
    saved = {"refresh_token": "r" if login == "grant alone" else "r2"}
    if "grant" in login:
        saved |= {"access_token": "a2", "grant_token": "g2"}
    if login == "another row's":
        after = taken(ROW.but(**SAID), NAMELESS.but(**said), **EACH)
    else:
        after = save(ROW.but(**SAID), **saved, **said)

    expected = {"refresh_expires_at": None, "extra": {}} | said
    assert expected == {name: getattr(after, name) for name in expected}
    # The refresh token that stays keeps its end; what an update does not say stays.
    for update in ({"access_token": "a2"}, {"scope": "s"}, {"grant_token": "g2"}):
        after = save(ROW.but(**SAID), **update)
        assert SAID == {name: getattr(after, name) for name in SAID}


def test_the_stored_refresh_token_with_another_grant():
    """A provider may answer a login with the one it gave before; revoked, it stays so."""
    saved = {"refresh_token": "r", "grant_token": "g2", "access_token": "a2"}

    for stored in (ROW, died(ROW, Status.LOGIN_NEEDED, 2.0)):
        after = save(stored, **saved)
        assert (Status.OK, "new", NOW) == (after.status, after.renewal.login, after.logged_in_at)
        assert ((), ()) == (after.renewal.to_revoke, after.renewal.replaced)
    dead = died(ROW, Status.REVOKED, 2.0)
    assert dead is save(dead, **saved)
    # Nor does a login bring it back that has none.
    assert taken(dead, NAMELESS.but(refresh_token=None), **EACH).refresh_token is None


REPLACED = {
    "got here, each for itself": (False, EACH, "to_revoke"),
    "given, each for itself": (True, EACH, "replaced"),
    "got here, the whole consent": (False, {"revokes_grant": True}, "replaced"),
    "given, the whole consent": (True, {"revokes_grant": True}, "replaced"),
}


@pytest.mark.parametrize(("given", "habits", "where"), REPLACED.values(), ids=REPLACED)
def test_what_a_login_replaces(given, habits, where):
    """It is to be revoked now, or kept until the user's login is; never forgotten."""
    after = save(ROW.with_renewal(given=given), refresh_token="r2", **habits)

    other = {"to_revoke": "replaced", "replaced": "to_revoke"}[where]
    assert (REFRESH, ()) == (getattr(after.renewal, where), getattr(after.renewal, other))
    assert saving.is_older(after, "r")
    assert not saving.is_older(after, "r2")
    assert after.renewal.given
    assert not save(ROW, refresh_token="r2", grant_token="g2").renewal.given
    # What the provider has not confirmed must not end the new login.
    again = save(died(ROW, Status.REVOKED, 2.0), refresh_token="r2", **habits).renewal
    expected = (REFRESH, ()) if habits is EACH else ((), REFRESH)
    assert expected == (again.to_revoke, again.replaced)


# Something older


def test_how_much_is_remembered():
    """The last twenty refresh tokens of a row, and all that were revoked."""
    row = died(ROW, Status.REVOKED, 2.0)
    row = save(row, refresh_token="0", **EACH)
    for number in range(1, 100):
        row = rotated(row, f"{number}")

    assert saving.is_older(row, "r")
    assert [str(n) for n in range(79, 99)] == [
        str(n) for n in range(100) if saving.is_older(row, str(n))
    ]


# Ends


def test_revoked():
    """All that the row has and had is to be revoked; its access token where it has no more."""
    row = ROW.with_renewal(replaced=(("refresh_token", "r8"),),
                           to_revoke=(("refresh_token", "r9"),))  # fmt: skip

    dead = died(row, Status.REVOKED, NOW, "host 1")

    assert ["r9", "r8", "r"] == [value for _, value in dead.renewal.to_revoke]
    assert ((), None, None) == (dead.renewal.replaced, dead.renewal.claim, dead.access_token)
    assert [("revoked", NOW, "host 1")] == [(h.what, h.at, h.by) for h in dead.history]
    assert dead is died(dead, Status.LOGIN_NEEDED, 2 * NOW)
    alone = died(row.but(refresh_token=None), Status.REVOKED, NOW)
    assert ("access_token", "a") == alone.renewal.to_revoke[-1]
    assert dead is died(dead, Status.REVOKED, 2 * NOW)


LATE = {
    "each for itself": (ROW, EACH, "to_revoke"),
    "the whole consent": (ROW, {"revokes_grant": True}, "replaced"),
    "of a revoked row": (died(ROW, Status.REVOKED, 2.0), {"revokes_grant": True}, "to_revoke"),
}


@pytest.mark.parametrize(("row", "habits", "where"), LATE.values(), ids=LATE)
def test_what_came_too_late(row, habits, where):
    """It is seen to by the row that is there now; its own tokens are left alone."""
    late = (("refresh_token", "late"), ("refresh_token", "r"))

    seen = superseded(row, late, **habits)

    assert late[:1] == tuple(set(getattr(seen.renewal, where)) - set(REFRESH))
    other = seen.with_renewal(to_revoke=(), replaced=late[:1])
    again = superseded(other, late, **habits).renewal
    assert ((), late[:1]) == (again.to_revoke, again.replaced)
    assert ("refresh_token", "r") not in seen.renewal.replaced
    assert saving.is_older(seen, "late")


def test_first():
    """A first save takes the caller's fields, and none of the store's."""
    made = first(ROW.but(last_used_at=5.0, ended=True), login="new", now=NOW)

    its = ("created_at", "updated_at", "last_used_at", "logged_in_at", "id", "version", "owner")
    assert [NOW, NOW, NOW, 1.0, None, None, None] == [getattr(made, name) for name in its]
    assert Renewal(login="new", lifetime=1000.0, mints=(NOW,)) == made.renewal
    assert (ROW.pair, False) == (made.pair, made.ended)
    assert ["login"] == [each.what for each in made.history]
