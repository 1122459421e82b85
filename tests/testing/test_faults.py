"""Faults on request: each kind, seen by a client; and which calls they meet."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests


@pytest.fixture
def refresh(app, zoho):
    """Make a renewal and hand the response over."""
    refresh_token = zoho.refresh_token()
    return lambda **given: app.token("refresh_token", refresh_token=refresh_token, **given)


@pytest.mark.parametrize("status", [503, 404])
def test_status(zoho, refresh, status):
    """A status of one's choice, once; then all is well."""
    fault = zoho.faults.add(kind="status", status=status)

    assert [status, 200] == [refresh().status_code, refresh().status_code]
    assert fault.hits == 1


@pytest.mark.parametrize(
    ("kind", "begins", "length"),
    [
        ("garbage", "<!doctype html>", None),
        ("empty", "", 0),
        ("list", "[]", 2),
        ("huge", '{"padding": "xxx', 5 * 1024 * 1024 + 15),
    ],
)
def test_wrong_content(zoho, refresh, kind, begins, length):
    """A success that is none: HTML, nothing, a list, or five megabytes."""
    zoho.faults.add(kind=kind)
    response = refresh()

    assert response.status_code == 200
    assert response.text.startswith(begins)
    assert length in (None, len(response.content))
    assert zoho.counters.mints == {}


def test_no_access_token(zoho, refresh):
    """An answer with everything but the access token."""
    zoho.faults.add(kind="no_access_token")

    assert {"api_domain", "token_type", "expires_in"} == set(refresh().json())


@pytest.mark.parametrize("code", ["INVALID_TOKEN", "WHATEVER"])
def test_refused(zoho, app, code):
    """The CRM refuses a good access token, with the status and code that were named."""
    token = zoho.access_token()
    zoho.faults.add(endpoint="org", kind="refused", code=code)
    zoho.faults.add(endpoint="org", kind="refused", status=429)
    answers = [app.crm("org", token) for _ in range(3)]

    assert [401, 429, 200] == [each.status_code for each in answers]
    assert answers[0].json()["code"] == code
    with pytest.raises(ValueError, match="it is the CRM"):
        zoho.faults.add(kind="refused")


def test_drop(zoho, refresh):
    """The connection is closed without an answer; the emulator goes on."""
    zoho.faults.add(kind="drop")

    with pytest.raises(requests.ConnectionError):
        refresh()
    assert refresh().status_code == 200
    assert zoho.counters.token_calls() == 2


@pytest.mark.parametrize("kind", ["drop", "status", "garbage", "empty", "no_access_token"])
def test_after(zoho, refresh, kind):
    """With after=True the request takes effect, a rotation too, and only the answer is lost."""
    zoho.options.rotation = "rotate"
    zoho.faults.add(kind=kind, after=True)
    try:
        refresh()
    except requests.ConnectionError:
        assert kind == "drop"

    assert list(zoho.counters.mints.values()) == [1]
    assert refresh().json() == {"error": "invalid_code"}


def test_hang(zoho, refresh):
    """A call hangs until the faults are cleared; a test can wait for it to come."""
    fault = zoho.faults.add(kind="hang", times=None)
    with ThreadPoolExecutor() as pool:
        call = pool.submit(refresh)
        came = fault.wait(10)
        hanging = not call.done()
        zoho.faults.clear()

        with pytest.raises(requests.ConnectionError):
            call.result(10)
    assert (came, hanging) == (True, True)


def test_hang_until_the_client_gives_up(zoho, app):
    """A client's own time limit ends the call."""
    fault = zoho.faults.add(kind="hang")

    assert not fault.wait(0.01)
    with pytest.raises(requests.ReadTimeout):
        requests.post(zoho.us.token_url, timeout=0.2)
    assert "access_token" in app.refresh(zoho.refresh_token())


@pytest.mark.parametrize("after", [True, False])
def test_slow(zoho, refresh, after):
    """The right answer comes late, its effect before or after the wait."""
    fault = zoho.faults.add(kind="slow", delay=60, after=after)
    with ThreadPoolExecutor() as pool:
        call = pool.submit(refresh)
        fault.wait()
        end = time.monotonic() + 5
        while after and not zoho.counters.mints and time.monotonic() < end:
            time.sleep(0.01)
        minted_while_waiting = bool(zoho.counters.mints)
        zoho.faults.clear()

        assert "access_token" in call.result(10).json()
    assert after == minted_while_waiting


def test_matching(app, zoho):
    """A fault meets only its endpoint, grant type and data centre."""
    zoho.faults.add(endpoint="revoke", kind="status", times=None)
    zoho.faults.add(grant_type="authorization_code", kind="status", times=None)
    zoho.faults.add(data_center="eu", kind="status", times=None)
    token = zoho.refresh_token()

    assert app.token("refresh_token", refresh_token=token).status_code == 200
    assert app.token("authorization_code", code="x").status_code == 503
    assert app.token("refresh_token", refresh_token=token, data_center="eu").status_code == 503
    assert app.post(zoho.us.revoke_url, token=token).status_code == 503
    assert zoho.is_active(token)


@pytest.mark.parametrize(
    ("endpoint", "met"),
    [("crm", [503, 503, 200]), ("org", [503, 200, 200]), ("*", [503, 503, 503])],
)
def test_groups(app, zoho, endpoint, met):
    """A fault can meet the whole CRM, one endpoint, or everything."""
    token = zoho.access_token()
    zoho.faults.add(endpoint=endpoint, kind="status", times=None)
    revoked = app.post(zoho.us.revoke_url, token=zoho.refresh_token())
    answers = [app.crm("org", token), app.crm("Leads?fields=id", token), revoked]

    assert met == [each.status_code for each in answers]


def test_times(zoho, refresh):
    """A fault meets as many calls as it was told; the next one then takes over."""
    zoho.faults.add(kind="status", status=500, times=2)
    zoho.faults.add(kind="status", status=502, times=1)

    assert [refresh().status_code for _ in range(4)] == [500, 500, 502, 200]


@pytest.mark.parametrize("wrong", [{"kind": "fire"}, {"kind": "drop", "endpoint": "nowhere"}])
def test_mistyped(zoho, wrong):
    """A mistyped fault is an error, not a fault that never comes."""
    with pytest.raises(ValueError, match=r"fire|nowhere"):
        zoho.faults.add(**wrong)
