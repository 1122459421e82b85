"""Production, sandbox, developer and data centres: a token is used where it is valid only."""

from __future__ import annotations

import pytest
from sdk_driver import SDKFailed, old_and_new, refused


@pytest.fixture(params=["registered", "unregistered"])
def placed(request, sdk):
    """The emulator's hosts, known as Zoho's data centres or not known at all."""
    if request.param == "registered":
        sdk.register()
    return sdk


@old_and_new
def test_never_another_environment(placed, zoho):
    """Asked for by its user, a token answers in its own environment and in no other."""
    name, ids = zoho.user.name, {}
    for environment in ("sandbox", "production"):
        ids[environment] = placed.log_in(user=name, environment=environment)["id"]
        for asked in ("production", "sandbox", "developer"):
            process = placed.process()
            if asked in ids:
                again = placed.start(process, user=name, environment=asked)
                assert again["id"] == ids[asked]
                assert process.call() == 200
            else:
                with pytest.raises(SDKFailed):
                    placed.start(process, user=name, environment=asked)

    assert ids["sandbox"] != ids["production"]
    assert zoho.counters.token_calls() == 2


def test_switched_environment(sdk, zoho):
    """`switch_user` into the sandbox asks for the sandbox's token (from 8_0 on)."""
    process = sdk.process()
    sdk.log_in(process)
    given = {"grant_token": zoho.grant_code(environment="sandbox"), "user": zoho.user.name}
    switched = process.switch(environment=sdk.environment("sandbox"), **given, **sdk.secrets)

    assert process.call() == 200
    assert sdk.start(user=zoho.user.name, environment="sandbox")["id"] == switched["id"]
    assert zoho.counters.token_calls() == 2


def test_data_centre_preferred(sdk, zoho):
    """A user with a token in two data centres gets the one of the environment given."""
    sdk.register()
    user, ids = zoho.user.name, {}
    for name in ("us", "eu"):
        process = sdk.process()
        sdk.log_in(process, owner=sdk.owner(name), data_center=name)
        given = {"refresh_token": zoho.refresh_token(sdk.owner(name)), "access_token": "a"}
        ids[name] = process.save(user=user, **given, **sdk.secrets)["id"]

    assert ids["us"] != ids["eu"]
    for name, expected in ids.items():
        assert sdk.start(user=user, data_center=name)["id"] == expected


@pytest.mark.parametrize("answered", ["environment", "production"])
def test_api_domain_taken_over(placed, zoho, answered):
    """A sandbox token stays one when Zoho's answer names production's API domain."""
    zoho.options.api_domain = answered
    process = placed.process()
    placed.log_in(process, environment="sandbox", update_domain=True)
    [stored] = process.get_tokens()

    assert stored["api_domain"] == zoho.us.sandbox_url
    assert placed.start(environment="sandbox", user=zoho.user.name)["id"] == stored["id"]
    with pytest.raises(SDKFailed):
        placed.start(user=zoho.user.name)


def test_renewed_at_its_own_endpoint(placed, zoho):
    """A stored token is renewed where it was made, whatever accounts URL is given later."""
    process = placed.process()
    first = placed.log_in(process)
    process.edit(first["id"], expires_in=-1)
    elsewhere = [zoho.us.api_url, "http://127.0.0.1:9/oauth/v2/token"]
    again = placed.process().start(environment=elsewhere, user=zoho.user.name)

    assert again["access_token"] != first["access_token"]
    assert zoho.counters.token_calls("refresh_token") == 1


def test_without_an_issuer(placed, zoho):
    """What does not say where it is renewed is renewed where the SDK works, also after a 401."""
    process = placed.process()
    first = placed.log_in(process)
    process.edit(first["id"], issuer=None)
    zoho.expire_access_tokens()
    process.move_clock(seconds=61)
    assert process.call_with_retry() == 200
    renewed = process.get_token()
    process.edit(first["id"], issuer=None, expires_in=-1)

    assert placed.start(user=zoho.user.name)["access_token"] != renewed != first["access_token"]
    assert zoho.counters.token_calls("refresh_token") == 2


def test_without_an_issuer_before_any_initializer(sdk, zoho):
    """Where nobody can say yet, what is stored is filled in as it is; but nothing revoked."""
    process = sdk.process()
    given = {"refresh_token": zoho.refresh_token(), **sdk.secrets}
    first = process.save(access_token="a", expires_in="1", **given)

    assert process.find(**given)["access_token"] == "a"
    assert process.find_token_by_id(first["id"])["access_token"] == "a"
    assert process.revoke(first["id"]) is False
    for method, asked in (("find", given), ("find_token_by_id", {"id": first["id"]})):
        with refused("TokenRevoked"):
            getattr(process, method)(**asked)


def test_without_an_issuer_elsewhere(sdk, zoho):
    """A token of another host is not sent to where the SDK happens to work."""
    process = sdk.process()
    given = {"refresh_token": "r", "access_token": "a", "api_domain": "https://crm.example:8443"}
    first = process.save(expires_in="1", **given, **sdk.secrets)
    with refused("ConfigurationError", "It is not known where"):
        sdk.start(process, id=first["id"])
    assert zoho.counters.token_calls() == 0


@pytest.mark.parametrize("more", [{"grant_token": "g"}, {"refresh_token": "r"}])
def test_plain_http(sdk, more):
    """No secret is sent to a plain http accounts URL that is not on this machine."""
    elsewhere = ["http://api.example.com", "http://accounts.example.com/oauth/v2/token"]
    with refused("ConfigurationError", "plain http"):
        sdk.process().start(environment=elsewhere, **more, **sdk.secrets)
