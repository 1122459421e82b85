"""A server for many users: the SDK started for nobody, and a user switched to for each call."""

from __future__ import annotations

import pytest
from sdk_driver import SDKFailed, each_generation


@each_generation
def test_starts_for_nobody(sdk, zoho):
    """The SDK starts without a login, and a call made for nobody never leaves the process."""
    process = sdk.process()

    process.start_with_nobody(environment=sdk.environment())
    with pytest.raises(SDKFailed) as caught:
        process.call()

    # 5_0 loses the text of whatever happens while it reads a module's fields.
    assert sdk.generation == "5_0" or "The SDK was called for nobody" in caught.value.everything
    assert process.tokens() == []
    assert zoho.counters.calls() == 0


def test_after_a_user_nobody_again(sdk, zoho):
    """With the user taken off the thread, what follows is refused and not made as that user."""
    logged_in = sdk.log_in(user=zoho.user.name)
    process = sdk.process()
    process.start_with_nobody(environment=sdk.environment())

    process.switch(environment=sdk.environment(), id=logged_in["id"])
    status = process.call()
    process.forget_user()
    before = zoho.counters.calls()
    with pytest.raises(SDKFailed):
        process.call()

    assert status == 200
    assert zoho.counters.calls() == before


def test_a_user_who_can_not_be_switched_to(sdk, zoho):
    """A switch that failed, and was taken back, leaves nothing a later call could use."""
    logged_in = sdk.log_in(user=zoho.user.name)
    process = sdk.process()
    process.start_with_nobody(environment=sdk.environment())
    process.revoke(token_id=logged_in["id"])

    with pytest.raises(SDKFailed) as caught:
        process.switch(environment=sdk.environment(), id=logged_in["id"])
    process.forget_user()
    with pytest.raises(SDKFailed):
        process.call()

    assert caught.value.cause == "TokenRevoked"
