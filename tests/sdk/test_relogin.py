"""Logging in again: over a dead token, and beside one that works."""

from __future__ import annotations

import pytest
from sdk_driver import SDKFailed


@pytest.fixture
def login(sdk, zoho):
    """A user who is logged in, with a process that uses the token."""

    class Login:
        process = sdk.process()
        code = zoho.grant_code()
        token = sdk.start(process, grant_token=code, user=zoho.user.name, **sdk.secrets())

        def die(self, how):
            if how == "revoked":
                self.process.revoke(self.token["id"])
            else:
                zoho.revoke(zoho.user)
                self.process.edit(self.token["id"], expires_in=-1)
                with pytest.raises(SDKFailed) as failed:
                    self.process.get_token()
                assert failed.value.cause == "LoginNeeded"
            zoho.counters.reset()

    return Login()


@pytest.mark.parametrize("bring", ["grant_token", "refresh_token"])
@pytest.mark.parametrize("how", ["revoked", "login_needed"])
def test_over_a_dead_row(sdk, zoho, login, how, bring):
    """The user with a new credential logs in over a dead token: same id, usable everywhere."""
    login.die(how)
    credential = zoho.grant_code() if bring == "grant_token" else zoho.refresh_token()
    again = sdk.start(user=zoho.user.name, **{bring: credential}, **sdk.secrets())

    assert again["id"] == login.token["id"]
    assert login.process.get_token() == again["access_token"]
    assert login.process.call() == 200
    assert zoho.counters.token_calls() == 1
    assert len(login.process.get_tokens()) == 1


def test_without_a_user(sdk):
    """A new code alone logs in over a dead token as well; its user's old id goes on working."""
    process = sdk.process()
    first = sdk.log_in(process)
    process.revoke(first["id"])
    again = sdk.log_in()

    assert again["id"] in (first["id"], process.find(id=first["id"])["id"])
    assert process.get_token() == again["access_token"]
    assert len(process.get_tokens()) == 1


@pytest.mark.parametrize("how", ["revoked", "login_needed"])
def test_dead_by_its_own_credential(sdk, zoho, login, how):
    """A dead token found by its own code, refresh token, user or id raises; nobody is asked."""
    login.die(how)
    causes = []
    for given in (
        {"grant_token": login.code, **sdk.secrets()},
        {"grant_token": login.code, "user": zoho.user.name, **sdk.secrets()},
        {"refresh_token": login.token["refresh_token"], **sdk.secrets()},
        {"user": zoho.user.name},
        {"id": login.token["id"]},
    ):
        with pytest.raises(SDKFailed) as failed:
            sdk.start(**given)
        causes.append(failed.value.cause)

    assert set(causes) == {"TokenRevoked" if how == "revoked" else "LoginNeeded"}
    assert zoho.counters.token_calls() == 0


def test_code_that_was_not_used(sdk, zoho, login):
    """A code is not spent while the user's token works; that is told once, with what to do."""
    process = sdk.process()
    for code in (login.code, zoho.grant_code()):
        given = {"user": zoho.user.name, "grant_token": code, **sdk.secrets()}
        for _ in range(3):
            again = sdk.start(process, **given)
            assert again["access_token"] == login.token["access_token"]
    told = [line for line in (sdk.folder / "all.log").read_text().splitlines() if "given" in line]

    assert len(told) == 1
    assert f"tokenkeep logout {login.token['id']}" in told[0]
    assert code not in told[0]
    assert zoho.counters.token_calls() == 1


def test_refresh_token_of_another_row(sdk, zoho, login):
    """One that another user's or environment's row has is refused before Zoho is asked."""
    given = {"refresh_token": login.token["refresh_token"], **sdk.secrets()}
    sandbox = {"environment": "sandbox"}
    for more in ({"user": "somebody else"}, sandbox, {"user": zoho.user.name, **sandbox}):
        with pytest.raises(SDKFailed, match=login.token["id"]) as failed:
            sdk.start(**given, **more)
        assert failed.value.cause == "DuplicateRefreshToken"

    assert zoho.counters.token_calls() == 1


@pytest.mark.parametrize("bring", ["grant_token", "refresh_token"])
def test_sixteen_log_in_again(sdk, zoho, bring):
    """Sixteen processes that bring the same new credential over a dead token make one call."""
    process = sdk.process()
    first = sdk.log_in(process)
    process.revoke(first["id"])
    zoho.counters.reset()
    credential = zoho.grant_code() if bring == "grant_token" else zoho.refresh_token()
    workers = [sdk.process() for _ in range(16)]
    started = sdk.at_once(
        workers,
        "start",
        environment=sdk.environment(),
        user=zoho.user.name,
        **{bring: credential},
        **sdk.secrets(),
    )

    assert {each["id"] for each in started} == {first["id"]}
    assert len({each["access_token"] for each in started}) == 1
    assert zoho.counters.token_calls() == 1


def test_late_save_does_not_resurrect(sdk):
    """A save of what was revoked meanwhile is refused, and the token stays revoked."""
    process = sdk.process()
    first = sdk.log_in(process)
    process.revoke(first["id"])
    given = {"refresh_token": first["refresh_token"], "access_token": "late"}
    with pytest.raises(SDKFailed) as failed:
        process.save(**given, **sdk.secrets())

    assert failed.value.cause == "LoginNeeded"
    with pytest.raises(SDKFailed):
        process.get_token()
