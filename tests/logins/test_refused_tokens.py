"""What an API refuses is renewed once, and not over and over: then the token is not the reason."""

from __future__ import annotations

import pytest


@pytest.fixture
def minted(stage):
    """A token that is two minutes old, and its keeper."""
    stage.by = stage.keeper()
    stage.row = stage.by.store.save_token(stage.login(stage.ana))
    stage.pass_time(120.0)
    return stage


@pytest.mark.parametrize(("age", "calls"), [(59.0, 0), (61.0, 1)])
@pytest.mark.parametrize("made_by", ["renewal", "login"])
def test_how_old_it_has_to_be(minted, made_by, age, calls):
    """
    A token is renewed when it is refused at least a minute after it was made or brought.

    One wrong data centre burnt ten tokens in ten calls, and blocked the user.
    """
    if made_by == "renewal":
        made = minted.by.renew(minted.row.id)
    else:
        made = minted.by.store.save_token(minted.login(minted.ana, got_here=True))
    before = minted.zoho.counters.token_calls("refresh_token")
    minted.pass_time(age)

    given = minted.by.rejected(made.id, made.access_token)

    assert (calls == 0) is (given.access_token == made.access_token)
    assert before + calls == minted.zoho.counters.token_calls("refresh_token")
