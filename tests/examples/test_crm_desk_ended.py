"""What has ended stays so: names of browsers, logins, and cookies from before."""

from __future__ import annotations

import sqlite3
import threading
import time
import urllib.parse
from contextlib import closing, contextmanager

from cryptography.fernet import Fernet
from desk_driver import ANA, BEN, EVA, Browser, DeskServer, consent

import crm_desk.ends
import tokenkeep
from crm_desk.ledger import Ledger


def copy_of(browser):
    """Return another tab: the cookie as it is now, and what comes of it."""
    tab = Browser(browser.desk)
    tab.cookies = dict(browser.cookies)
    return tab


@contextmanager
def meanwhile(ask, *given):
    """Ask for something that takes its time, and be done with it at the end; yield its answers."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask(*given)))
    thread.start()
    time.sleep(0.7)
    yield answers
    thread.join()


@contextmanager
def locked(desk):
    """Let nobody write the desk's own file."""
    with closing(sqlite3.connect(desk.folder / "desk/emulated/desk.db")) as database:
        database.execute("BEGIN IMMEDIATE")
        yield


def revoke(url, keys):
    """Revoke the first token that is stored there, as soon as it has its user."""
    key = keys.read_text().splitlines()[-1]
    with tokenkeep.open_store(url, environ={"TOKENKEEP_KEYS": key}) as store:
        while not (tokens := [t for t in store.get_tokens() if t.user]):
            time.sleep(0.05)
        store.swap(tokens[0].but(status=tokenkeep.Status.REVOKED))


def token_id(page):
    return page.source.partition("<code>")[2].partition("</code>")[0]


# Names of browsers


def test_logged_out_during_a_login(browser, zoho):
    """A login under way ends as one, and brings nothing back that was logged out meanwhile."""
    browser.log_in(BEN)
    browser.log_in(ANA)
    tab = copy_of(browser)
    answer = consent(tab.begin(), user=EVA)
    zoho.faults.add(endpoint="token", kind="slow", delay=2.0, times=1)
    with meanwhile(tab.callback, answer) as answers:
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
    zoho.faults.add(endpoint="token", kind="slow", delay=1.5, times=1)
    with meanwhile(browser.callback, answer) as answers, locked(desk):
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
    zoho.faults.add(endpoint="token", kind="slow", delay=2.0, times=1)
    with meanwhile(browser.callback, answer):
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
    zoho.faults.add(endpoint="records", kind="slow", delay=3.0, times=1)
    with meanwhile(tab.get, "/leads") as answers:
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
    zoho.faults.add(endpoint="records", kind="slow", delay=2.0, times=1)
    with meanwhile(tab.get, "/leads") as answers:
        browser.send(page, "/account/use", token_id=other)

    assert [each.status for each in answers] == [200]
    assert not answers[0].headers.get_all("Set-Cookie")
    assert "ben@example.com" in browser.get("/leads").text


