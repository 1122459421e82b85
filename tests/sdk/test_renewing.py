"""Renewal, as the SDK's users meet it: once, in time, within Zoho's limits, and never in vain."""

from __future__ import annotations

import time

import pytest
from sdk_driver import SDKFailed, old_and_new

A_MINUTE = 61
"""What was made so many seconds ago can be the reason of a 401."""


def expired(sdk, process):
    """Log in, let the token expire; return it."""
    token = sdk.log_in(process)
    process.edit(token["id"], expires_in=-1)
    return token


@old_and_new
def test_the_sdk_never_renews(sdk, zoho):
    """Whatever lifetime a token has, the SDK never finds less than its own five seconds left."""
    # However long this takes, each lookup may have to renew.
    sdk.configure("[providers.zoho.profile]\nmint_limit = 1000\n")
    zoho.options.mints_per_window = None
    zoho.options.access_token_life = 2
    process = sdk.process()
    token = sdk.log_in(process)
    for _ in range(5):
        begin = time.time()
        seen = process.find_token_by_id(token["id"])
        assert int(seen["expires_in"]) > (begin + 5) * 1000
        process.get_token()
    restarted = sdk.process()
    sdk.start(restarted, id=token["id"])
    restarted.get_token()

    assert "access token has expired" not in sdk.log("sdk.log").lower()
    renewed_by_us = sdk.log().count("renewed: token")
    assert zoho.counters.token_calls("refresh_token") == renewed_by_us


@old_and_new
def test_down_and_expired(sdk, zoho):
    """When it can't be renewed, an SDKException says why; the SDK asks nobody, nothing is lost."""
    process = sdk.process()
    token = expired(sdk, process)
    fault = zoho.faults.add(kind="status", times=None)
    with pytest.raises(SDKFailed) as failed:
        process.get_token()

    assert (failed.value.kind, failed.value.cause) == ("SDKException", "ProviderUnavailable")
    assert fault.hits == 2
    zoho.faults.clear()
    process.move_clock(seconds=5)
    assert process.get_token() != token["access_token"]
    assert process.call() == 200


def test_wrong_secret(sdk, zoho):
    """A wrong client secret is refused, not stored, and does not hinder who has the right one."""
    process = sdk.process()
    token = expired(sdk, process)
    with pytest.raises(SDKFailed) as failed:
        sdk.start(refresh_token=token["refresh_token"], client_secret="wrong")

    assert failed.value.cause == "ProviderRefused"
    [stored] = process.get_tokens()
    assert stored["client_secret"] == zoho.client.client_secret
    assert zoho.is_active(process.get_token())


def test_rejected_in_threads(sdk, zoho):
    """Eight threads that all meet a 401 renew once, then again for the next one."""
    process = sdk.process()
    sdk.log_in(process)
    assert process.call() == 200
    for round_ in (1, 2):
        zoho.expire_access_tokens()
        process.move_clock(seconds=A_MINUTE)
        assert process.in_threads("call_with_retry", 8) == [200] * 8
        assert zoho.counters.token_calls("refresh_token") == round_


def test_rejected_after_a_login_over_an_old_row(sdk, zoho):
    """A login a moment ago is young, however long ago its row was last renewed."""
    process = sdk.process()
    first = sdk.log_in(process)
    process.renew(first["id"])
    process.move_clock(seconds=A_MINUTE)
    sdk.log_in(process)
    zoho.counters.reset()
    process.rejected()
    assert zoho.counters.token_calls() == 0
    process.move_clock(seconds=A_MINUTE)
    process.rejected()

    assert zoho.counters.token_calls("refresh_token") == 1


def test_rejected_by_whom(sdk, zoho):
    """A thread reports what it was given last for that user, else what the object holds."""
    process = sdk.process()
    first = sdk.log_in(process)
    process.renew(first["id"])
    other = sdk.log_in(owner=zoho.add_user("other@us.example.com"))
    process.move_clock(seconds=A_MINUTE)
    process.in_threads("rejected", 1)  # was given nothing, and a newer one is stored
    assert zoho.counters.token_calls("refresh_token") == 1
    before = process.get_token()
    process.find_token_by_id(other["id"])
    process.rejected()

    assert process.get_token() != before != first["access_token"]
    assert zoho.counters.token_calls("refresh_token") == 2


def test_rejected_after_a_new_login(sdk, zoho):
    """What a thread saves is what it goes on with: reported, it is renewed."""
    process = sdk.process()
    first = sdk.log_in(process)
    again = {"refresh_token": first["refresh_token"], "access_token": zoho.access_token()}
    process.move_clock(seconds=A_MINUTE)
    process.get_token()
    saved = process.save(expires_in="4102444800000", **again, **sdk.secrets)
    process.rejected(id=saved["id"], **again)
    seen = process.find_token_by_id(saved["id"])

    assert seen["id"] == first["id"]
    assert seen["access_token"] not in (first["access_token"], again["access_token"])
    assert zoho.counters.token_calls("refresh_token") == 1
