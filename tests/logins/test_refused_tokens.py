"""What an API refuses is renewed once, and not over and over: then the token is not the reason."""

from __future__ import annotations

import pytest
from login_stage import sdk_token


@pytest.fixture
def minted(stage):
    """Who reports a refused token, and how often one was renewed since."""
    keeper, store = stage.keeper(), stage.sdk_store()
    row = keeper.store.save_token(stage.login(stage.ana))
    stage.pass_time(120.0)
    stage.row = row

    def report(how, access_token):
        if how == "keeper":
            return keeper.rejected(row.id, access_token).access_token
        store.rejected(sdk_token(row, id=row.id, access_token=access_token))
        return store.find_token_by_id(row.id).get_access_token()

    stage.report = report
    return stage


@pytest.mark.parametrize("how", ["keeper", "sdk"])
def test_ten_calls_to_the_wrong_place(minted, how):
    """One wrong data centre burnt ten tokens in ten calls, and blocked the user."""
    access_token = minted.row.access_token
    for _ in range(10):
        access_token = minted.report(how, access_token)
        minted.pass_time(1.0)

    assert 1 == minted.zoho.counters.token_calls("refresh_token")
    assert minted.zoho.is_active(access_token)


@pytest.mark.parametrize(("age", "calls"), [(59.0, 0), (61.0, 1)])
@pytest.mark.parametrize("made_by", ["renewal", "login"])
def test_how_old_it_has_to_be(minted, made_by, age, calls):
    """A token is renewed when it is refused at least a minute after it was made or brought."""
    login = minted.login(minted.ana, got_here=True)
    make = minted.keeper().renew if made_by == "renewal" else minted.open().save_token
    made = make(minted.row.id if made_by == "renewal" else login)
    before = minted.zoho.counters.token_calls("refresh_token")
    minted.pass_time(age)

    given = minted.report("keeper", made.access_token)

    assert (calls == 0) is (given == made.access_token)
    assert before + calls == minted.zoho.counters.token_calls("refresh_token")
