"""Many users in one process: `SDKStore.as_user`, `switch_user` by hand, and nobody."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sdk_driver import SDKFailed, each_generation, old_and_new
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
    before = zoho.counters.calls()
    with pytest.raises(SDKFailed):
        process.call()
    assert zoho.counters.calls() == before
    assert zoho.counters.token_calls() == 1


def test_own_errors(sdk, zoho):
    """What is wrong with the token is tokenkeep's own error, and nobody stays on the thread."""
    logged_in = sdk.log_in(user=zoho.user.name)
    process = sdk.process()
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

    assert status == "200"
    assert folder != process.folder_of_the_sdk()
    assert Path(process.folder_of_the_sdk()).stat().st_mode & 0o777 == 0o700


def test_forked_while_another_thread_starts(monkeypatch, fork):
    """The child can start the SDK too: it does not wait for a thread that it has not."""
    begun, go_on, parent = threading.Event(), threading.Event(), os.getpid()

    def initialize(**_):
        if os.getpid() == parent:
            begun.set()
            assert go_on.wait(60)
        raise ConfigurationError("Far enough")

    def begin(say=str):
        with pytest.raises(ConfigurationError, match="Far enough"):
            start(None, None, None)
        say("can start")

    monkeypatch.setattr(Initializer, "initializer", None)
    monkeypatch.setattr(Initializer, "initialize", initialize)
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


def test_where():
    """Files go to the data centre's own upload host, renewals to the token's own issuer."""
    for center in ("US", "EU", "IN", "AU", "CN", "JP", "CA", "SA"):
        for environment in ("PRODUCTION", "SANDBOX", "DEVELOPER"):
            known = getattr(getattr(dc, f"{center}DataCenter"), environment)()

            assert vars(environment_of(Token(api_domain=known.url))) == vars(known)
    with pytest.raises(ConfigurationError, match="where its API is"):
        environment_of(Token(access_token="a"))


# By hand


@old_and_new
def test_switch_between_users(sdk, zoho):
    """One thread switches from user to user; each start and call uses that user's token."""
    process = sdk.process()
    people = [zoho.user, zoho.add_user("second@us.example.com")]
    logins = [sdk.log_in(owner=each, user=each.name) for each in people]
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
