"""Faults on request: each kind, seen by a client; and which calls they meet."""

from __future__ import annotations

import socket
from contextlib import closing, nullcontext
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

import pytest
import requests


@pytest.fixture
def refresh(app, zoho):
    """Make a renewal and hand the response over."""
    refresh_token = zoho.refresh_token()
    return lambda **given: app.token("refresh_token", refresh_token=refresh_token, **given)


@pytest.mark.parametrize(
    ("kind", "begins", "length"),
    [
        ("garbage", "<!doctype html>", None),
        ("empty", "", 0),
        ("list", "[]", 2),
        ("huge", '{"padding": "xxx', 5 * 1024 * 1024 + 15),
        ("no_access_token", '{"token_type"', None),
    ],
)
def test_wrong_content(zoho, refresh, kind, begins, length):
    """A success that is none: HTML, nothing, a list, five megabytes, all but the token."""
    fault = zoho.faults.add(kind=kind)
    response = refresh()

    assert (200, 1) == (response.status_code, fault.hits)
    assert response.text.startswith(begins)
    assert length in (None, len(response.content))
    assert "access_token" not in response.text


@pytest.mark.parametrize(
    ("given", "met"),
    [
        ({"endpoint": "*"}, {"refresh", "exchange", "in the EU", "revoke", "org", "records"}),
        ({"endpoint": "crm"}, {"org", "records"}),
        ({"endpoint": "org"}, {"org"}),
        ({"endpoint": "revoke"}, {"revoke"}),
        ({"grant_type": "authorization_code"}, {"exchange"}),
        ({"data_center": "eu"}, {"in the EU"}),
    ],
)
def test_matching(app, zoho, given, met):
    """A fault meets only its endpoint or group of them, grant type and data centre."""
    token, access = zoho.refresh_token(), zoho.access_token()
    fault = zoho.faults.add(kind="status", times=None, **given)
    answers = {
        "refresh": app.token("refresh_token", refresh_token=token),
        "exchange": app.token("authorization_code", code="x"),
        "in the EU": app.token("refresh_token", refresh_token=token, data_center="eu"),
        "revoke": app.post(zoho.us.revoke_url, token="x"),
        "org": app.crm("org", access),
        "records": app.crm("Leads?fields=id", access),
    }

    assert met == {name for name, each in answers.items() if each.status_code == 503}
    assert len(met) == fault.hits


def test_refused(app, zoho):
    """The CRM refuses a good access token, in its own words."""
    zoho.faults.add(kind="refused", endpoint="org", status=403, code="NO_PERMISSION")
    answer = app.crm("org", zoho.access_token())

    assert (answer.status_code, answer.json()["code"]) == (403, "NO_PERMISSION")


def test_slow(app, zoho):
    """The right answer comes late; a request whose client leaves before takes no effect."""
    zoho.faults.add(kind="slow", delay=0.1)
    token, client = zoho.refresh_token(), zoho.client
    assert "access_token" in app.refresh(token)
    zoho.faults.add(kind="slow", delay=600)
    names = {"client_id": client.client_id, "client_secret": client.client_secret}
    form = urlencode({"grant_type": "refresh_token", "refresh_token": token} | names)
    with closing(HTTPConnection(urlsplit(zoho.us.token_url).netloc, timeout=20)) as leaving:
        leaving.request("POST", f"/oauth/v2/token?{form}")
        leaving.sock.shutdown(socket.SHUT_WR)

        assert leaving.sock.recv(1) == b""
    assert len(zoho.secrets()) == 3, "client, login and one access token"


@pytest.mark.parametrize("kind", ["drop", "status", "garbage", "empty", "no_access_token"])
def test_after(zoho, refresh, kind):
    """With after=True the request takes effect, a rotation too, and only the answer is lost."""
    zoho.options.rotation = "rotate"
    zoho.faults.add(kind=kind, after=True)
    with pytest.raises(requests.ConnectionError) if kind == "drop" else nullcontext():
        refresh()

    assert refresh().json() == {"error": "invalid_code"}
    assert zoho.counters.token_calls() == 2
