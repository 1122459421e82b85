"""The recipe after a 401, for each code and each place where the SDK meets it."""

from __future__ import annotations

import shutil

import pytest
from sdk_driver import each_generation, old_and_new
from zohocrmsdk.src.com.zoho.crm.api.exception.sdk_exception import SDKException

from tokenkeep.integrations.zoho_sdk import REFUSED, is_refused

A_MINUTE = 61


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
def test_every_code(process, zoho, forget_fields):
    """The recipe mends it, in an answer and while the SDK asks for fields: one renewal each."""
    codes = ("INVALID_TOKEN", "AUTHENTICATION_FAILURE", "INVALID_OAUTHTOKEN")
    for number, code in enumerate(codes):
        zoho.faults.add(endpoint="records", kind="refused", code=code)
        assert process.call_with_retry() == 200, code
        assert zoho.counters.token_calls("refresh_token") == 2 * number + 1

        process.move_clock(A_MINUTE)
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
    for answer in (None, "text", 401, RuntimeError("x"), [], {"code": "x"}):
        assert is_refused(answer) is False


def test_our_own_errors(sdk):
    """An error of the store is none of the CRM's."""
    process = sdk.process()
    token = sdk.log_in(process)
    process.revoke(token["id"])

    assert process.judged() is False
