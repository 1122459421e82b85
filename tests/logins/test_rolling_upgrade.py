"""Two versions on one store: the older keeps what it knows not, and says what it can't read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from login_stage import refused, rows_of

from tokenkeep import Token

LATER = {"horoscope": {"sign": "\u264c", "houses": [1, 2, {"x": None}]}, "zodiac": "\u264c"}
LATER_STATE = {"patience": 0.5, "moods": ["calm"]}


def opened(store, record):
    """Return what is sealed of a row, of whatever version, and what seals it so again."""
    keys = store._header.keys
    bound = f"{record.id}\0{record.kind}\0{record.version}\0{record.owner}"
    plain = json.loads(keys.open(record.key, record.sealed, bound=bound))
    return plain, lambda changed: keys.seal(json.dumps(changed).encode(), bound=bound)[1]


@pytest.fixture
def rewrite(stage):
    """Let a later version write a token of this store: with what it knows, in its own format."""

    def _rewrite(token, *, inside=None, state=None, form=None):
        store = stage.open()
        record = store.backend.read(token.id.removeprefix("tk_"))
        plain, seal = opened(store, record)
        plain |= inside or {}
        plain["renewal"] |= state or {}
        sealed = seal(plain)
        if form is not None:
            sealed = bytes([form]) + sealed[1:]
        store.backend.write(replace(record, sealed=sealed), replaces=record.version)

    return _rewrite


def learn_whose_it_is(stage, keeper, row):
    keeper.store.save_token(row.but(version=None, user=row.user or stage.bo))


def move_into_its_users_row(stage, keeper, row):
    keeper.store.save_token(stage.login(stage.bo))
    learn_whose_it_is(stage, keeper, row)


DEEDS = {
    "read": lambda _, keeper, row: keeper.get(id=row.id),
    "renew": lambda _, keeper, row: keeper.renew(row.id),
    "update": lambda _, keeper, row: keeper.store.save_token(
        keeper.store.reread(row.id).but(scope="x")
    ),
    "login": lambda stage, keeper, row: keeper.store.save_token(stage.login(row.user)),
    "revoke": lambda _, keeper, row: keeper.revoke(row.id),
    "learn whose it is": learn_whose_it_is,
    "move into its user's row": move_into_its_users_row,
    "seal anew": lambda _, keeper, __: list(keeper.store.rotate_data()),
    "rotate": lambda _, keeper, __: keeper.store.rotate(),
    "sweep": lambda _, keeper, __: keeper.sweep(),
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
def test_what_a_later_version_has_put_there(stage, rewrite, deed):
    """It is kept and written back, whatever this version does with the token."""
    nameless = deed in (learn_whose_it_is, move_into_its_users_row)
    row = stage.open().save_token(stage.login(None if nameless else stage.ana))
    rewrite(row, inside=LATER, state=LATER_STATE)

    deed(stage, stage.keeper(), row)

    [record] = rows_of(stage.open())
    found, _ = opened(stage.open(), record)
    assert LATER == {name: found.get(name) for name in LATER}
    assert LATER_STATE == {name: found["renewal"].get(name) for name in LATER_STATE}


def test_a_format_of_a_later_version(stage, rewrite):
    """An upgrade is what it asks for, not a deletion; nobody else is held up."""
    ana = stage.open().save_token(stage.login(stage.ana))
    bo = stage.open().save_token(stage.login(stage.bo, at="eu"))
    rewrite(ana, form=3)

    for question in (lambda: stage.open().find_token_by_id(ana.id),
                     lambda: stage.open().find_token(Token(user=ana.user)),
                     lambda: stage.keeper().renew(ana.id),
                     lambda: stage.keeper().revoke(ana.id),
                     lambda: stage.keeper().delete(ana.id),
                     lambda: stage.open().save_token(stage.login(ana.user)),
                     lambda: list(stage.open().iter_tokens())):  # fmt: skip
        with refused("StoreTooNew") as error:
            question()
        assert "pgrade" in error.why
        assert "delete" not in error.why
    assert bo.access_token == stage.keeper().get(id=bo.id).access_token
    assert 2 == len(rows_of(stage.open()))
