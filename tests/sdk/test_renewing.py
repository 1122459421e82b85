"""Renewal, as the SDK's users meet it: once, in time, within Zoho's limits, and never in vain."""

from __future__ import annotations

import time

import pytest
from sdk_driver import SDKFailed, old_and_new


def a_minute_later(process):
    """Let what was made be old enough to be the reason of a 401."""
    process.move_clock(seconds=61)


def expired(sdk, process):
    """Log in, let the token expire; return it."""
    token = sdk.log_in(process)
    process.edit(token["id"], expires_in=-1)
    return token


def test_eight_processes(sdk, zoho):
    """Eight processes that find one expired token make one call and all go on with its answer."""
    workers = [sdk.process() for _ in range(8)]
    token = sdk.log_in(workers[0])
    for each in workers[1:]:
        sdk.start(each, id=token["id"])
    workers[0].edit(token["id"], expires_in=-1)
    tokens = sdk.at_once(workers, "get_token")

    assert zoho.counters.token_calls("refresh_token") == 1
    assert len(set(tokens)) == 1
    assert zoho.is_active(tokens[0])


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

    assert "access token has expired" not in (sdk.folder / "sdk.log").read_text().lower()
    renewed_by_us = (sdk.folder / "all.log").read_text().count("renewed: token")
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
    wrong = {"client_id": sdk.client.client_id, "client_secret": "wrong"}
    with pytest.raises(SDKFailed) as failed:
        sdk.start(refresh_token=token["refresh_token"], **wrong)

    assert failed.value.cause == "ProviderRefused"
    [stored] = process.get_tokens()
    assert stored["client_secret"] == sdk.client.client_secret
    assert zoho.is_active(process.get_token())


def test_rejected_in_threads(sdk, zoho):
    """Eight threads that all meet a 401 renew once, then again for the next one."""
    process = sdk.process()
    sdk.log_in(process)
    assert process.call() == 200
    for round_ in (1, 2):
        zoho.expire_access_tokens()
        a_minute_later(process)
        assert process.in_threads("call_with_retry", 8) == [200] * 8
        assert zoho.counters.token_calls("refresh_token") == round_


def test_rejected_after_a_login_over_an_old_row(sdk, zoho):
    """A login a moment ago is young, however long ago its row was last renewed."""
    process = sdk.process()
    first = sdk.log_in(process)
    process.renew(first["id"])
    a_minute_later(process)
    sdk.log_in(process)
    zoho.counters.reset()
    process.rejected()
    assert zoho.counters.token_calls() == 0
    a_minute_later(process)
    process.rejected()

    assert zoho.counters.token_calls("refresh_token") == 1


def test_rejected_after_another_user(sdk, zoho):
    """Another user's token, handed out in between in one thread, hides nothing of the refused."""
    process = sdk.process()
    first = sdk.log_in(process, user=zoho.user)
    process.renew(first["id"])
    other = sdk.log_in(user=zoho.add_user("other@us.example.com"))
    a_minute_later(process)
    before = process.get_token()
    process.find_token_by_id(other["id"])
    process.rejected()

    assert process.get_token() != before
    assert zoho.counters.token_calls("refresh_token") == 2


def test_rejected_in_a_thread_that_knows_nothing(sdk, zoho):
    """A thread that was given nothing reports what the object holds; a newer one is left alone."""
    process = sdk.process()
    first = sdk.log_in(process)
    process.renew(first["id"])
    a_minute_later(process)
    process.in_threads("rejected", 1)
    assert zoho.counters.token_calls("refresh_token") == 1

    assert process.get_token() != first["access_token"]
    assert zoho.counters.token_calls("refresh_token") == 1


def test_rejected_after_a_new_login(sdk, zoho):
    """What a thread saves is what it goes on with: reported, it is renewed."""
    process = sdk.process()
    first = sdk.log_in(process)
    again = {"refresh_token": first["refresh_token"], "access_token": zoho.access_token()}
    a_minute_later(process)
    process.get_token()
    saved = process.save(expires_in="4102444800000", **again, **sdk.secrets())
    process.rejected(id=saved["id"], **again)
    seen = process.find_token_by_id(saved["id"])

    assert seen["id"] == first["id"]
    assert seen["access_token"] not in (first["access_token"], again["access_token"])
    assert zoho.counters.token_calls("refresh_token") == 1
