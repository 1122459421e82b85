"""Renewal, as the SDK's users meet it: once, in time, within Zoho's limits, and never in vain."""

from __future__ import annotations

import shutil
import time

import pytest
from sdk_driver import SDKFailed, each_generation, old_and_new
from zohocrmsdk.src.com.zoho.crm.api.exception.sdk_exception import SDKException

from tokenkeep.integrations.zoho_sdk import CODE, REFUSED, is_refused

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


def test_rejected_when_it_is_young(sdk, zoho):
    """What was renewed or logged in a moment ago is not the reason, whatever the object holds."""
    process = sdk.process()
    first = sdk.log_in(process)
    process.move_clock(seconds=A_MINUTE)
    process.renew(first["id"])
    process.rejected()
    assert zoho.counters.token_calls("refresh_token") == 1
    process.move_clock(seconds=A_MINUTE)
    sdk.log_in(process)
    process.rejected()
    assert zoho.counters.token_calls("refresh_token") == 1
    process.move_clock(seconds=A_MINUTE)
    process.rejected()

    assert zoho.counters.token_calls("refresh_token") == 2


# The recipe after a 401, for each code and each place where the SDK meets it


@pytest.fixture
def process(sdk):
    """A process that has logged in a while ago, and made its calls since."""
    process = sdk.process()
    sdk.log_in(process)
    assert process.call() == 200
    process.move_clock(A_MINUTE)
    return process


@pytest.fixture
def forget_fields(sdk):
    """Remove the files in which the SDK notes the fields of modules."""
    return lambda: shutil.rmtree(sdk.folder / "resources")


@each_generation
def test_every_code(sdk, process, zoho, forget_fields):
    """The recipe mends it, in an answer and while the SDK asks for fields: one renewal each."""
    codes = ("INVALID_TOKEN", "AUTHENTICATION_FAILURE", "INVALID_OAUTHTOKEN")
    for number, code in enumerate(codes):
        zoho.faults.add(endpoint="records", kind="refused", code=code)
        assert process.call_with_retry() == 200, code
        assert zoho.counters.token_calls("refresh_token") == 2 * number + 1

        process.move_clock(A_MINUTE)
        if sdk.generation == "5_0":  # loses what is answered there
            process.renew(process.get_tokens()[0]["id"])
        else:
            forget_fields()
            zoho.faults.add(endpoint="settings", kind="refused", code=code)
            assert process.call_with_retry() == 200, code
        assert zoho.counters.token_calls("refresh_token") == 2 * number + 2
        process.move_clock(A_MINUTE)

    assert set(codes) == REFUSED


@old_and_new
def test_other_troubles(process, zoho, forget_fields):
    """What is not the token's fault is not taken for it, here and there."""
    for endpoint in ("records", "settings"):
        for fault in (
            {"kind": "refused", "code": "OAUTH_SCOPE_MISMATCH"},
            {"kind": "status", "status": 500},
            {"kind": "empty"},
            {"kind": "drop"},
        ):
            zoho.faults.add(endpoint=endpoint, **fault)
            assert process.judged() is False, fault
        assert process.judged() is False
        forget_fields()


def test_a_code_that_nobody_knows(process, zoho):
    """With the status 401 it is taken for a refusal."""
    for code in ("INVALID_TICKET", "OAUTH_SCOPE_EXPIRED"):
        zoho.faults.add(endpoint="records", kind="refused", code=code)
        assert [process.judged(), process.judged()] == [True, False]


def test_what_it_is_asked_about():
    """Of an answer without sense the SDK gives the status as its code; the rest is no answer."""
    for code, expected in (("INVALID_OAUTHTOKEN", True), (401, True), (404, False)):
        error = SDKException(code="API_EXCEPTION", details={"code": code})
        assert [is_refused(error), is_refused(SDKException(cause=error))] == [expected] * 2
    ours = SDKException(code=CODE)  # the store's are none of the CRM's
    for answer in (ours, None, "text", 401, RuntimeError("x"), [], {"code": "x"}):
        assert is_refused(answer) is False
