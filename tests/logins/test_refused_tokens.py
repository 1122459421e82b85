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
        token = sdk_token(row, id=row.id, access_token=access_token)
        store.rejected(token)
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
@pytest.mark.parametrize("how", ["keeper", "sdk"])
def test_how_old_it_has_to_be(minted, how, age, calls):
    """A token is renewed when it is refused at least a minute after it was made."""
    renewed = minted.keeper().renew(minted.row.id)
    minted.pass_time(age)

    given = minted.report(how, renewed.access_token)

    assert (calls == 0) is (given == renewed.access_token)
    assert 1 + calls == minted.zoho.counters.token_calls("refresh_token")


@pytest.mark.parametrize("how", ["keeper", "sdk"])
def test_a_login_is_as_young(stage, how):
    """What a login brought a moment ago is not renewed either."""
    keeper, store = stage.keeper(), stage.sdk_store()
    row = keeper.store.save_token(stage.login(stage.ana, got_here=True))
    stage.pass_time(5.0)

    if how == "keeper":
        keeper.rejected(row.id, row.access_token)
    else:
        store.rejected(sdk_token(row, id=row.id))

    assert 0 == stage.zoho.counters.token_calls()


@pytest.mark.parametrize("how", ["keeper", "sdk"])
def test_evicted_at_the_provider(minted, how):
    """A token that the provider has taken back, as Zoho does with a sixteenth, is renewed."""
    minted.zoho.evict(minted.row.access_token)

    given = minted.report(how, minted.row.access_token)

    assert minted.zoho.is_active(given)


def test_somebody_else_has_renewed(minted):
    """Who was refused an access token that is no longer the stored one gets that."""
    renewed = minted.keeper().renew(minted.row.id)
    minted.pass_time(120.0)

    assert renewed.access_token == minted.report("keeper", minted.row.access_token)
    assert 1 == minted.zoho.counters.token_calls()
