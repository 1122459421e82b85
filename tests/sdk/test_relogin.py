"""Logging in again: over a dead token, and beside one that works."""

from __future__ import annotations

import pytest
from sdk_driver import SDKFailed, old_and_new, refused


@pytest.fixture
def login(sdk, zoho):
    """A user who is logged in, with a process that uses the token."""

    class Login:
        process = sdk.process()
        code = zoho.grant_code()
        token = sdk.start(process, grant_token=code, user=zoho.user.name)
        credentials = ({"grant_token": code}, {"refresh_token": token["refresh_token"]})

        def die(self, how):
            if how == "revoked":
                self.process.revoke(self.token["id"])
            else:
                zoho.revoke(zoho.user)
                self.process.edit(self.token["id"], expires_in=-1)
                with refused("LoginNeeded"):
                    self.process.get_token()
            zoho.counters.reset()

    return Login()


@pytest.fixture(params=["grant_token", "refresh_token"])
def new(request, zoho):
    """Return a new credential at each call."""
    make = {"grant_token": zoho.grant_code, "refresh_token": zoho.refresh_token}[request.param]
    return lambda: {request.param: make()}


@pytest.mark.parametrize("how", ["revoked", "login_needed"])
def test_over_a_dead_row(sdk, zoho, login, how, new):
    """The user with a new credential logs in over a dead token: same id, usable everywhere."""
    login.die(how)
    again = sdk.start(user=zoho.user.name, **new())

    assert again["id"] == login.token["id"]
    assert login.process.get_token() == again["access_token"]
    assert login.process.call() == 200
    assert zoho.counters.token_calls() == 1
    assert len(login.process.get_tokens()) == 1


@pytest.mark.parametrize("how", ["revoked", "login_needed"])
def test_dead_by_its_own_credential(sdk, zoho, login, how):
    """A dead token found by its own code, refresh token, user or id raises; nobody is asked."""
    login.die(how)
    cause = "TokenRevoked" if how == "revoked" else "LoginNeeded"
    code, refresh = login.credentials
    by_user, by_id = {"user": zoho.user.name}, {"id": login.token["id"]}
    for given in (code, code | by_user, refresh, by_user, by_id):
        with refused(cause):
            sdk.start(**given)

    assert zoho.counters.token_calls() == 0


def told(sdk):
    return [line for line in sdk.log().splitlines() if "was not used" in line]


@old_and_new
def test_credential_that_was_not_used(sdk, zoho, login, new):
    """It is not spent while the token works; that is told once, with what to do."""
    access_token, process = login.token["access_token"], sdk.process()
    by_user = {"user": zoho.user.name}
    for number, start in enumerate((by_user, by_user | {"client_secret": "another"}), 1):
        [(kind, credential)] = (given := new()).items()
        zoho.counters.reset()
        for _ in range(3):
            again = sdk.start(process, **given, **start)
            assert again["access_token"] == access_token
            assert process.call() == 200

        assert zoho.counters.token_calls() == 0
        lines = told(sdk)
        assert len(lines) == number, start
        assert f"A {kind.replace('_', ' ')} was given" in lines[-1]
        assert f"tokenkeep logout {login.token['id']}" in lines[-1]
        assert credential not in sdk.log()


def test_credentials_that_are_the_row_s(sdk, zoho, login):
    """What the row has, or had, is no news; nor is what another login has replaced meanwhile."""
    code, refresh = login.credentials
    running, other = sdk.process(), sdk.process()
    for given in (code, refresh, code | refresh):
        sdk.start(user=zoho.user.name, **given)
        sdk.start(running, id=login.token["id"], **given)
    sdk.start(other, user=zoho.user.name)
    login.die("revoked")
    newer = sdk.start(user=zoho.user.name, grant_token=zoho.grant_code())
    assert running.get_token() == other.get_token() == newer["access_token"]
    sdk.start(user=zoho.user.name, **refresh)

    assert told(sdk) == []


def test_user_who_is_not_stored(sdk, zoho):
    """The error says where to look, and nobody is asked; with a credential it is a login."""
    sdk.register()
    sdk.log_in(sdk.process())
    email = zoho.user.name.partition(":")[0]
    zoho.counters.reset()
    for asked in (email, zoho.user.name.upper(), "ben@example.com"):
        with refused("TokenNotFound", r"in production of us.*`tokenkeep list`"):
            sdk.start(user=asked, **sdk.secrets)
    with refused("TokenNotFound", f"Stored is {zoho.user.name}"):
        sdk.start(user=email, **sdk.secrets)
    with pytest.raises(SDKFailed, match="Nobody is stored under this name in sandbox"):
        sdk.start(user=zoho.user.name, environment="sandbox")

    assert zoho.counters.token_calls() == 0
    named = sdk.start(user=email, refresh_token=zoho.refresh_token())
    assert named["user"] == email


def test_refresh_token_of_another_row(sdk, zoho, login):
    """One that another user's or environment's row has is refused before Zoho is asked."""
    sandbox = {"environment": "sandbox"}
    for more in ({"user": "somebody else"}, sandbox, {"user": zoho.user.name, **sandbox}):
        with refused("DuplicateRefreshToken", login.token["id"]):
            sdk.start(**login.credentials[1], **more)

    assert zoho.counters.token_calls() == 1
