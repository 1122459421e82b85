"""Token: frozen, and silent about its secrets."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from tokenkeep import Claim, Happening, Renewal, Token
from tokenkeep.token import is_ours, new_id

SECRETS = {
    name: f"secret-{name}"
    for name in ("client_secret", "access_token", "refresh_token", "grant_token")
}


def test_repr_names_it_without_any_secret():
    """Whatever prints a token shows who it is of, and no secret."""
    token = Token(
        id="7f",
        user="ana",
        renewal=Renewal(
            to_revoke=(("refresh_token", "secret-pending"),),
            replaced=(("refresh_token", "secret-replaced"),),
            past=("secret-digest",),
        ),
        extra={"id_token": "secret-id-token"},
        **SECRETS,
    )

    for text in (repr(token), str(token), f"{token}", repr([token]), repr(token.renewal)):
        assert "secret" not in text
    assert "<Token id='7f' user='ana' status='ok'>" == repr(token)


@pytest.mark.parametrize("thing", [Token(), Renewal()], ids=["token", "renewal"])
def test_frozen(thing):
    """A token that was handed out never changes."""
    for field in fields(thing):
        with pytest.raises(FrozenInstanceError):
            setattr(thing, field.name, None)


def test_but():
    """A change makes another token, and only that change; of the state of its renewal likewise."""
    token = Token(id="7f", user="ana", **SECRETS)
    claim = Claim(nonce="n", holder="h", taken_at=1.0, length=20.0)

    changed, claimed = token.but(access_token="new"), token.with_renewal(claim=claim)

    assert ("secret-access_token", "new") == (token.access_token, changed.access_token)
    assert token == changed.but(access_token=token.access_token)
    assert token.but(renewal=Renewal(claim=claim)) == claimed
    assert token == claimed.with_renewal(claim=None)
    for change in (token.but, token.with_renewal):
        with pytest.raises(TypeError):
            change(mistyped=None)


def test_history():
    """The last runs of its life, the oldest first, whoever did it; a run knows its first time."""
    token = Token().having("login", 1.0)
    for at in range(2, 5):
        token = token.having("renewed", float(at), "host/1")
    token = token.having("renewed", 5.0, "host/2").having("failed", 6.0)

    assert (
        Happening(what="login", at=1.0, since=1.0),
        Happening(what="renewed", at=5.0, by="host/2", count=4, since=2.0),
        Happening(what="failed", at=6.0),
    ) == token.history
    for at in range(100):
        token = token.having(f"event {at}", float(at))
    assert [f"event {at}" for at in range(84, 100)] == [each.what for each in token.history]


def test_ids():
    """Those that a store gives have a form of their own; whatever a caller brings has not."""
    odd = ["A" * 32, "a" * 33, "a" * 32 + "\n", ""]

    assert is_ours(f"tk_{'a' * 32}")
    assert is_ours(new_id())
    assert not any(map(is_ours, ["2", "", f"x tk_{'a' * 32}", *(f"tk_{each}" for each in odd)]))
