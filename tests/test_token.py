"""Token: frozen, and silent about its secrets."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields

import pytest

from tokenkeep import Claim, Failure, Renewal, Status, Token

SECRETS = {
    name: f"secret-{name}"
    for name in ("client_secret", "access_token", "refresh_token", "grant_token")
}


def test_repr_names_it_without_any_secret():
    """Whatever prints a token shows who it is of, and no secret."""
    token = Token(
        id="7f",
        user="ana",
        renewal=Renewal(to_revoke=(("refresh_token", "secret-pending"),)),
        **SECRETS,
    )

    for text in (repr(token), str(token), f"{token}", repr([token]), repr(token.renewal)):
        assert "secret" not in text
    assert "<Token id='7f' user='ana' status='ok'>" == repr(token)


def test_frozen():
    """A token that was handed out never changes."""
    for thing in (Token(), Renewal()):
        for field in fields(thing):
            with pytest.raises(FrozenInstanceError):
                setattr(thing, field.name, None)


def test_but():
    """A change makes another token, and only that change."""
    token = Token(id="7f", user="ana", **SECRETS)

    changed = token.but(access_token="new")

    assert ("secret-access_token", "new") == (token.access_token, changed.access_token)
    assert token == changed.but(access_token=token.access_token)
    with pytest.raises(TypeError):
        token.but(acces_token="mistyped")


def test_with_renewal():
    """The state of the renewal changes likewise."""
    claim = Claim(nonce="n", holder="h", taken_at=1.0, length=20.0)

    token = Token(user="ana").with_renewal(claim=claim)

    assert Token(user="ana", renewal=Renewal(claim=claim)) == token
    assert Token(user="ana") == token.with_renewal(claim=None)
    with pytest.raises(TypeError):
        token.with_renewal(claims=None)


def test_pair():
    """The pair is what a renewal replaces."""
    assert ("a", None) == Token(access_token="a").pair


def test_a_new_token_is_a_question():
    """Nothing is known of a token but that it is not dead."""
    token = Token()

    assert Status.OK is token.status
    assert {None, Status.OK, Renewal()} == {getattr(token, f.name) for f in fields(token)}


def test_pickles():
    """A token crosses processes whole."""
    failure = Failure(kind="transient", error="e", at=1.0, until=2.0, count=1, credential="c")
    token = Token(id="7f", status=Status.REVOKED, renewal=Renewal(failure=failure), **SECRETS)

    assert token == pickle.loads(pickle.dumps(token))
