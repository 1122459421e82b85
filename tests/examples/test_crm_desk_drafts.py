"""What was typed finds its way over a login, to whoever typed it and to nobody else."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from desk_driver import ANA, BEN, Browser, consent
from desk_moments import locked

from crm_desk.ledger import MOST


def refused(browser, **typed):
    """Have a form refused since the login has ended."""
    page = browser.get("/leads/new")
    browser.desk.withdraw(ANA)
    answer = browser.send(page, "/leads", **typed)
    assert answer.trouble == "login-needed"
    return answer


def rows(desk, statement="SELECT count(*) FROM kept"):
    with closing(sqlite3.connect(desk.folder / "desk/emulated/desk.db")) as database:
        return database.execute(statement).fetchall()


@pytest.mark.parametrize("fault", ["missing", "crm down", "crm drops", "busy", "not allowed"])
def test_what_was_typed_survives(browser, zoho, fault):
    """Whatever the CRM does, the form comes back as it was typed, and can be sent again."""
    browser.log_in(ANA)
    typed = {"Last_Name": "Typed", "Company": "Typed & Co", "Description": "Line 1\r\nLine 2"}
    sent = dict(typed)
    if fault == "missing":
        sent["Last_Name"] = ""
    elif fault == "crm down":
        zoho.faults.add(endpoint="crm", kind="status", times=None)
    elif fault == "crm drops":
        zoho.faults.add(endpoint="records", kind="drop", times=None)
    elif fault == "busy":
        zoho.faults.add(
            endpoint="crm", kind="refused", status=429, code="TOO_MANY_REQUESTS", times=None
        )
    else:
        zoho.faults.add(
            endpoint="crm", kind="refused", status=403, code="NO_PERMISSION", times=None
        )
    answer = browser.send(browser.get("/leads/new"), "/leads", **sent)

    assert (answer.status, answer.trouble) == {
        "missing": (422, None),
        "crm down": (502, "crm-silent-writing"),
        "crm drops": (502, "crm-silent-writing"),
        "busy": (429, "crm-busy"),
        "not allowed": (403, "no-permission"),
    }[fault]
    assert answer.value("Company") == typed["Company"]
    assert answer.value("Description").replace("\r", "") == "Line 1\nLine 2"
    zoho.faults.clear()
    zoho.options.reset()
    assert browser.send(answer, "/leads", **typed).location == "/leads?done=created"


def test_disconnected_elsewhere_while_typing(browser, desk):
    """After a new login of the same user it is there, though it came back with a mistake first."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    other = Browser(desk)
    other.log_in(ANA)
    other.send(other.get("/account/disconnect"), "/account/disconnect")
    wrong = browser.send(page, "/leads", Last_Name=" ", Company="Kept & Co")
    gone = browser.send(wrong, "/leads", Last_Name="Kept", Company="Kept & Co")

    assert (wrong.status, gone.trouble) == (422, "disconnected")
    assert "What you typed is kept" in gone.text
    form = browser.get(browser.log_in(ANA, page=gone))
    assert (form.value("Last_Name"), form.value("Company")) == ("Kept", "Kept & Co")


