"""Threads and `switch_user`: one store for all users, who never mix, and for nobody."""

from __future__ import annotations

import pytest
from sdk_driver import SDKFailed, old_and_new


def test_users_never_mix(sdk, zoho):
    """Invariant 8: two users in two data centres, renewals amid, get their own tokens only."""
    sdk.register()
    process = sdk.process()
    users, logins = [], []
    for name in ("us", "eu"):
        owner = next(each for each in zoho.users if each.data_center == name)
        code = zoho.grant_code(owner)
        given = {"grant_token": code, "user": owner.name, **sdk.secrets()}
        logins.append(sdk.start(data_center=name, **given))
        users.append({"user": owner.name, "environment": sdk.environment(data_center=name)})
    sdk.start(process, id=logins[0]["id"])
    for each in logins:
        process.edit(each["id"], expires_in=-1)
    seen = process.hammer(users=users, rounds=50)

    assert [each["id"] for each in seen] == [logins[n % 2]["id"] for n in range(4)]
    assert [each["status"] for each in seen] == [200] * 4
    tokens = [set(each["tokens"]) for each in seen]
    assert not (tokens[0] | tokens[2]) & (tokens[1] | tokens[3])
    for name in ("us", "eu"):
        assert zoho.counters.token_calls("refresh_token", data_center=name) == 1


@old_and_new
def test_switch_between_users(sdk, zoho):
    """One thread switches from user to user; each start and call uses that user's token."""
    process = sdk.process()
    people = [zoho.user, zoho.add_user("second@us.example.com")]
    logins = []
    for each in people:
        given = {"grant_token": zoho.grant_code(each), "user": each.name, **sdk.secrets()}
        logins.append(sdk.start(**given))
    sdk.start(process, id=logins[0]["id"])
    for number in (1, 0, 1):
        switched = process.switch(environment=sdk.environment(), user=people[number].name)
        assert switched["id"] == logins[number]["id"]
        assert process.get_token() == logins[number]["access_token"]
        assert process.call() == 200

    assert zoho.counters.token_calls() == 2


@old_and_new
def test_starts_for_nobody(sdk, zoho):
    """The SDK starts without a login, and a call made for nobody never leaves the process."""
    process = sdk.process()

    process.start_with_nobody(environment=sdk.environment())
    with pytest.raises(SDKFailed) as caught:
        process.call()

    # 5_0 loses the text of whatever happens while it reads a module's fields.
    assert sdk.generation == "5_0" or "The SDK was called for nobody" in caught.value.everything
    assert process.get_tokens() == []
    assert zoho.counters.calls() == 0


def test_after_a_user_nobody_again(sdk, zoho):
    """With the user taken off the thread, what follows is refused and not made as that user."""
    logged_in = sdk.log_in(user=zoho.user.name)
    process = sdk.process()
    process.start_with_nobody(environment=sdk.environment())

    process.switch(environment=sdk.environment(), id=logged_in["id"])
    status = process.call()
    process.forget_user()
    before = zoho.counters.calls()
    with pytest.raises(SDKFailed):
        process.call()

    assert status == 200
    assert zoho.counters.calls() == before


def test_a_user_who_can_not_be_switched_to(sdk, zoho):
    """A switch that failed, and was taken back, leaves nothing a later call could use."""
    logged_in = sdk.log_in(user=zoho.user.name)
    process = sdk.process()
    process.start_with_nobody(environment=sdk.environment())
    process.revoke(logged_in["id"])

    with pytest.raises(SDKFailed) as caught:
        process.switch(environment=sdk.environment(), id=logged_in["id"])
    process.forget_user()
    with pytest.raises(SDKFailed):
        process.call()

    assert caught.value.cause == "TokenRevoked"
