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
@pytest.mark.parametrize(
    "worse",
    [{}, {"status": Status.REVOKED}, {"status": Status.LOGIN_NEEDED}, {"refresh_token": None},
     {"logged_in_at": 1.0}],
)  # fmt: skip
def test_ambiguous(name, worse):
    """Several answers are an error that says what to add, whatever else one of them lacks."""
    rows = [ANA, stored("ana", id="second", **{name: "other"}, **worse)]

    for order in (rows, rows[::-1]):
        with pytest.raises(AmbiguousLookup) as caught:
            find(Token(user="ana"), order)
        for said in (f"Add {name}", "ana, second"):
            assert said in str(caught.value)
        assert "ana r" not in str(caught.value)
        assert "second" == find(Token(user="ana", **{name: "other"}), order).id


def test_what_is_not_known_is_no_answer():
    """A row whose place is not known is not taken for one of a place."""
    assert find(Token(user="ana", environment="production"), [ANA.but(environment=None)]) is None
    assert "secret" not in repr(Lookup.of(Token(access_token="secret")))


def test_owners():
    """Each is of five things and nothing else; no character in one makes two owners one."""
    same = ANA.but(access_token="x", refresh_token="y", api_domain="z", issuer="i", scope="s")
    five = ("provider", "client_id", "user", "data_center", "environment")
    odd = [
        {"client_id": "a|b", "user": "c"},
        {"client_id": "a", "user": "b|c"},
        {"client_id": 'a", "b', "user": "c"},
        {"client_id": "a", "user": 'b", "c'},
        {"client_id": None, "user": "c"},
        {"client_id": "null", "user": "c"},
        *({"user": user} for user in ("ana", "Ana", "ana\0", "caf\u00e9", "cafe\u0301")),
        {"user": '{"credential": ["grant", "x"]}'},  # nobody's name is a credential
    ]
    others = [ANA.but(**{name: "other"}) for name in five] + [Token(**each) for each in odd]
    nameless = {owner_of(Token(), each) for each in (("grant", "x"), ("refresh", "x"))}

    assert owner_of(ANA) == owner_of(same)
    assert 1 + 5 + 12 + 2 == len({owner_of(token) for token in (ANA, *others)} | nameless)


def test_credentials_of_the_nameless():
    """A token without a user is told apart by grant, else refresh, else access token."""
    assert [("grant", "g"), ("refresh", "r"), ("access", "a")] == credentials(
        Token(access_token="a", refresh_token="r", grant_token="g")
    )
    assert [("access", "a")] == credentials(Token(access_token="a", grant_token=""))
