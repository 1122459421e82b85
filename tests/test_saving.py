"""Saving: one table of cases, for every store."""

from __future__ import annotations

import math

import pytest

from tokenkeep import Claim, EmptyLookup, Failure, Renewal, Status, Token
from tokenkeep.errors import LookupFailed
from tokenkeep.saving import cleaned, first, match, merged, same_thing

NOW = 1000.0
PLACE = {"provider": "zoho", "data_center": "us", "environment": "production"}
ROW = Token(
    id="row",
    version="v",
    user="ana",
    client_id="c",
    client_secret="s",
    access_token="a",
    refresh_token="r",
    grant_token="g",
    expires_at=2000.0,
    created_at=1.0,
    updated_at=1.0,
    renewal=Renewal(
        claim=Claim(nonce="n", holder="h", taken_at=1.0, length=20.0),
        mints=(1.0, 2.0),
        failure=Failure(kind="x", error="e", at=1.0, until=2.0, count=1, credential="d"),
        login="old",
        to_revoke=(("refresh_token", "r"),),
    ),
    **PLACE,
)
NAMELESS = ROW.but(id="nameless", user=None)


def save(stored, **changes):
    return merged(stored, Token(**changes), login="new", now=NOW)


MATCHES = {
    "id": ({"id": "row", "access_token": "x"}, "row"),
    "id before identity": ({"id": "nameless", "user": "ana", "client_id": "c", **PLACE},
                           "nameless"),
    "identity": ({"user": "ana", "client_id": "c", "refresh_token": "x", **PLACE}, "row"),
    "identity before refresh": ({"user": "ana", "client_id": "c", "refresh_token": "r2", **PLACE},
                                "row"),
    "refresh": ({"refresh_token": "r2"}, "second"),
    "refresh before grant": ({"refresh_token": "r2", "grant_token": "g"}, "second"),
    "grant": ({"grant_token": "g2"}, "second"),
    "grant before access": ({"grant_token": "g2", "access_token": "a"}, "second"),
    "access": ({"access_token": "a2"}, "second"),
    "nothing in common": ({"access_token": "x", "refresh_token": "y"}, None),
    "another client": ({"refresh_token": "r2", "client_id": "d"}, None),
    "another environment": ({"refresh_token": "r2", "environment": "sandbox"}, None),
    "another user's credential": ({"user": "eve", "refresh_token": "r2"}, None),
    "another user's id": ({"id": "second", "user": "eve", "access_token": "x"}, None),
    "unknown id": ({"id": "x", "refresh_token": "r2"}, "second"),
}  # fmt: skip


@pytest.mark.parametrize(("saved", "row"), MATCHES.values(), ids=MATCHES)
def test_which_row_is_updated(saved, row):
    """By id, then identity, then refresh, grant and access token; never somebody else's."""
    second = ROW.but(id="second", user="bob", access_token="a2", refresh_token="r2",
                     grant_token="g2")  # fmt: skip

    found = match(Token(**saved), [second, NAMELESS, ROW])

    assert row == (found and found.id)


def test_pointers_are_never_updated():
    """A row that only points elsewhere is not the thing itself."""
    assert not same_thing(ROW.but(status=Status.MOVED), ROW)
    assert match(ROW, [ROW.but(status=Status.MOVED)]) is None


@pytest.mark.parametrize("name", ["user", "client_id", "provider", "data_center", "environment"])
def test_what_a_row_is_for(name):
    """What is not known may become known; what is known never changes."""
    assert same_thing(ROW.but(**{name: None}), ROW)
    assert same_thing(ROW, ROW.but(**{name: None}))
    assert not same_thing(ROW, ROW.but(**{name: "other"}))


def test_cleaned():
    """Empty texts are None; a token without any token is refused, and not shown."""
    assert Token(access_token="a") == cleaned(Token(id="", user="", access_token="a", scope=""))
    with pytest.raises(EmptyLookup):
        cleaned(Token(user="ana", client_secret="s", refresh_token=""))
    with pytest.raises(LookupFailed):
        cleaned(Token(user="\udfff", access_token="a"))


@pytest.mark.parametrize(
    "expires_at", [math.nan, math.inf, -math.inf, -1.0, 1e20, 1_800_000_000_000, 10**400, "soon"]
)
def test_an_end_that_is_no_time(expires_at):
    """An end that nobody could show or compare is refused: milliseconds, NaN, text."""
    with pytest.raises(LookupFailed, match="expires_at is not a number of seconds"):
        cleaned(Token(access_token="a", expires_at=expires_at))


@pytest.mark.parametrize("expires_at", [None, 0, 5.0, 1_800_000_000, 253_402_300_799.0])
def test_an_end(expires_at):
    """Any moment of the years 1970 to 9999 is a time, as a whole number too."""
    token = Token(access_token="a", expires_at=expires_at)

    assert cleaned(token) is token


def test_none_stays_as_stored():
    """A save writes only what it brings."""
    after = save(ROW, refresh_token="r", scope="x")

    assert ROW.but(scope="x", updated_at=NOW) == after


def test_nothing_new_is_the_row_itself():
    """A save of what is stored changes nothing, not even the time."""
    assert ROW is save(
        ROW, access_token="a", refresh_token="r", grant_token="g", expires_at=2000.0
    )


