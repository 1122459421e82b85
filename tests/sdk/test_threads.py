"""Threads and `switch_user`: one store for all users, who never mix."""

from __future__ import annotations

from sdk_driver import each_generation


def test_users_never_mix(sdk, zoho):
    """Invariant 8: two users in two data centres, renewals amid, get their own tokens only."""
    sdk.register()
    process = sdk.process()
    users, logins = [], []
    for name in ("us", "eu"):
        owner = next(each for each in zoho.users if each.data_center == name)
        code = zoho.grant_code(owner)
        given = {"grant_token": code, "user": owner.name, **sdk.secrets(name)}
        logins.append(sdk.start(data_center=name, **given))
        users.append({"user": owner.name, "environment": sdk.environment(data_center=name)})
    sdk.start(process, id=logins[0]["id"])
    for each in logins:
        process.edit(token_id=each["id"], expires_in=-1)
    seen = process.hammer(users=users, rounds=50)

    assert [each["id"] for each in seen] == [logins[n % 2]["id"] for n in range(4)]
    assert [each["status"] for each in seen] == [200] * 4
    tokens = [set(each["tokens"]) for each in seen]
    assert not (tokens[0] | tokens[2]) & (tokens[1] | tokens[3])
    for name in ("us", "eu"):
        assert zoho.counters.token_calls("refresh_token", data_center=name) == 1


@each_generation
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


def test_eight_threads(sdk, zoho):
    """Eight threads on one expired token make one call."""
    process = sdk.process()
    token = sdk.log_in(process)
    process.edit(token_id=token["id"], expires_in=-1)
    tokens = process.get_token_threads(count=8)

    assert len(set(tokens)) == 1
    assert zoho.is_active(tokens[0])
    assert zoho.counters.token_calls("refresh_token") == 1