def test_no_form_says_whose_it_is(browser):
    """Whatever a form claims, what was typed is of the login it was typed with."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    assert 'name="owner"' not in page.source
    browser.desk.withdraw(ANA)
    answer = browser.send(page, "/leads", Last_Name="Ana's", owner="")

    assert browser.log_in(BEN, page=answer) == "/leads"
    draft = answer.value("draft")
    assert browser.get(f"/leads/new?draft={draft}").value("Last_Name") == ""
    assert browser.log_in(ANA) == f"/leads/new?draft={draft}"


def test_people_without_a_name(browser, desk, zoho):
    """Nobody can tell whose the next login is: nothing is kept, nor promised."""
    zoho.faults.add(endpoint="users", kind="status", times=None)
    browser.log_in(ANA)
    other = Browser(desk)
    other.log_in(BEN)
    page = browser.get("/leads/new")
    browser.desk.withdraw(ANA)
    answer = browser.send(page, "/leads", Last_Name="Ana's")

    assert "What you typed is kept" not in answer.text
    assert (answer.value("Last_Name"), answer.value("draft")) == ("Ana's", "")
    assert "Somebody Zoho did not name" in other.get("/leads").text


def test_a_draft_is_of_its_form(browser):
    """What was typed for a new lead is not shown as the change of another one."""
    browser.log_in(ANA)
    browser.add_lead("Other", Company="Other & Co")
    [lead] = [each for each, name in browser.get("/leads").leads.items() if name == "Other"]
    back = browser.log_in(ANA, page=refused(browser, Last_Name="Kept"))
    draft = back.partition("?")[2]

    assert browser.get(f"/leads/{lead}?{draft}").value("Last_Name") == "Other"
    assert browser.get(back).value("Last_Name") == "Kept"


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        ("throttled", "rate-limit"),
        ("client", "client-refused"),
        ("locked", "store-unavailable"),
        ("down", "provider-down"),
    ],
)
def test_trouble_while_logging_in(browser, desk, zoho, fault, trouble):
    """Whatever a login meets, its page has words of its own, and offers one to the same end."""
    browser.log_in(ANA)
    begun = browser.begin(page=refused(browser, Last_Name="Kept"))
    tokens = sqlite3.connect(desk.folder / "desk/emulated/tokens.db")
    if fault == "throttled":
        zoho.options.logins_per_window = 0
    elif fault == "client":
        register(zoho, desk, secret="another")
    elif fault == "locked":
        tokens.execute("BEGIN IMMEDIATE")
    else:
        zoho.faults.add(endpoint="token", kind="drop")
    failed = browser.callback(consent(begun, user=ANA))
    tokens.close()
    zoho.options.logins_per_window = None
    register(zoho, desk, secret="made-up-for-the-emulator")
    zoho.faults.clear()

    assert failed.trouble == trouble
    assert "You are not logged in yet" in failed.text
    assert "What you typed is kept" in failed.text
    # Opened again, the answer would be used up.
    assert 'id="again"' not in failed.source
    assert browser.get(browser.log_in(ANA, page=failed)).value("Last_Name") == "Kept"


def register(zoho, desk, *, secret):
    """Register the desk's client, with a secret of its own or another."""
    zoho.register_client(
        client_id="1000.CRMDESK", client_secret=secret, redirect_uris=[f"{desk.url}/callback"]
    )


def test_strangers_leave_nothing(browser, desk):
    """Without a login nothing is kept, and the page does not say so; the form is on it."""
    page = browser.get("/")
    before = rows(desk)
    answer = browser.send(page, "/leads", Last_Name="Typed", Description="x" * 32_000)

    assert answer.trouble == "not-logged-in"
    assert rows(desk) == before
    assert "in this form only" in answer.text
    assert answer.value("Last_Name") == "Typed"


def test_the_latest_are_kept(browser, desk):
    """Of one person there are so many and no more, and none of them takes another's place."""
    other = Browser(desk)
    other.log_in(BEN)
    his = other.get("/leads/new")
    browser.desk.withdraw(BEN)
    his = other.send(his, "/leads", Last_Name="His")
    browser.log_in(ANA)
    page = refused(browser, Last_Name="Kept")
    for number in range(MOST + 5):
        page = browser.send(page, "/leads", Last_Name=f"Kept {number}")

    of_each = rows(desk, "SELECT count(*) FROM owned JOIN kept USING (name) GROUP BY owner")
    assert max(of_each) == (MOST,)
    for each, form, user, last in (
        (browser, page, ANA, f"Kept {MOST + 4}"),
        (other, his, BEN, "His"),
    ):
        assert each.get(each.log_in(user, page=form)).value("Last_Name") == last


def test_the_desks_own_file_is_locked(browser, desk, zoho):
    """A lead that was added is not told as an error, which would add it twice."""
    browser.log_in(ANA)
    form = browser.get(browser.log_in(ANA, page=refused(browser, Last_Name="Once")))
    with locked(desk):
        done = browser.send(form, "/leads", Last_Name="Once")

    assert done.location == "/leads?done=created"
    names = [each["Last_Name"] for each in zoho.records(ANA).values()]
    assert names.count("Once") == 1
