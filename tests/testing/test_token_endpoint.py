"""The token endpoint: exchange, renewal; what they refuse, and limits."""

import re

import pytest
import requests


def test_exchange(app, zoho):
    """A grant code gives an access and a refresh token, in Zoho's words, and once."""
    code = zoho.grant_code()
    answer = app.exchange(code)

    assert {
        "access_token": answer["access_token"],
        "refresh_token": answer["refresh_token"],
        "scope": "ZohoCRM.modules.ALL ZohoCRM.settings.ALL ZohoCRM.users.ALL ZohoCRM.org.ALL",
        "api_domain": zoho.us.api_url,
        "token_type": "Bearer",
        "expires_in": 3600,
    } == answer
    assert re.fullmatch(r"1000\.[0-9a-f]{32}\.[0-9a-f]{32}", answer["refresh_token"])
    assert app.exchange(code) == {"error": "invalid_code"}


@pytest.mark.parametrize("sent", ["form", "query"])
def test_refresh(app, zoho, sent):
    """A renewal answers a working access token and no refresh token, however it is sent."""
    form = {"grant_type": "refresh_token", "refresh_token": zoho.refresh_token()}
    client = {"client_id": app.client.client_id, "client_secret": app.client.client_secret}
    ways = {
        "form": {"data": form | client},
        "query": {"params": form | client},
    }
    answer = requests.post(zoho.us.token_url, timeout=20, **ways[sent]).json()

    assert "refresh_token" not in answer
    assert zoho.is_active(answer["access_token"])
    assert zoho.is_active(form["refresh_token"])
    assert zoho.counters.token_calls("refresh_token") == 1


@pytest.mark.parametrize(
    ("given", "seconds", "works"), [({}, 59, True), ({}, 61, False), ({"life": 600}, 599, True)]
)
def test_code_life(app, zoho, given, seconds, works):
    """A code lives for 60 seconds of the emulator's time, or as long as a self client chose."""
    code = zoho.grant_code(**given)
    zoho.clock.advance(seconds)

    assert works == ("access_token" in app.exchange(code))


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"client_id": "1000.NOBODY"}, "invalid_client"),
        ({"client_secret": "wrong"}, "invalid_client_secret"),
        ({"refresh_token": "wrong"}, "invalid_code"),
        ({"grant_type": "password"}, "invalid_client"),
    ],
)
def test_refused(app, zoho, form, error):
    """A refusal has its error, and status 200; without a grant type, or by GET, 400."""
    form = {"grant_type": "refresh_token", "refresh_token": zoho.refresh_token()} | form
    response = app.token(**form)

    assert (response.status_code, response.json()) == (200, {"error": error})
    for method, sent in (("GET", {"grant_type": "refresh_token"}), ("POST", {})):
        bad = requests.request(method, zoho.us.token_url, data=sent, timeout=20)
        assert (400, True) == (bad.status_code, "error" in bad.json())


def test_of_somebody_else(app, zoho):
    """A code of another client is no code; one of another data centre is invalid_client."""
    europe = zoho.add_user("eva@example.com", data_center="eu")
    other = {"client": zoho.register_client("Other")}

    assert app.exchange(zoho.grant_code(), **other) == {"error": "invalid_code"}
    assert app.error(zoho.refresh_token(), **other) == "invalid_code"
    assert app.exchange(zoho.grant_code(europe)) == {"error": "invalid_client"}
    assert app.error(zoho.refresh_token(europe)) == "invalid_code"
    assert "access_token" in app.refresh(zoho.refresh_token(europe), data_center="eu")


# Limits, each at its edge


def test_mints_per_window(app, zoho):
    """The eleventh access token, an exchange's counts, is refused until ten minutes are over."""
    token = app.exchange(zoho.grant_code())["refresh_token"]
    good = [app.refresh(token) for _ in range(9)]
    throttled = app.token("refresh_token", refresh_token=token)

    assert all("access_token" in each for each in good)
    assert throttled.status_code == 400
    assert throttled.json()["error"] == "Access Denied"
    assert "too many requests" in throttled.json()["error_description"]
    assert throttled.json()["status"] == "failure"
    assert app.error(zoho.refresh_token()) is None
    zoho.clock.advance(595)
    assert app.error(token) == "Access Denied"
    zoho.clock.advance(10)
    assert app.error(token) is None


# The rotation of other providers


@pytest.mark.parametrize("kills", [False, True])
def test_rotation(app, zoho, kills):
    """The old refresh token is refused, and where its reuse kills, the family ends."""
    zoho.options.rotation = "rotate_reuse_kills" if kills else "rotate"
    old = zoho.refresh_token()
    new = app.refresh(old)
    last = app.refresh(new["refresh_token"])

    assert app.error(old) == "invalid_code"
    assert kills != zoho.is_active(last["access_token"])
    assert kills != zoho.is_active(last["refresh_token"])


def test_rotation_with_grace(app, zoho):
    """One generation back is accepted with the same successor; two back is not."""
    zoho.options.rotation = "rotate_grace"
    first = zoho.refresh_token()
    second = app.refresh(first)["refresh_token"]
    again = app.refresh(first)["refresh_token"]
    third = app.refresh(second)["refresh_token"]

    assert second == again
    assert app.error(first) == "invalid_code"
    assert third == app.refresh(second)["refresh_token"]
    assert third != second
