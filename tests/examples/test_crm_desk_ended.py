"""What has ended stays so: names of browsers, and cookies from before."""

from __future__ import annotations

import sqlite3
import time
import urllib.parse
from contextlib import closing

from cryptography.fernet import Fernet
from desk_driver import ANA, BEN, EVA, Browser, consent
from desk_moments import copy_of, locked, meanwhile, token_id

import crm_desk.ends
from crm_desk.ledger import Ledger

# Names of browsers


def test_logged_out_during_a_login(browser, zoho):
    """A login under way ends as one, and brings nothing back that was logged out meanwhile."""
    browser.log_in(BEN)
    browser.log_in(ANA)
    tab = copy_of(browser)
    answer = consent(tab.begin(), user=EVA)
    slow = zoho.faults.add(endpoint="token", kind="slow", delay=2.0, times=1)
    with meanwhile(slow, tab.callback, answer) as answers:
        out = browser.send(browser.get("/leads"), "/account/logout")
    assert out.location == "/?done=out"

    assert [each.status for each in answers] == [303]
    page = tab.get("/leads")
    assert "eva@example.eu" in page.text
    assert "Switch to" not in page.text


def test_a_login_that_can_not_end_the_one_before(browser, desk, zoho):
    """No new cookie while copies of the old one would stay good; the next login ends them."""
    browser.log_in(ANA)
    copied = copy_of(browser)
    answer = consent(browser.begin(), user=BEN)
    slow = zoho.faults.add(endpoint="token", kind="slow", delay=1.5, times=1)
    with meanwhile(slow, browser.callback, answer) as answers, locked(desk):
        while not answers:
            time.sleep(0.1)

    [failed] = answers
    assert (failed.status, failed.trouble) == (503, "store-unavailable")
    assert "You are not logged in yet" in failed.text
    assert "ana@example.com" in browser.get("/leads").text
    browser.log_in(BEN)
    assert copied.get("/leads").trouble == "not-logged-in"


def test_nobody_can_tell_what_has_ended(browser, desk):
    """While the desk's own file can't be read, a cookie opens nothing; no form is lost."""
    browser.log_in(BEN)
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    with closing(sqlite3.connect(desk.folder / "desk/emulated/desk.db")) as database:
        database.execute("ALTER TABLE kept RENAME TO elsewhere")
        try:
            closed = [browser.get(path) for path in ("/leads", "/leads/new", "/", "/panel")]
            files = browser.get("/health")
            typed = browser.send(page, "/leads", Last_Name="Typed")
            told = "ben@example.com" in browser.get("/nowhere").text
            out = copy_of(browser)
            left = out.send(page, "/account/logout")
        finally:
            database.execute("ALTER TABLE elsewhere RENAME TO kept")

    assert {each.status for each in closed} == {503}
    assert not told
    assert (files.status, left.location) == (200, "/?done=out-here")
    assert "can't tell who you are" in closed[0].text
    assert (typed.trouble, typed.value("Last_Name")) == ("cannot-tell", "Typed")
    assert not any(each.headers.get_all("Set-Cookie") for each in (*closed, typed))
    assert browser.get("/leads").status == 200
    assert out.get("/leads").trouble == "not-logged-in"
    assert browser.send(typed, "/leads", Last_Name="Typed").location == "/leads?done=created"


def test_log_out_whatever_happens(browser, desk):
    """Whoever leaves is out of this browser, and is told that copies could not be ended."""
    browser.log_in(ANA)
    page = browser.get("/leads")
    with locked(desk):
        out = browser.send(page, "/account/logout")

    assert out.location == "/?done=out-here"
    assert "Copies of its cookie" in browser.get(out.location).text
    assert browser.get("/leads").trouble == "not-logged-in"


def test_three_tabs_log_in(browser):
    """Logins that were begun before others ended go on, however many there were."""
    begun = [browser.begin() for _ in range(4)]
    users = (ANA, BEN, EVA, ANA)

    for address, user in zip(begun, users, strict=True):
        assert browser.callback(consent(address, user=user)).location == "/leads"
    assert "ana@example.com" in browser.get("/leads").text


def test_log_out_from_a_page_of_before(browser):
    """A tab that was open before another login logs out as well; copies are worth nothing."""
    browser.log_in(ANA)
    old = browser.get("/leads")
    browser.log_in(BEN)
    copied = copy_of(browser)

    assert browser.send(old, "/account/logout").location == "/?done=out"
    for each in (browser, copied):
        assert each.get("/leads").trouble == "not-logged-in"


def test_strangers_log_out(browser, desk):
    """It leaves nothing in the desk's own file."""
    browser.get("/")
    with closing(sqlite3.connect(desk.folder / "desk/emulated/desk.db")) as database:
        counted = "SELECT count(*) FROM kept"
        before = database.execute(counted).fetchall()
        for _ in range(3):
            assert Browser(desk).post("/account/logout", {}).location == "/?done=out"
        assert database.execute(counted).fetchall() == before


def test_log_out_during_a_switch(browser):
    """Whichever answer comes last, the browser is logged out."""
    browser.log_in(BEN)
    other = token_id(browser.get("/leads"))
    browser.log_in(ANA)
    page, tab = browser.get("/leads"), copy_of(browser)
    browser.send(page, "/account/use", token_id=other)
    assert tab.send(page, "/account/logout").location == "/?done=out"

    assert browser.get("/leads").trouble == "not-logged-in"
    browser.log_in(ANA)
    assert "ana@example.com" in browser.get("/leads").text


