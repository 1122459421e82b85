"""Ids that programs bring: ``OAuthToken(id="customer-42")`` goes on meaning its token."""

from __future__ import annotations

import pytest
from sdk_driver import SDKFailed, old_and_new

OWN = "customer-42"


@pytest.fixture
def saved(sdk, zoho):
    """A token that was saved under an id of the program's own, before any Initializer."""
    process = sdk.process()
    process.open()
    return process.save(
        id=OWN,
        user=zoho.user.name,
        refresh_token=zoho.refresh_token(),
        access_token=zoho.access_token(),
        expires_in="1",
        api_domain=zoho.us.api_url,
        **sdk.secrets(),
    )


@old_and_new
def test_starts_with_it(sdk, zoho, saved):
    """The SDK starts, renews and calls with that id, and keeps it on its objects."""
    process = sdk.process()
    started = sdk.start(process, id=OWN)

    assert saved["id"] == started["id"] == OWN
    assert started["access_token"] != saved["access_token"]
    assert process.call() == 200
    assert process.find_token_by_id(OWN)["id"] == process.find(id=OWN)["id"] == OWN
    assert len(process.get_tokens()) == 1
    assert zoho.counters.token_calls() == 1


@pytest.mark.parametrize("method", ["revoke", "sdk_revoke"])
def test_revoked(sdk, zoho, saved, method):
    """It is revoked by it: by the store's way and by the SDK's own."""
    process = sdk.process()
    sdk.start(process, id=OWN)

    assert getattr(process, method)(OWN) is True
    assert not zoho.is_active(saved["refresh_token"])


def test_found_without_it(sdk, zoho, saved):
    """Who asks by user gets the id that the store gave; both mean one token, and go with it."""
    found = sdk.start(user=zoho.user.name)
    process = sdk.process()

    assert found["id"] != saved["id"]
    assert sdk.start(id=found["id"])["access_token"] == sdk.start(process, id=OWN)["access_token"]
    assert zoho.counters.token_calls() == 1
    assert process.remove() is True
    assert process.get_tokens() == []
    with pytest.raises(SDKFailed) as failed:
        process.find_token_by_id(OWN)
    assert failed.value.cause == "TokenNotFound"


def test_a_store_that_keeps_no_second_id(sdk):
    """With a store of your own that knows one id only, that is the one on the object."""
    process = sdk.process()
    process.open(store="list")
    first = process.save(user="ana", refresh_token="r", **sdk.secrets())
    again = process.save(id=OWN, user="ana", refresh_token="r", access_token="a", **sdk.secrets())

    assert again["id"] == first["id"]
