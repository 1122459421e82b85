"""`SDKStore.as_user`: what every server for many users needs, in one line."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sdk_driver import SDKFailed, each_generation
from zohocrmsdk.src.com.zoho.crm.api import dc
from zohocrmsdk.src.com.zoho.crm.api.initializer import Initializer

from tokenkeep import ConfigurationError, Token
from tokenkeep.integrations.as_user import environment_of, start


@each_generation
def test_nothing_else_is_needed(sdk, zoho):
    """A process that never initialised the SDK works as one user, and as nobody afterwards."""
    logged_in = sdk.log_in(user=zoho.user.name)
    process = sdk.process()

    assert process.call_as(logged_in["id"]) == 200
    with pytest.raises(SDKFailed):
        process.call()
    assert zoho.counters.token_calls() == 1


def test_a_refused_token(sdk, zoho):
    """An access token that the CRM does not take any more is renewed, and the work done again."""
    logged_in = sdk.log_in(user=zoho.user.name)
    process = sdk.process()
    process.call_as(logged_in["id"])
    zoho.expire_access_tokens()
    process.move_clock(61)

    assert process.call_as(logged_in["id"]) == 200
    assert zoho.counters.token_calls("refresh_token") == 1


def test_users_never_mix(sdk, zoho):
    """Invariant 8: threads that work as users of two data centres get what is theirs."""
    sdk.register()
    ids = []
    for name in ("us", "eu"):
        owner = next(each for each in zoho.users if each.data_center == name)
        given = {"grant_token": zoho.grant_code(owner), "user": owner.name, **sdk.secrets()}
        ids.append(sdk.start(data_center=name, **given)["id"])

    process = sdk.process()
    process.open()

    assert process.called_as_each(ids * 4) == [200] * 8
    assert zoho.counters.token_calls("refresh_token") == 0


def test_own_errors(sdk, zoho):
    """What is wrong with the token is tokenkeep's own error, and nobody stays on the thread."""
    logged_in = sdk.log_in(user=zoho.user.name)
    process = sdk.process()
    process.open()
    process.revoke(logged_in["id"])

    for token_id, kind in ((logged_in["id"], "TokenRevoked"), ("unknown", "TokenNotFound")):
        with pytest.raises(SDKFailed) as caught:
            process.call_as(token_id)
        assert caught.value.kind == kind
    with pytest.raises(SDKFailed):
        process.call()


def test_a_folder_for_each_process(sdk, zoho):
    """The SDK's files are a process's own: a forked child has another folder, and goes with it."""
    token_id = sdk.log_in(user=zoho.user.name)["id"]
    process = sdk.process()
    process.call_as(token_id)
    status, folder = process.folder_in_a_child(token_id)

    assert status == 200
    assert folder != process.folder_of_the_sdk()
    assert Path(process.folder_of_the_sdk()).stat().st_mode & 0o777 == 0o700


def test_forked_while_another_thread_starts(monkeypatch, fork):
    """The child can start the SDK too: it does not wait for a thread that it has not."""
    begun, go_on, parent = threading.Event(), threading.Event(), os.getpid()

    def limit_changes():
        if os.getpid() == parent:
            begun.set()
            assert go_on.wait(60)
        raise ConfigurationError("Far enough")

    def begin(say=str):
        with pytest.raises(ConfigurationError, match="Far enough"):
            start(None, None, None)
        say("can start")

    monkeypatch.setattr(Initializer, "initializer", None)
    monkeypatch.setattr("tokenkeep.integrations.as_user._limit_changes", limit_changes)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(begin)
        assert begun.wait(60)
        child = fork(begin)
        try:
            assert child.end() == ["can start"]
        finally:
            go_on.set()
        other.result()


def test_somebody_elses_store(sdk, zoho):
    """One that the SDK was initialized without is refused: it would not be asked."""
    token_id = sdk.log_in(user=zoho.user.name)["id"]
    process = sdk.process()
    process.start_elsewhere(environment=sdk.environment())

    with pytest.raises(SDKFailed, match="another store") as caught:
        process.call_as(token_id)
    assert caught.value.kind == "ConfigurationError"


@pytest.mark.parametrize("center", ["US", "EU", "IN", "AU", "CN", "JP", "CA", "SA"])
@pytest.mark.parametrize("environment", ["PRODUCTION", "SANDBOX", "DEVELOPER"])
def test_where(center, environment):
    """Files go to the data centre's own upload host, renewals to the token's own issuer."""
    known = getattr(getattr(dc, f"{center}DataCenter"), environment)()
    found = environment_of(Token(api_domain=known.url))

    assert vars(found) == vars(known)


def test_nowhere():
    """A token that does not say where its API is can't be worked with."""
    with pytest.raises(ConfigurationError, match="where its API is"):
        environment_of(Token(access_token="a"))