def test_log_out_and_a_slow_login(browser, zoho):
    """However many names it got while the logout was on its way, it is logged out."""
    browser.log_in(BEN)
    other = token_id(browser.get("/leads"))
    browser.log_in(ANA)
    page, tab = browser.get("/leads"), copy_of(browser)
    browser.send(page, "/account/use", token_id=other)
    answer = consent(browser.begin(), user=EVA)
    slow = zoho.faults.add(endpoint="token", kind="slow", delay=2.0, times=1)
    with meanwhile(slow, browser.callback, answer):
        assert tab.send(page, "/account/logout").location == "/?done=out"

    gone = browser.get("/leads")
    assert gone.trouble == "not-logged-in"
    assert "Switch to" not in gone.text


def test_a_copy_logs_nobody_out(tmp_path, monkeypatch):
    """What is left of a name that ended long ago is a copy of its cookie."""
    ledger = Ledger(tmp_path / "desk.db", Fernet(Fernet.generate_key()))
    ledger.end("first", 1000.0)
    ledger.log_out("first", 1000.0)
    assert ledger.has_ended("second", ["first"])

    monkeypatch.setattr(crm_desk.ends, "UNDER_WAY", 0.1)
    ledger.end("old", 1000.0)
    time.sleep(0.2)
    ledger.log_out("old", 1000.0)
    assert ledger.has_ended("old")
    assert not ledger.has_ended("new", ["old"])
    ledger.close()


def test_a_logout_outlives_the_cookies(tmp_path):
    """Also the one that a login under way gives out last."""
    ledger = Ledger(tmp_path / "desk.db", Fernet(Fernet.generate_key()))
    ledger.end("first", 0.5)
    ledger.log_out("first", 0.5)
    time.sleep(0.6)

    assert not ledger.has_ended("first")
    assert ledger.has_ended("last", ["second", "first"])
    ledger.close()


def test_log_out_while_a_form_is_on_its_way(browser, desk, zoho):
    """Who it is from is looked at when all of it is there."""
    browser.log_in(ANA)
    form = {"form_token": browser.get("/leads/new").form_token, "Last_Name": "After the logout"}
    body = urllib.parse.urlencode(form).encode()
    with desk.begin_form(body[:10], len(body), browser.cookies) as held:
        time.sleep(0.3)
        browser.send(browser.get("/leads"), "/account/logout")
        held.sendall(body[10:])
        answer = held.recv(100_000).decode()

    assert answer.startswith("HTTP/1.1 403")
    assert "After the logout" not in [each["Last_Name"] for each in zoho.records(ANA).values()]


# Slow answers


def aged(browser, desk):
    """Make the cookie two days old, so that a page renews it."""
    key = Fernet((desk.folder / "desk/emulated/session.key").read_text())
    for name, value in browser.cookies.items():
        made = int(time.time()) - 2 * 86_400
        browser.cookies[name] = key.encrypt_at_time(key.decrypt(value), made).decode()


def test_a_slow_page_and_a_newer_login(browser, desk, zoho):
    """A page that was asked for before a login, and comes after it, leaves the cookie alone."""
    browser.log_in(ANA)
    aged(browser, desk)
    tab = copy_of(browser)
    slow = zoho.faults.add(endpoint="records", kind="slow", delay=3.0, times=1)
    with meanwhile(slow, tab.get, "/leads") as answers:
        browser.log_in(BEN)

    assert [each.status for each in answers] == [200]
    assert not answers[0].headers.get_all("Set-Cookie")
    # Otherwise it is renewed.
    aged(browser, desk)
    assert browser.get("/leads").headers.get_all("Set-Cookie")


def test_a_slow_page_and_a_switch(browser, desk, zoho):
    """The same for another login of this browser; forms of before are void then."""
    browser.log_in(BEN)
    other = token_id(browser.get("/leads"))
    browser.log_in(ANA)
    aged(browser, desk)
    tab = copy_of(browser)
    page = tab.get("/leads/new")
    slow = zoho.faults.add(endpoint="records", kind="slow", delay=2.0, times=1)
    with meanwhile(slow, tab.get, "/leads") as answers:
        browser.send(page, "/account/use", token_id=other)

    assert [each.status for each in answers] == [200]
    assert not answers[0].headers.get_all("Set-Cookie")
    assert "ben@example.com" in browser.get("/leads").text


def test_a_refused_form_and_a_newer_login(browser, zoho):
    """What a form that was refused late notes in its cookie is not worth the newer one."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    tab = copy_of(browser)
    browser.desk.withdraw(ANA)
    browser.desk.expire(ANA)
    slow = zoho.faults.add(
        endpoint="token", kind="slow", delay=2.0, times=1, grant_type="refresh_token"
    )
    with meanwhile(slow, lambda: tab.send(page, "/leads", Last_Name="Late")) as answers:
        browser.log_in(BEN)

    assert [each.trouble for each in answers] == ["login-needed"]
    assert not answers[0].headers.get_all("Set-Cookie")


def test_a_cookie_that_has_ended(browser):
    """It is answered without another one, which might replace the newer; it can still log in."""
    browser.log_in(ANA)
    left = copy_of(browser)
    browser.log_in(BEN)
    gone = left.get("/leads")

    assert gone.trouble == "not-logged-in"
    assert not gone.headers.get_all("Set-Cookie")
    left.log_in(EVA)
    page = left.get("/leads")
    assert "eva@example.eu" in page.text
    assert "Switch to" not in page.text
    assert browser.get("/leads").status == 200