def test_a_refused_form_and_a_newer_login(browser, zoho):
    """What a form that was refused late notes in its cookie is not worth the newer one."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    tab = copy_of(browser)
    zoho.revoke(ANA)
    zoho.expire_access_tokens(ANA)
    zoho.faults.add(endpoint="token", kind="slow", delay=2.0, times=1, grant_type="refresh_token")
    with meanwhile(lambda: tab.send(page, "/leads", Last_Name="Late")) as answers:
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


# Logins


def test_disconnected_stays_disconnected(browser, desk, zoho):
    """A new login of the same person brings no browser back that was in use before."""
    other = copy_of(browser)
    browser.log_in(ANA)
    other.log_in(ANA)
    zoho.faults.add(endpoint="revoke", kind="status", times=None)
    done = browser.send(browser.get("/account/disconnect"), "/account/disconnect")
    zoho.faults.clear()
    assert "done=unconfirmed" in done.location
    again = Browser(desk)
    again.log_in(ANA)

    assert other.get("/leads").trouble == "not-logged-in"
    assert other.get("/panel").status == 401
    assert "ana@example.com" not in other.get("/nowhere").text
    assert again.get("/leads").status == 200
    other.log_in(ANA)
    assert {each.get("/leads").status for each in (again, other)} == {200}


def test_a_login_during_a_disconnection(browser, desk, zoho):
    """However long Zoho takes: what was in use before is over, what came meanwhile is not."""
    browser.log_in(ANA)
    other = Browser(desk)
    other.log_in(ANA)
    page = browser.get("/account/disconnect")
    zoho.faults.add(endpoint="revoke", kind="slow", delay=2.0, times=1)
    with meanwhile(lambda: browser.send(page, "/account/disconnect")):
        again = Browser(desk)
        again.log_in(ANA)

    assert other.get("/leads").trouble == "not-logged-in"
    third = Browser(desk)
    third.log_in(ANA)
    assert {each.get("/leads").status for each in (again, third)} == {200}
    assert other.get("/leads").trouble == "not-logged-in"


def test_disconnected_at_the_end(zoho, tmp_path):
    """A desk that is stopped meanwhile has noted what is over."""
    desk = DeskServer(zoho, tmp_path)
    try:
        other, browser = Browser(desk.start()), Browser(desk)
        other.log_in(ANA)
        browser.log_in(ANA)
        page = browser.get("/account/disconnect")
        hanging = zoho.faults.add(endpoint="revoke", kind="hang", times=None)
        with meanwhile(lambda: browser.send(page, "/account/disconnect")) as answers:
            hanging.wait()
            desk.tell_to_end()
            desk.end()
        zoho.faults.clear()
        desk.start()
        browser.log_in(ANA)

        assert [each.trouble for each in answers] == ["ending"]
        assert browser.get("/leads").status == 200
        assert other.get("/leads").trouble == "not-logged-in"
    finally:
        desk.stop()


def test_withdrawn_stays_withdrawn(browser, zoho):
    """The same after the consent was withdrawn elsewhere, as soon as that was noticed."""
    other = copy_of(browser)
    browser.log_in(ANA)
    other.log_in(ANA)
    zoho.revoke(ANA)
    zoho.expire_access_tokens(ANA)
    assert browser.get("/leads").trouble == "login-needed"
    browser.log_in(ANA)

    assert browser.get("/leads").status == 200
    assert other.get("/leads").trouble == "not-logged-in"


def test_a_login_that_can_not_be_noted(browser, desk, zoho):
    """Its person logs in again; until then their other browsers open nothing, as before."""
    browser.log_in(ANA)
    zoho.revoke(ANA)
    zoho.expire_access_tokens(ANA)
    assert browser.get("/leads").trouble == "login-needed"
    again = Browser(desk)
    answer = consent(again.begin(), user=ANA)
    zoho.faults.add(endpoint="token", kind="slow", delay=1.5, times=1)
    with meanwhile(again.callback, answer) as answers, locked(desk):
        while not answers:
            time.sleep(0.1)
    assert [each.status for each in answers] == [503]

    assert browser.get("/leads").trouble == "not-logged-in"
    again.log_in(ANA)
    assert again.get("/leads").status == 200
    assert browser.get("/leads").trouble == "not-logged-in"


def test_disconnected_while_it_begins(zoho, tmp_path):
    """Stored, revoked and only then noted: nobody is logged in, nor with the next login."""
    desk = DeskServer(zoho, tmp_path)
    try:
        browser, again = Browser(desk.start()), Browser(desk)
        answer = consent(browser.begin(), user=ANA)
        zoho.faults.add(endpoint="token", kind="slow", delay=1.5, times=1)
        home = tmp_path / "desk/emulated"
        with meanwhile(browser.callback, answer) as answers, locked(desk):
            revoke(f"sqlite:///{home / 'tokens.db'}", home / "keys")
        again.log_in(ANA)

        assert [each.trouble for each in answers] == ["revoked"]
        assert again.get("/leads").status == 200
        assert browser.get("/leads").trouble == "not-logged-in"
    finally:
        desk.stop()


def test_nobody_takes_the_place(browser, desk, zoho):
    """When the login in use is over, the next one is offered and not taken."""
    browser.log_in(BEN)
    browser.log_in(ANA)
    elsewhere = Browser(desk)
    elsewhere.log_in(ANA)
    zoho.revoke(ANA)
    zoho.expire_access_tokens(ANA)
    assert elsewhere.get("/leads").trouble == "login-needed"
    elsewhere.log_in(ANA)
    page = browser.get("/leads")

    assert page.trouble == "not-logged-in"
    assert "Switch to ben@example.com" in page.text
    ben = page.value("token_id")
    browser.send(page, "/account/use", token_id=ben)
    page = browser.get("/leads")
    assert "ben@example.com" in page.text
    assert "ana@example.com" not in page.text


def test_a_page_is_of_one_login(browser):
    """The panel is not told to a page of another login, whatever the cookie says."""
    browser.log_in(ANA)
    anas = token_id(browser.get("/leads"))
    browser.log_in(BEN)
    bens = token_id(browser.get("/leads"))

    assert browser.get(f"/panel?of={bens}").status == 200
    other = browser.get(f"/panel?of={anas}")
    assert (other.status, other.text) == (409, "")


def test_an_id_that_comes_again(tmp_path):
    """Some stores make ids of what a token is for: deleted, and logged in again, it is known."""
    ledger = Ledger(tmp_path / "desk.db", Fernet(Fernet.generate_key()))
    first = ledger.begin_login("id")
    assert ledger.begin_login("id") == first

    ledger.end_login("id", first)
    ledger.forget("id")

    second = ledger.begin_login("id")
    assert second > first
    ledger.end_login("id", first)  # noticed late
    assert ledger.begin_login("id") == second


def test_a_disconnection_that_can_not_be_noted(browser, desk):
    """It is revoked, and what is missing is said in its own words; once more, and all is done."""
    browser.log_in(BEN)
    page = browser.get("/account/disconnect")
    with locked(desk):
        failed = browser.send(page, "/account/disconnect")
    assert (failed.status, failed.trouble) == (503, "not-noted")
    assert "The access was revoked" in failed.text

    done = browser.send(browser.get("/account/disconnect"), "/account/disconnect")
    assert "done=disconnected" in done.location
