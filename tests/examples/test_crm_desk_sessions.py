"""Several logins of one browser, and what has ended: it stays so, whatever comes in between."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

from cryptography.fernet import Fernet
from desk_driver import ANA, BEN, EVA, Browser, consent
from desk_moments import copy_of, locked, meanwhile, token_id


def test_several_logins(browser, desk):
    """A browser may have several logins, and switch between them; nobody else can."""
    browser.log_in(ANA)
    anas = token_id(browser.get("/leads"))
    browser.log_in(EVA)
    page = browser.get("/leads")
    assert "data centre EU" in page.text
    assert "Switch to ana@example.com" in page.text
    evas = token_id(page)
    # The panel is not told to a page of another login.
    assert browser.get(f"/panel?of={evas}").status == 200
    other = browser.get(f"/panel?of={anas}")
    assert (other.status, other.text) == (409, "")
    browser.send(page, "/account/use", token_id=anas)
    assert "data centre US" in browser.get("/leads").text

    # The id of a login alone opens nothing.
    thief = Browser(desk)
    assert thief.get(f"/panel?of={anas}").status == 401
    thief.log_in(BEN)
    thief.send(thief.get("/leads"), "/account/use", token_id=anas)
    assert "ben@example.com" in thief.get("/leads").text


def test_log_out_from_a_page_of_before(browser):
    """A tab that was open before another login logs out as well; copies are worth nothing."""
    browser.log_in(ANA)
    old = browser.get("/leads")
    browser.log_in(BEN)
    copied = copy_of(browser)

    assert browser.send(old, "/account/logout").location == "/?done=out"
    for each in (browser, copied):
        assert each.get("/leads").trouble == "not-logged-in"


def test_log_out_whatever_happens(browser, desk):
    """Whoever leaves is out of this browser, and is told that copies could not be ended."""
    browser.log_in(ANA)
    page = browser.get("/leads")
    with locked(desk):
        out = browser.send(page, "/account/logout")

    assert out.location == "/?done=out-here"
    assert "Copies of its cookie" in browser.get(out.location).text
    assert browser.get("/leads").trouble == "not-logged-in"


def test_logged_out_during_a_login(browser, zoho):
    """A login under way ends as one, and brings nothing back that was logged out meanwhile."""
    browser.log_in(BEN)
    browser.log_in(ANA)
    tab = copy_of(browser)
    answer = consent(tab.begin(), user=EVA)
    slow = zoho.faults.add(endpoint="token", kind="slow", delay=2.0, times=1)
    with meanwhile(slow, tab.callback, answer) as answers:
        assert browser.send(browser.get("/leads"), "/account/logout").location == "/?done=out"

    assert [each.status for each in answers] == [303]
    page = tab.get("/leads")
    assert "eva@example.eu" in page.text
    assert "Switch to" not in page.text


def test_log_out_and_a_slow_login(browser, zoho):
    """However many names it got while the logout was on its way, the browser is logged out."""
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


def test_a_slow_page_and_a_newer_login(browser, desk, zoho):
    """A page that was asked for before a login, and comes after it, leaves the cookie alone."""

    def age():
        """Make the cookie two days old, so that a page renews it."""
        key = Fernet((desk.folder / "desk/emulated/session.key").read_text())
        made = int(time.time()) - 2 * 86_400
        for name, value in browser.cookies.items():
            browser.cookies[name] = key.encrypt_at_time(key.decrypt(value), made).decode()

    browser.log_in(ANA)
    age()
    tab = copy_of(browser)
    slow = zoho.faults.add(endpoint="records", kind="slow", delay=3.0, times=1)
    with meanwhile(slow, tab.get, "/leads") as answers:
        browser.log_in(BEN)

    assert [each.status for each in answers] == [200]
    assert not answers[0].headers.get_all("Set-Cookie")
    # Otherwise it is renewed.
    age()
    assert browser.get("/leads").headers.get_all("Set-Cookie")


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
            typed = browser.send(page, "/leads", Last_Name="Typed")
            told = browser.get("/nowhere").text
            out = copy_of(browser)
            left = out.send(page, "/account/logout")
        finally:
            database.execute("ALTER TABLE elsewhere RENAME TO kept")

    assert {each.status for each in closed} == {503}
    assert "can't tell who you are" in closed[0].text
    assert "ben@example.com" not in told
    assert left.location == "/?done=out-here"
    assert (typed.trouble, typed.value("Last_Name")) == ("cannot-tell", "Typed")
    assert not any(each.headers.get_all("Set-Cookie") for each in (*closed, typed))
    assert browser.get("/leads").status == 200
    assert out.get("/leads").trouble == "not-logged-in"
    assert browser.send(typed, "/leads", Last_Name="Typed").location == "/leads?done=created"
