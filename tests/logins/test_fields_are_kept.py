"""No field of a token is dropped on any way through the library, also none that is added later."""

from __future__ import annotations

from dataclasses import fields

import pytest

from tokenkeep import Claim, Failure, Notice, Renewal, Token

GIVEN = {name: f"the {name}" for name in (
    "client_id", "client_secret", "access_token", "refresh_token", "grant_token", "scope")} | {
    "user": "ana@example.com:1", "provider": "zoho", "redirect_uri": "https://example.com/back",
    "issuer": "https://accounts.example/token", "api_domain": "https://api.example",
    "data_center": "api.example:443", "environment": "api.example:443",
    "expires_at": 4e9, "refresh_expires_at": 5e9,
    "extra": {"instance_url": "https://api.example", "id_token": "e30", "expires": [1, None]},
}  # fmt: skip
"""Of a token that is saved: one value for each field, none of them what it is by itself."""

FIXED = ("user", "client_id", "provider", "data_center", "environment")
"""What a row is for."""

THE_STORES = {
    "id", "version", "owner", "status", "created_at", "updated_at", "last_used_at", "logged_in_at",
    "history", "renewal", "unknown", "ended",
}  # fmt: skip
"""Fields that the store gives, or that say what it knows of a token's life."""

STATE = {
    "claim": Claim(nonce="n", holder="{}", taken_at=1.0, length=20.0),
    "mints": (1.0, 2.0),
    "failure": Failure(kind="transient", error="e", at=1.0, until=2.0, count=1, credential="c"),
    "login": "a nonce",
    "renewed_by": "host 1",
    "renewed_at": 3.0,
    "lifetime": 3600.0,
    "to_revoke": (("refresh_token", "r0"),),
    "replaced": (("refresh_token", "r1"),),
    "given": True,
    "past": ("0123456789abcdef",),
    "notice": Notice(
        what="recovered", at=2.0, since=1.0, error="e", tries=1, next_at=3.0, told=("command",)
    ),
    "unknown": {"later": [1]},
}


def differing(one, other, names):
    """Return the fields that differ, with both values."""
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in names}
    return {name: (a, b) for name, (a, b) in pairs.items() if a != b}


def test_every_field_is_here():
    """Who adds a field to `Token` or `Renewal` says here whether it is given or the store's."""
    assert {*GIVEN} | THE_STORES == {field.name for field in fields(Token)}
    assert {*STATE} == {field.name for field in fields(Renewal)}
    assert not [name for name, value in GIVEN.items() if value == getattr(Token(), name)]
    assert not [name for name, value in STATE.items() if value == getattr(Renewal(), name)]


def test_a_save_over_another(stage):
    """What was given is stored: a login brings all its fields, and an update those given."""
    store = stage.open()
    what_it_is_for = {name: GIVEN[name] for name in FIXED}
    first = store.save_token(Token(**what_it_is_for, access_token="a0", refresh_token="r0"))
    assert first.logged_in_at == first.created_at == stage.clock.now()

    stored = store.save_token(Token(**GIVEN))
    assert {} == differing(Token(**GIVEN), stage.open().find_token_by_id(stored.id), GIVEN)
    assert "login" == stored.history[-1].what

    same = {name: GIVEN[name] for name in (*FIXED, "refresh_token")}
    again = store.save_token(Token(**same, scope="less"))
    assert {} == differing(stored.but(scope="less"), again, GIVEN)


@pytest.mark.parametrize("has_row", [False, True], ids=["new user", "user who has a row"])
def test_a_move_into_its_users_row(stage, has_row):
    """A login whose user becomes known loses nothing on the way, its state either."""
    store = stage.open()
    if has_row:
        store.save_token(Token(**GIVEN | {"refresh_token": "r", "access_token": "a",
                                          "grant_token": None, "extra": {}}))  # fmt: skip
    nameless = store.save_token(Token(**GIVEN | {"user": None}))
    store.swap(nameless.with_renewal(**STATE))

    store.save_token(Token(**GIVEN))

    [row] = stage.open().get_tokens()
    assert {} == differing(Token(**GIVEN), row, GIVEN)
    its_own = {"past", "to_revoke", "replaced"}
    assert {} == differing(Renewal(**STATE), row.renewal, STATE.keys() - its_own)
    for name in ("past", "to_revoke", "replaced"):
        assert {*STATE[name]} <= {*getattr(row.renewal, name)}
    assert nameless.logged_in_at == row.logged_in_at


def learn_whose_it_is(stage, keeper, row):
    keeper.store.save_token(row.but(version=None, user=row.user or stage.bo))


def move_into_its_users_row(stage, keeper, row):
    keeper.store.save_token(stage.login(stage.bo))
    learn_whose_it_is(stage, keeper, row)


DEEDS = {
    "renew": lambda _, keeper, row: keeper.renew(row.id),
    "update": lambda _, keeper, row: keeper.store.save_token(row.but(scope="x")),
    "login": lambda stage, keeper, row: keeper.store.save_token(stage.login(row.user)),
    "revoke": lambda _, keeper, row: keeper.revoke(row.id),
    "learn whose it is": learn_whose_it_is,
    "move into its user's row": move_into_its_users_row,
    "seal anew": lambda _, keeper, __: list(keeper.store.rotate_data()),
    "rotate": lambda _, keeper, __: keeper.store.rotate(),
    "sweep": lambda _, keeper, __: keeper.sweep(),
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
def test_what_a_later_version_has_put_there(stage, deed):
    """Two versions on one store: the older keeps what it knows not, whatever it does."""
    nameless = deed in (learn_whose_it_is, move_into_its_users_row)
    store = stage.open()
    row = store.save_token(stage.login(None if nameless else stage.ana))
    later, state = {"horoscope": {"houses": [1, {"x": None}]}}, {"moods": ["calm"]}
    row = store.swap(row.but(unknown=later).with_renewal(unknown=state))

    deed(stage, stage.keeper(), row)

    [found] = stage.open().get_tokens()
    assert (later, state) == (found.unknown, found.renewal.unknown)