def test_the_same_login_keeps_the_state_of_renewals():
    """A renewed access token leaves claim, mint times and the login as they are."""
    after = save(ROW, access_token="new", refresh_token="r", expires_at=4600.0)

    assert ("new", 4600.0) == (after.access_token, after.expires_at)
    renewal = after.renewal
    assert (ROW.renewal.claim, (1.0, 2.0), "old") == (renewal.claim, renewal.mints, renewal.login)
    assert 3600.0 == renewal.lifetime


def test_an_end_belongs_to_its_access_token():
    """Another access token without an end does not keep the old one."""
    assert save(ROW, access_token="new", refresh_token="r").expires_at is None
    assert 2000.0 == save(ROW, access_token="a", refresh_token="r").expires_at


LOGINS = {
    "another refresh token": ({"refresh_token": "r2"}, True),
    "another refresh token, same grant": ({"refresh_token": "r2", "grant_token": "g"}, True),
    "a grant that was just exchanged": ({"grant_token": "g2", "access_token": "a2"}, True),
    "the stored refresh token": ({"refresh_token": "r", "access_token": "a2"}, False),
    "the stored refresh token, new grant": ({"refresh_token": "r", "grant_token": "g2"}, False),
    "the stored grant": ({"grant_token": "g", "access_token": "a2"}, False),
    "an access token alone": ({"access_token": "a2"}, False),
}


@pytest.mark.parametrize("status", [Status.REVOKED, Status.LOGIN_NEEDED])
@pytest.mark.parametrize(("saved", "lifts"), LOGINS.values(), ids=LOGINS)
def test_what_lifts_a_dead_row(status, saved, lifts):
    """Only a new login brings a dead row back; anything else changes nothing in it."""
    dead = ROW.but(status=status, access_token=None)

    after = save(dead, **saved)

    if lifts:
        assert (Status.OK, "new") == (after.status, after.renewal.login)
        assert (None, None) == (after.renewal.claim, after.renewal.failure)
        assert after.renewal.to_revoke == dead.renewal.to_revoke
    else:
        assert after is dead


@pytest.mark.parametrize(("saved", "is_login"), LOGINS.values(), ids=LOGINS)
def test_a_new_login_starts_anew(saved, is_login):
    """A new login has its own nonce, and counts mints anew if its refresh token is new."""
    after = save(ROW, **saved)

    assert ("new" if is_login else "old") == after.renewal.login
    assert ((NOW,) if after.refresh_token == "r2" else (1.0, 2.0)) == after.renewal.mints


def test_a_revoked_refresh_token_stays_away():
    """A new login without a refresh token does not bring the revoked one back."""
    login = {"grant_token": "g2", "access_token": "a2"}

    assert save(ROW.but(status=Status.REVOKED), **login).refresh_token is None
    assert "r" == save(ROW.but(status=Status.LOGIN_NEEDED), **login).refresh_token


@pytest.mark.parametrize(
    ("before", "asked", "after"),
    [
        (Status.OK, Status.REVOKED, Status.REVOKED),
        (Status.OK, Status.LOGIN_NEEDED, Status.LOGIN_NEEDED),
        (Status.LOGIN_NEEDED, Status.REVOKED, Status.REVOKED),
        (Status.REVOKED, Status.LOGIN_NEEDED, Status.REVOKED),
        (Status.REVOKED, Status.REVOKED, Status.REVOKED),
    ],
)
def test_a_save_may_end_a_token(before, asked, after):
    """Dead is a status a save can bring; revoked outlives login_needed."""
    saved = save(ROW.but(status=before), refresh_token="r2", status=asked)

    assert after is saved.status
    assert "r" == saved.refresh_token
    if before is Status.OK:
        assert saved.renewal.claim is None
        assert (None if after is Status.REVOKED else "a") == saved.access_token


def test_a_pending_row_is_completed():
    """Whatever is saved over a pending row is its login."""
    pending = Token(id="row", status=Status.PENDING, renewal=Renewal(claim=ROW.renewal.claim))

    after = save(pending, access_token="a", user="ana")

    assert (Status.OK, "new", None) == (after.status, after.renewal.login, after.renewal.claim)


@pytest.mark.parametrize("status", [Status.REVOKED, Status.LOGIN_NEEDED])
def test_a_pending_row_can_end_at_once(status):
    """A dead token saved over a pending row brings its fields, and stays dead."""
    pending = Token(id="row", status=Status.PENDING, renewal=Renewal(claim=ROW.renewal.claim))

    after = save(pending, access_token="a", refresh_token="r", user="ana", status=status)

    assert (status, "ana", "r") == (after.status, after.user, after.refresh_token)
    assert (None if status is Status.REVOKED else "a") == after.access_token
    assert after.renewal.claim is None


def test_first():
    """A first save takes the caller's fields, and none of the store's."""
    made = first(ROW.but(last_used_at=5.0, moved_to="x"), login="new", now=NOW)

    assert (None, None, None, None) == (made.id, made.version, made.identity, made.moved_to)
    assert (NOW, NOW, NOW) == (made.created_at, made.updated_at, made.last_used_at)
    assert Renewal(login="new", lifetime=1000.0, mints=(NOW,)) == made.renewal
    assert ROW.pair == made.pair
