"""What nobody should ever store, write or ask: named errors, and nothing is lost."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import replace

import pytest
from login_stage import refused

from tokenkeep import Token, TokenKeepError
from tokenkeep.backends.base import HEADER


@pytest.fixture
def ana(stage):
    """A user's token in the store, and the process that has saved it."""
    stage.store = stage.open()
    return stage.store.save_token(stage.login(stage.ana))


def edit(store, record_id, **changes):
    """Change a record past the library."""
    was = store.backend.read(record_id)
    store.backend.write(replace(was, **changes), replaces=was.version)


def test_the_ground_is_taken_away(stage, ana):
    """The table was emptied, and another store made in it: whoever saves is told at once."""
    stage.store.backend.clear()
    stage.store.backend.delete(HEADER)
    other = stage.open()

    with refused("StoreUnavailable"):
        stage.store.save_token(stage.login(ana.user))

    assert [] == other.get_tokens()


@pytest.mark.parametrize("later", ["format", "kind"])
def test_what_a_later_version_wrote(stage, ana, later):
    """An upgrade is what it asks for, not a deletion; it is left alone, and holds nobody up."""
    bo = stage.store.save_token(stage.login(stage.bo, at="eu"))
    sealed = stage.store.backend.read(ana.id[3:]).sealed
    changes = {"kind": "poem"} if later == "kind" else {"sealed": bytes([3]) + sealed[1:]}
    edit(stage.store, ana.id[3:], due_at=0.0, **changes)
    written = stage.store.backend.read(ana.id[3:])

    keeper = stage.keeper()
    for question in (keeper.renew, keeper.revoke, keeper.delete, keeper.store.find_token_by_id,
                     lambda _: keeper.get(user=ana.user),
                     lambda _: keeper.save(stage.login(ana.user))):  # fmt: skip
        with refused("StoreTooNew") as error:
            question(ana.id)
        assert "pgrade" in error.why
    with suppress(TokenKeepError):  # it says so, after all else is done
        keeper.sweep()
    assert [bo] == stage.open().get_tokens()
    assert written == stage.store.backend.read(ana.id[3:])


@pytest.mark.parametrize("field", ["user", "client", "access", "refresh", "grant", "state"])
def test_a_mark_that_was_edited(stage, ana, field):
    """Whoever can write the database makes nobody's token another's."""
    bo = stage.store.save_token(stage.login(stage.bo, at="eu", got_here=True))
    theirs = stage.store.backend.read(bo.id[3:])
    edit(stage.store, ana.id[3:], **{field: getattr(theirs, field)})
    asked = {
        "access": Token(access_token=bo.access_token),
        "refresh": Token(refresh_token=bo.refresh_token, client_id=bo.client_id),
        "grant": Token(grant_token=bo.grant_token),
    }.get(field, Token(user=bo.user))

    with refused("StoreTampered") if field not in ("client", "state") else nullcontext():
        assert bo.id == stage.open().find_token(asked).id
    assert ana.id == stage.open().find_token_by_id(ana.id).id
