"""Logging in to the sample application; answers and cookies that are not what they say."""

from __future__ import annotations

import json
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor

import pytest
from desk_driver import ANA, BEN, Browser
from emulated import consent
from itsdangerous import TimestampSigner

from tokenkeep import Keeper


def test_log_in(browser, desk, zoho):
    """Consent, and there are the leads; the browser's cookie names the token and holds none."""
    first = browser.get("/")
    # "cn" is Zoho's, and not emulated: nobody is sent to a real one.
    for where, known in (("eu", "eu"), ("", "us"), ("mars", "us"), ("cn", "us")):
        assert browser.begin(where).startswith(zoho[known].auth_url)
    assert "default-src 'self'" in first.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in first.headers["Content-Security-Policy"]
    assert first.headers["Cache-Control"] == "no-store"
    assert "httponly; samesite=lax" in first.headers["Set-Cookie"]
    assert "style=" not in first.source
    assert "<script>" not in first.source
    assert browser.log_in(ANA) == "/leads"
    page = browser.get("/leads")

    assert "Boyle" in page.leads.values()
    assert "ana@example.com" in page.text
    with desk.open_store() as store:
        ids = {token.user: token.id for token in store.get_tokens()}
    session = json.loads(b64decode(browser.cookies["crm_desk"].partition(".")[0]))
    assert (session.pop("user"), session.pop("token_id")) == (ANA, ids[ANA])
    assert set(session) == {"form_token", "draft"}
    assert [each for each in desk.secrets() if each in page.source or each in str(session)] == []


@pytest.mark.parametrize("fault", ["throttled", "down"])
def test_zoho_lets_nobody_in(browser, zoho, fault):
    """It is said, and the next login works; so it is for who says no at Zoho."""
    refused = browser.callback(consent(browser.begin(), decision="reject"))
    assert (refused.status, zoho.counters.token_calls()) == (400, 0)
    begun = consent(browser.begin(), user=ANA)
    if fault == "throttled":
        zoho.options.mints_per_window = 0
    else:
        zoho.faults.add(endpoint="token", kind="drop", times=None)
    failed = browser.callback(begun)
    assert failed.status in {400, 503}
    assert failed.trouble
    assert browser.get("/leads").trouble == "TokenNotFound"
    zoho.faults.clear()
    zoho.options.mints_per_window = None

    assert browser.log_in(ANA) == "/leads"


# Answers


def test_the_answer_belongs_to_the_browser(browser, desk, zoho):
    """Somebody who is sent another's answer is not logged in as them, and the owner still can."""
    answer = consent(browser.begin(), user=ANA)
    mallory = Browser(desk)
    mallory.log_in(BEN)
    zoho.counters.reset()

    for stranger in (mallory, Browser(desk)):
        assert stranger.callback(answer).trouble == "NotThisLogin"
    assert zoho.counters.token_calls() == 0
    assert "ben@example.com" in mallory.get("/leads").text
    assert browser.callback(answer).location == "/leads"


def test_an_answer_counts_once(browser, zoho):
    """Of eight that come with the same answer one logs in, and none later; Zoho is asked once."""
    answer = consent(browser.begin(), user=ANA)
    with ThreadPoolExecutor(8) as pool:
        came = list(pool.map(lambda _: browser.tab().callback(answer), range(8)))

    assert sorted(each.status for each in came) == [303] + [400] * 7
    assert browser.callback(answer).trouble == "NotThisLogin"
    assert zoho.counters.token_calls("authorization_code") == 1


# Cookies and sessions


def test_tampered_cookie(browser, desk):
    """A cookie that was changed, or signed with another key, is nobody's."""
    browser.log_in(ANA)
    [(name, good)] = browser.cookies.items()
    content = good.partition(".")[0]
    forged = TimestampSigner("another key").sign(content).decode()
    for bad in (good[:-4] + "AAAA", "e30=" + good[4:], "", "x" * 5000, content, forged):
        answer = Browser(desk, {name: bad}).get("/leads")
        assert (answer.status, answer.trouble) == (401, "TokenNotFound")
        assert "ana@example.com" not in answer.text


def test_the_login_is_deleted(browser, desk):
    """Its sessions open nothing any more, and can still be left."""
    browser.log_in(BEN)
    page = browser.get("/leads/new")
    with desk.open_store() as store:
        for token in store.get_tokens():
            store.delete_token(token.id)

    assert browser.get("/leads").trouble == "TokenNotFound"
    assert "not there any more" in browser.get("/panel").text
    assert browser.send(page, "/logout").location == "/?done=out"
    assert "ben@example.com" not in browser.get("/leads").text


def test_people_without_a_name(browser, desk, zoho):
    """They work and leave as others do; what one of them typed is not given to another."""
    zoho.faults.add(endpoint="users", kind="status", times=None)
    browser.log_in(BEN)
    page = browser.get("/leads/new")
    assert "without a name" in page.text
    with desk.open_store() as store:
        for token in store.get_tokens():
            store.delete_token(token.id)
    assert browser.send(page, "/leads/new", Last_Name="Ben's").trouble == "TokenNotFound"
    assert browser.send(page, "/emulator/expire").trouble == "TokenNotFound"

    assert browser.log_in(ANA) == "/leads"
    assert browser.get("/leads/new").value("Last_Name") == ""


@pytest.mark.parametrize("reach", ["up", "down"])
def test_disconnect(browser, desk, zoho, reach):
    """Revoked and deleted for all browsers, also while Zoho is down; it is told once it is up."""

    def logins():
        return [each["status"] for each in zoho.state()["logins"] if each["user"] == ANA]

    before, other, again = len(logins()), Browser(desk), Browser(desk)
    browser.log_in(ANA)
    other.log_in(ANA)
    if reach == "down":
        zoho.faults.add(endpoint="revoke", kind="status", times=None)
    done = browser.send(browser.get("/leads"), "/disconnect")
    zoho.faults.clear()
    assert done.location == f"/?done={'disconnected' if reach == 'up' else 'unconfirmed'}"
    assert "Disconnected" in browser.get(done.location).text
    assert {each.get("/leads").trouble for each in (browser, other)} == {"TokenNotFound"}
    again.log_in(ANA)

    assert (again.get("/leads").status, other.get("/leads").status) == (200, 401)
    with desk.open_store() as store, Keeper(store) as keeper:
        keeper.sweep()
    assert logins()[before:] == ["revoked", "revoked", "active"]
