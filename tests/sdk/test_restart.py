"""How an application may start, and start again: each of the SDK's ways, across a restart."""

from __future__ import annotations

import pytest
from sdk_driver import each_generation, refused


@each_generation
def test_grant_token(sdk, zoho):
    """A grant code is exchanged once, and starts the application again ever after."""
    code = zoho.grant_code()
    first = sdk.start(grant_token=code)
    again = sdk.start(grant_token=code)

    assert isinstance(first["id"], str)
    for name in ("id", "access_token", "refresh_token"):
        assert again[name] == first[name]
    # Generation 5_0 does not look up whose token it is.
    assert first["user"] == (None if sdk.generation == "5_0" else zoho.user.name)
    if first["user"]:
        assert sdk.start(user=first["user"])["id"] == first["id"]
    assert (zoho.counters.token_calls(), zoho.counters.errors) == (1, {})


def test_access_token(sdk, zoho):
    """A bare access token is stored, found and used; once expired, only a login helps."""
    given = {"access_token": zoho.access_token()}
    process = sdk.process()
    first = sdk.start(process, **given)
    again = sdk.start(**given)

    assert again["id"] == first["id"] is not None
    assert again["access_token"] == given["access_token"] == process.get_token()
    assert process.call() == 200
    process.edit(first["id"], expires_in=-1)
    with refused("LoginNeeded"):
        process.get_token()
    assert zoho.counters.token_calls() == 0


@pytest.mark.parametrize("by", ["refresh", "id", "user", "user, code", "user, refresh"])
def test_found_again(sdk, zoho, by):
    """By its refresh token, id or user, whatever credential is beside it: one login, ever."""
    name, code, refresh = zoho.user.name, zoho.grant_code(), zoho.refresh_token()
    start = {"refresh_token": refresh} if by == "refresh" else {"grant_token": code}
    first = sdk.start(user=name, **start)
    again = {
        "refresh": {"refresh_token": refresh},
        "id": {"id": first["id"]},
        "user": {"user": name},
        "user, code": {"user": name, "grant_token": code},
        "user, refresh": {"user": name, "refresh_token": refresh},
    }[by]
    process = sdk.process()
    found = sdk.start(process, **again)

    for each in ("id", "access_token", "refresh_token"):
        assert found[each] == first[each]
    assert process.call() == 200
    assert zoho.counters.token_calls() == 1
