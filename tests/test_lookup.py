"""Lookup: what `StoreContract` does not ask of every store."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from tokenkeep import AmbiguousLookup, EmptyLookup, Status, Token
from tokenkeep.lookup import Lookup, credentials, find, owner_of


def stored(name, **changes):
    """Return a stored token; its secrets are its initial and the kind."""
    place = {"provider": "zoho", "data_center": "us", "environment": "production"}
    secrets = {f"{kind}_token": f"{name} {kind[0]}" for kind in ("access", "refresh", "grant")}
    return Token(**{"id": name, "user": name, "client_id": "c"} | place | secrets | changes)


ANA, BOB = stored("ana"), stored("bob")
CLIENT = {"client_id": "c", "client_secret": "s"}

QUESTIONS = {
    "user over access token": ({"user": "ana", "access_token": "bob a"}, "ana"),
    "user over refresh token": ({"user": "ana", "refresh_token": "bob r", **CLIENT}, "ana"),
    "access token over grant": ({"access_token": "ana a", "grant_token": "bob g"}, "ana"),
    "grant without client": ({"grant_token": "bob g"}, "bob"),
    "grant of another client": ({"grant_token": "ana g", "client_id": "d"}, None),
    "empty client id leaves the access token": ({"access_token": "bob a", "client_id": ""}, "bob"),
    "access token of another data centre": ({"access_token": "ana a", "data_center": "eu"}, None),
    "access token elsewhere": ({"access_token": "ana a", "environment": "sandbox"}, None),
    "nothing that could be looked for": ({"environment": "sandbox", "scope": "x"}, EmptyLookup),
}
"""Beside those of `StoreContract`, which every store is asked."""


@pytest.mark.parametrize(("asked", "found"), QUESTIONS.values(), ids=QUESTIONS)
def test_which_token_is_meant(asked, found):
    """A partial token means at most one of those that are stored; nothing is an error."""
    with pytest.raises(EmptyLookup) if found is EmptyLookup else nullcontext():
        answer = find(Token(**asked), [BOB, ANA])
        assert found == (answer and answer.id)


@pytest.mark.parametrize("name", ["client_id", "provider", "environment", "data_center"])
def test_ambiguous(name):
    """Several equal answers are an error that says what to add, and names the ids."""
    rows = [ANA, stored("ana", id="second", **{name: "other"})]

    with pytest.raises(AmbiguousLookup) as caught:
        find(Token(user="ana"), rows)

    assert f"Add {name}" in str(caught.value)
    assert "ana, second" in str(caught.value)
    assert "ana r" not in str(caught.value)
    assert "second" == find(Token(user="ana", **{name: "other"}), rows).id


@pytest.mark.parametrize(
    "worse",
    [
        {"status": Status.REVOKED},
        {"status": Status.LOGIN_NEEDED},
        {"refresh_token": None},
        {"user": None},
        {"logged_in_at": 1.0},
    ],
)
def test_no_preference_decides(worse):
    """Of several nobody is the answer, whatever else is worse of one of them."""
    better = stored("ana", logged_in_at=2.0)
    rows = [better, better.but(id="other", environment="sandbox").but(**worse)]
    asked = Token(access_token="ana a") if "user" in worse else Token(user="ana")

    for order in (rows, rows[::-1]):
        with pytest.raises(AmbiguousLookup, match="Add environment"):
            find(asked, order)
        assert "other" == find(asked.but(environment="sandbox"), order).id


def test_what_is_not_known_is_no_answer():
    """A row whose place is not known is not taken for one of a place."""
    assert find(Token(user="ana", environment="production"), [ANA.but(environment=None)]) is None
    assert "secret" not in repr(Lookup.of(Token(access_token="secret")))


def test_an_owner_is_of_five_things():
    """Provider, client, user, data centre and environment, and nothing else."""
    same = ANA.but(access_token="x", refresh_token="y", api_domain="z", issuer="i", scope="s")
    others = [
        ANA.but(**{name: "other"})
        for name in ("provider", "client_id", "user", "data_center", "environment")
    ]

    assert owner_of(ANA) == owner_of(same)
    assert 6 == len({owner_of(token) for token in (ANA, *others)})


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"client_id": "a|b", "user": "c"}, {"client_id": "a", "user": "b|c"}),
        ({"client_id": 'a", "b', "user": "c"}, {"client_id": "a", "user": 'b", "c'}),
        ({"client_id": None, "user": "c"}, {"client_id": "null", "user": "c"}),
        ({"user": "ana"}, {"user": "Ana"}),
        ({"user": "ana"}, {"user": "ana\0"}),
        ({"user": "caf\u00e9"}, {"user": "cafe\u0301"}),
    ],
)
def test_no_delimiter_mixes_two(one, two):
    """No character in one field makes two owners one."""
    assert owner_of(Token(**one)) != owner_of(Token(**two))


def test_a_user_is_never_a_credential():
    """A user who calls himself like a credential is not that credential."""
    grant, refresh = ("grant", "x"), ("refresh", "x")
    forged = Token(user='{"credential": ["grant", "x"]}')

    assert 3 == len({owner_of(forged), owner_of(Token(), grant), owner_of(Token(), refresh)})


def test_credentials_of_the_nameless():
    """A token without a user is told apart by grant, else refresh, else access token."""
    assert [("grant", "g"), ("refresh", "r"), ("access", "a")] == credentials(
        Token(access_token="a", refresh_token="r", grant_token="g")
    )
    assert [("access", "a")] == credentials(Token(access_token="a", grant_token=""))
