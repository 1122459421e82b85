"""Logins that have ended stay so, in all browsers: disconnected, or withdrawn elsewhere."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest
from cryptography.fernet import Fernet
from desk_driver import ANA, BEN, Browser, DeskServer, consent
from desk_moments import copy_of, locked, meanwhile, token_id

import tokenkeep
from crm_desk.lead_pages import LeadPages
from crm_desk.ledger import Ledger
from crm_desk.sessions import Login, Session
from crm_desk.threads import Threads
from tokenkeep import LoginNeeded, Token


def revoke(desk):
    """Revoke the first token that is stored there, as soon as it has its user."""
    with desk.open_store() as store:
        deadline = time.monotonic() + 30
        while not (tokens := [t for t in store.get_tokens() if t.user]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        store.swap(tokens[0].but(status=tokenkeep.Status.REVOKED))


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

    assert other.get("/leads").trouble == "disconnected"
    assert other.get("/panel").status == 410
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
    slow = zoho.faults.add(endpoint="revoke", kind="slow", delay=2.0, times=1)
    with meanwhile(slow, lambda: browser.send(page, "/account/disconnect")):
        again = Browser(desk)
        again.log_in(ANA)

    assert other.get("/leads").trouble == "not-logged-in"
    third = Browser(desk)
    third.log_in(ANA)
    assert {each.get("/leads").status for each in (again, third)} == {200}
    assert other.get("/leads").trouble == "not-logged-in"


@pytest.mark.slow
def test_disconnected_at_the_end(zoho, tmp_path):
    """A desk that is stopped meanwhile has noted what is over."""
    desk = DeskServer(zoho, tmp_path)
    try:
        other, browser = Browser(desk.start()), Browser(desk)
        other.log_in(ANA)
        browser.log_in(ANA)
        page = browser.get("/account/disconnect")
        hanging = zoho.faults.add(endpoint="revoke", kind="hang", times=None)
        with meanwhile(hanging, lambda: browser.send(page, "/account/disconnect")) as answers:
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


def test_withdrawn_stays_withdrawn(browser):
    """The same after the consent was withdrawn elsewhere, as soon as that was noticed."""
    other = copy_of(browser)
    browser.log_in(ANA)
    other.log_in(ANA)
    browser.desk.withdraw(ANA)
    browser.desk.expire(ANA)
    assert browser.get("/leads").trouble == "login-needed"
    browser.log_in(ANA)

    assert browser.get("/leads").status == 200
    assert other.get("/leads").trouble == "not-logged-in"


@pytest.mark.slow
def test_a_login_that_can_not_be_noted(browser, desk, zoho):
    """Its person logs in again; until then their other browsers open nothing, as before."""
    browser.log_in(ANA)
    browser.desk.withdraw(ANA)
    browser.desk.expire(ANA)
    assert browser.get("/leads").trouble == "login-needed"
    again = Browser(desk)
    answer = consent(again.begin(), user=ANA)
    slow = zoho.faults.add(endpoint="token", kind="slow", delay=1.5, times=1)
    with meanwhile(slow, again.callback, answer) as answers, locked(desk):
        while not answers:
            time.sleep(0.1)
    assert [each.status for each in answers] == [503]

    assert browser.get("/leads").trouble == "login-needed"
    again.log_in(ANA)
    assert again.get("/leads").status == 200
    assert browser.get("/leads").trouble == "not-logged-in"


def test_disconnected_while_it_begins(zoho, tmp_path):
    """Stored, revoked and only then noted: nobody is logged in, nor with the next login."""
    desk = DeskServer(zoho, tmp_path)
    try:
        browser, again = Browser(desk.start()), Browser(desk)
        answer = consent(browser.begin(), user=ANA)
        slow = zoho.faults.add(endpoint="token", kind="slow", delay=1.5, times=1)
        with meanwhile(slow, browser.callback, answer) as answers, locked(desk):
            revoke(desk)
        again.log_in(ANA)

        assert [each.trouble for each in answers] == ["revoked"]
        assert again.get("/leads").status == 200
        assert browser.get("/leads").trouble == "not-logged-in"
    finally:
        desk.stop()


def test_nobody_takes_the_place(browser, desk):
    """When the login in use is over, the next one is offered and not taken."""
    browser.log_in(BEN)
    browser.log_in(ANA)
    elsewhere = Browser(desk)
    elsewhere.log_in(ANA)
    browser.desk.withdraw(ANA)
    browser.desk.expire(ANA)
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


def test_what_is_over_is_not_taken_back(tmp_path):
    """One disconnection has failed, another has not."""
    ledger = Ledger(tmp_path / "desk.db", Fernet(Fernet.generate_key()))
    since = ledger.begin_login("id")
    ledger.begin_to_end_login("id", since)
    assert not ledger.is_over("id", since)

    ledger.end_login("id", since)
    ledger.begin_to_end_login("id", since)
    ledger.go_on_with_login("id", since)
    assert ledger.is_over("id", since)
    ledger.close()


@pytest.mark.parametrize("is_good", [True, False], ids=["again", "not again"])
def test_an_end_that_is_noticed_late(tmp_path, is_good):
    """Who has logged in again before it was noted is not logged out."""
    ledger = Ledger(tmp_path / "desk.db", Fernet(Fernet.generate_key()))
    login = Login("id", ANA, ledger.begin_login("id"))
    session = Session("browser", login)

    def as_user(*_, **__):
        raise LoginNeeded("withdrawn")

    crm = SimpleNamespace(
        token_of=lambda _: Token(data_center="us"), as_user=as_user, is_good=lambda _: is_good
    )
    pages = LeadPages(SimpleNamespace(crm=crm, threads=Threads(), ledger=ledger))
    request = SimpleNamespace(state=SimpleNamespace(session=session))
    with pytest.raises(LoginNeeded):
        asyncio.run(pages._as_user(request, lambda: None))

    assert ledger.is_over("id", login.since) is not is_good
    ledger.close()


@pytest.mark.slow(part="ci")
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
