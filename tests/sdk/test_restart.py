"""How an application may start, and start again: each of the SDK's ways, across a restart."""

from __future__ import annotations

import pytest
from sdk_driver import SDKFailed, each_generation


@each_generation
def test_grant_token(sdk, zoho):
    """A grant code is exchanged once, and starts the application again ever after."""
    code = zoho.grant_code()
    first = sdk.start(grant_token=code, **sdk.secrets())
    again = sdk.start(grant_token=code, **sdk.secrets())

    assert isinstance(first["id"], str)
    for name in ("id", "access_token", "refresh_token"):
        assert again[name] == first[name]
    # Generation 5_0 does not look up whose token it is.
    assert first["user"] == (None if sdk.generation == "5_0" else zoho.user.name)
    if first["user"]:
        assert sdk.start(user=first["user"])["id"] == first["id"]
    assert (zoho.counters.token_calls(), zoho.counters.errors) == (1, {})


def test_refresh_token(sdk, zoho):
    """A refresh token from elsewhere is used once, then the store's access token."""
    given = {"refresh_token": zoho.refresh_token(), **sdk.secrets()}
    first = sdk.start(**given)
    again = sdk.start(**given)

    assert again["id"] == first["id"]
    assert again["access_token"] == first["access_token"]
    assert zoho.counters.token_calls() == 1


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
    with pytest.raises(SDKFailed) as failed:
        process.get_token()
    assert failed.value.cause == "LoginNeeded"
    assert zoho.counters.token_calls() == 0


def test_id(sdk, zoho):
    """The id alone starts the application, and makes calls."""
    first = sdk.log_in()
    process = sdk.process()
    again = sdk.start(process, id=first["id"])

    assert again["access_token"] == first["access_token"]
    assert again["refresh_token"] == first["refresh_token"]
    assert process.call() == 200
    assert zoho.counters.token_calls() == 1


@pytest.mark.parametrize("more", ["nothing", "grant", "refresh"])
def test_user_signature(sdk, zoho, more):
    """The user's name is enough, with a spent or another credential beside it as well."""
    code = zoho.grant_code()
    first = sdk.start(grant_token=code, user=zoho.user.name, **sdk.secrets())
    beside = {
        "nothing": {},
        "grant": {"grant_token": code, **sdk.secrets()},
        "refresh": {"refresh_token": zoho.refresh_token(), **sdk.secrets()},
    }[more]
    again = sdk.start(user=zoho.user.name, **beside)

    assert again["id"] == first["id"]
    assert again["access_token"] == first["access_token"]
    assert zoho.counters.token_calls() == 1
