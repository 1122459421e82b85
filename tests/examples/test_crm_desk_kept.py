"""What was typed, and copies of cookies, when logins come and go in between."""

from __future__ import annotations

import html
import re
import sqlite3
import threading
import time
from contextlib import closing

from desk_driver import ANA, BEN, Browser, consent


def hidden(page, name):
    return html.unescape(re.search(rf'name="{name}" value="([^"]*)"', page.source)[1])


def fields(page):
    """What a browser sends of a form besides what is typed."""
    return {"draft": hidden(page, "draft")}


def log_in_from(page, browser, user):
    begun = browser.send(page, "/login", draft=hidden(page, "draft"), data_center="")
    return browser.callback(consent(begun.location, user=user))


def test_disconnected_elsewhere_while_typing(browser, desk):
    """The login that it was typed with is gone; after a new one of the same user it is there."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    other = Browser(desk)
    other.log_in(ANA)
    other.send(other.get("/account/disconnect"), "/account/disconnect")

    refused = browser.send(page, "/leads", Last_Name="Kept", **fields(page))
    assert refused.trouble == "disconnected"
    back = log_in_from(refused, browser, ANA)

    assert browser.get(back.location).value("Last_Name") == "Kept"
    stranger = Browser(desk)
    stranger.log_in(BEN)
    assert stranger.get(back.location).value("Last_Name") == ""


def test_refused_at_first(browser, zoho):
    """Who refuses, or meets a login server that is down, and logs in then, is not back at zero."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    browser.desk.withdraw(ANA)
    refused = browser.send(page, "/leads", Last_Name="Kept", **fields(page))
    begun = browser.send(refused, "/login", draft=hidden(refused, "draft"), data_center="")

    no = browser.callback(consent(begun.location, user=ANA, decision="reject"))
    begun = browser.send(no, "/login", draft=hidden(no, "draft"), data_center="")
    zoho.faults.add(endpoint="token", kind="drop")
    down = browser.callback(consent(begun.location, user=ANA))
    zoho.faults.clear()
    back = log_in_from(down, browser, ANA)

    assert (no.trouble, down.trouble) == ("login-refused", "provider-down")
    assert "You are not logged in yet" in down.text
    assert browser.get(back.location).value("Last_Name") == "Kept"


def test_stale_login_form(browser):
    """A page from before a login elsewhere in this browser says so, and offers the login again."""
    page = browser.get("/?more")
    browser.log_in(ANA)

    stale = browser.send(page, "/login", draft="a-draft", data_center="")

    assert stale.trouble == "stale-form"
    assert hidden(stale, "draft") == "a-draft"
    assert 'action="/login"' in stale.source


def test_a_form_with_a_mistake_is_of_its_login_too(browser, zoho):
    """Corrected and sent, it would be somebody else's: it says so first."""
    browser.log_in(ANA)
    browser.log_in(BEN)
    form = browser.get("/leads/new")
    token_id = hidden(browser.get("/leads"), "token_id")
    browser.send(form, "/account/use", token_id=token_id)
    before = len(zoho.records(ANA))

    refused = browser.send(form, "/leads", Last_Name="  ")

    assert (refused.status, refused.trouble) == (403, "stale-form")
    assert len(zoho.records(ANA)) == before


def test_a_copied_cookie_ends_with_the_next_login(browser):
    """What was copied before another login is worth nothing after it."""
    browser.log_in(ANA)
    copied = dict(browser.cookies)
    browser.log_in(BEN)

    assert browser.get("/leads").status == 200
    browser.cookies = copied
    assert browser.get("/leads").trouble == "not-logged-in"


def test_two_tabs_log_in(browser):
    """A login that was begun before another one ended goes on."""
    first, second = browser.begin(), browser.begin()

    assert browser.callback(consent(first, user=ANA)).location == "/leads"
    assert browser.callback(consent(second, user=BEN)).location == "/leads"
    assert "ben@example.com" in browser.get("/leads").text


def test_the_desks_own_file_is_locked(browser, desk, zoho):
    """A lead that was added is not told as an error, which would add it twice."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    browser.desk.withdraw(ANA)
    refused = browser.send(page, "/leads", Last_Name="Once", **fields(page))
    back = log_in_from(refused, browser, ANA)
    form = browser.get(back.location)

    with closing(sqlite3.connect(desk.folder / "desk/emulated/desk.db")) as database:
        database.execute("BEGIN IMMEDIATE")
        done = browser.send(form, "/leads", Last_Name="Once", **fields(form))

    assert done.location == "/leads?done=created"
    names = [each["Last_Name"] for each in zoho.records(ANA).values()]
    assert names.count("Once") == 1


def test_one_login_holds_nobody_up(browser, desk, zoho):
    """Who asks for too much at a time is told so; others are served."""
    browser.log_in(ANA)
    other = Browser(desk)
    other.log_in("eva@example.eu:73")
    other.get("/leads")
    zoho.faults.add(endpoint="records", kind="slow", times=None, delay=2.0, data_center="us")
    answers = []

    def ask():
        again = Browser(desk)
        again.cookies = dict(browser.cookies)
        answers.append(again.get("/leads"))

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for each in threads:
        each.start()
    time.sleep(0.5)
    began = time.monotonic()
    served = other.get("/leads")
    took = time.monotonic() - began
    for each in threads:
        each.join()

    assert served.status == 200
    assert took < 2
    assert {"desk-busy"} == {each.trouble for each in answers if each.status != 200}
    assert len([each for each in answers if each.status == 200]) >= 10


def test_odd_input(browser):
    """Numbers without an end and halves of characters are answered like any other."""
    browser.log_in(ANA)

    assert browser.get("/leads?page=" + "9" * 5000).status == 200
    assert browser.get("/leads?page=0").status == 200
