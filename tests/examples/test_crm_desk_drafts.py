"""What was typed finds its way over a login, to whoever typed it and to nobody else."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import time
from contextlib import closing

import pytest
from desk_driver import ANA, BEN, Browser, consent

from crm_desk.ledger import MOST


def disconnect(desk, user):
    """Disconnect somebody, in another browser of theirs."""
    other = Browser(desk)
    other.log_in(user)
    done = other.send(other.get("/account/disconnect"), "/account/disconnect")
    assert "done=disconnected" in done.location


def sent(browser, page, **typed):
    """Send a lead with all that its page has hidden in the form."""
    lead = page.source.partition('class="fields"')[2]
    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', lead)
    return browser.post("/leads", {**dict(hidden), **typed})


def log_in_from(browser, page, user, **begun):
    """Log in with the form of a page, whatever is hidden in it; return where that leads to."""
    form = {"draft": page.value("draft"), "data_center": "", **begun}
    address = browser.send(page, "/login", **form).location
    return browser.callback(consent(address, user=user))


def refused(browser, **typed):
    """Have a form refused since the login has ended."""
    page = browser.get("/leads/new")
    browser.desk.withdraw(ANA)
    answer = sent(browser, page, **typed)
    assert answer.trouble == "login-needed"
    return answer


def kept_rows(desk):
    with closing(sqlite3.connect(desk.folder / "desk/emulated/desk.db")) as database:
        return database.execute("SELECT count(*) FROM kept").fetchone()[0]


def test_stale_and_then_disconnected(browser, desk):
    """A form shown again after another login is of that login, also when it has gone since."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    browser.log_in(ANA)
    stale = sent(browser, page, Last_Name="Kept")
    assert stale.trouble == "stale-form"
    disconnect(desk, ANA)
    gone = sent(browser, stale, Last_Name="Kept")

    assert gone.trouble == "disconnected"
    assert "What you typed is kept" in gone.text
    back = log_in_from(browser, gone, ANA)
    assert browser.get(back.location).value("Last_Name") == "Kept"


def test_a_mistake_and_then_disconnected(browser, desk):
    """The same for a form that came back with a mistake in it."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    disconnect(desk, ANA)
    wrong = sent(browser, page, Last_Name=" ", Company="Kept & Co")
    assert wrong.status == 422
    gone = sent(browser, wrong, Last_Name="Kept", Company="Kept & Co")
    back = log_in_from(browser, gone, ANA)

    assert browser.get(back.location).value("Company") == "Kept & Co"


def test_a_mistake_in_a_draft(browser):
    """Corrected and sent, a draft is used up as if it had been right at once."""
    browser.log_in(ANA)
    back = log_in_from(browser, refused(browser, Last_Name="Kept"), ANA)
    wrong = sent(browser, browser.get(back.location), Last_Name="")
    assert sent(browser, wrong, Last_Name="Right").location == "/leads?done=created"

    assert browser.get(back.location).value("Last_Name") == ""


def test_no_form_says_whose_it_is(browser):
    """Whatever a form claims, what was typed is of the login it was typed with."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    assert 'name="owner"' not in page.source
    browser.desk.withdraw(ANA)
    answer = sent(browser, page, Last_Name="Ana's", owner="")
    back = log_in_from(browser, answer, BEN)

    assert back.location == "/leads"
    draft = answer.value("draft")
    assert browser.get(f"/leads/new?draft={draft}").value("Last_Name") == ""
    assert log_in_from(browser, browser.get("/?more"), ANA).location == f"/leads/new?draft={draft}"


def test_opened_too_late(browser):
    """An answer of Zoho's that nobody waits for any more leads to a login that comes back."""
    browser.log_in(ANA)
    answer = refused(browser, Last_Name="Kept")
    late = browser.callback(consent(browser.begin(), user=ANA) + "&state=another")
    assert late.trouble == "not-this-login"
    assert "What you typed is kept" in late.text
    back = log_in_from(browser, late, ANA, draft="")

    assert browser.get(back.location).value("Last_Name") == "Kept"
    assert back.location.endswith(answer.value("draft"))
    # Once it has been come back to, other logins don't lead there.
    assert browser.log_in(ANA) == "/leads"


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
    begun = log_in_from_until(browser, refused(browser, Last_Name="Kept"))
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
    assert 'action="/login"' in failed.source
    assert "data-reload" not in failed.source
    assert 'id="again"' not in failed.source
    assert "What you typed is kept" in failed.text
    back = log_in_from(browser, failed, ANA)
    assert browser.get(back.location).value("Last_Name") == "Kept"


def register(zoho, desk, *, secret):
    """Register the desk's client, with a secret of its own or another."""
    zoho.register_client(
        client_id="1000.CRMDESK", client_secret=secret, redirect_uris=[f"{desk.url}/callback"]
    )


def log_in_from_until(browser, page):
    """Log in up to Zoho's page; return its address."""
    return browser.send(page, "/login", draft=page.value("draft"), data_center="").location


def test_strangers_leave_nothing(browser, desk):
    """Without a login nothing is kept, and the page does not say so; the form is on it."""
    page = browser.get("/")
    before = kept_rows(desk)
    for _ in range(3):
        answer = browser.send(page, "/leads", Last_Name="Typed", Description="x" * 32_000)
        assert answer.trouble == "not-logged-in"

    assert kept_rows(desk) == before
    assert "is kept" not in answer.text
    assert "in this form only" in answer.text
    assert answer.value("Last_Name") == "Typed"
    # From another tab, as the page says.
    browser.log_in(BEN)
    stale = sent(browser, answer, Last_Name="Typed")
    assert stale.trouble == "stale-form"
    assert sent(browser, stale, Last_Name="Typed").location == "/leads?done=created"


def test_the_button_is_pressed_again(browser, desk):
    """What has not changed is kept once; of what has, the latest are, and those of nobody else."""
    other = Browser(desk)
    other.log_in(BEN)
    his = other.get("/leads/new")
    browser.desk.withdraw(BEN)
    his = sent(other, his, Last_Name="His")
    browser.log_in(ANA)
    page = refused(browser, Last_Name="Kept")
    before, draft = kept_rows(desk), page.value("draft")
    for _ in range(3):
        page = sent(browser, page, Last_Name="Kept")
    assert (kept_rows(desk), page.value("draft")) == (before, draft)

    for number in range(MOST + 5):
        page = sent(browser, page, Last_Name=f"Kept {number}")
    with closing(sqlite3.connect(desk.folder / "desk/emulated/desk.db")) as database:
        counted = "SELECT count(*) FROM owned JOIN kept USING (name) GROUP BY owner"
        of_each = database.execute(counted)
        assert max(of_each.fetchall()) == (MOST,)
    back = log_in_from(browser, page, ANA)
    assert browser.get(back.location).value("Last_Name") == f"Kept {MOST + 4}"
    back = log_in_from(other, his, BEN)
    assert other.get(back.location).value("Last_Name") == "His"


def test_kept_for_a_day(browser, desk):
    """A day is what it says, also for a form that is refused when the login is long gone."""
    browser.log_in(ANA)
    page = refused(browser, Last_Name="Kept")
    Browser(desk).log_in(ANA)
    stale = sent(browser, page, Last_Name="Kept")
    late = sent(browser, stale, Last_Name="Kept")
    assert (stale.trouble, late.trouble) == ("stale-form", "not-logged-in")
    assert "What you typed is kept" in late.text

    name = hashlib.sha256(f"draft {late.value('draft')}".encode()).hexdigest()
    with closing(sqlite3.connect(desk.folder / "desk/emulated/desk.db")) as database:
        [(until,)] = database.execute("SELECT until FROM kept WHERE name = ?", (name,))
    assert until - time.time() == pytest.approx(86_400, abs=60)
    back = log_in_from(browser, late, ANA)
    assert browser.get(back.location).value("Last_Name") == "Kept"


def test_a_draft_is_of_its_form(browser):
    """What was typed for a new lead is not shown as the change of another one."""
    browser.log_in(ANA)
    browser.add_lead("Other", Company="Other & Co")
    [lead] = [each for each, name in browser.get("/leads").leads.items() if name == "Other"]
    back = log_in_from(browser, refused(browser, Last_Name="Kept"), ANA)
    draft = back.location.partition("?")[2]

    assert browser.get(f"/leads/{lead}?{draft}").value("Last_Name") == "Other"
    assert browser.get(back.location).value("Last_Name") == "Kept"


def test_people_without_a_name(browser, desk, zoho):
    """Nobody can tell whose the next login is: nothing is kept, nor promised."""
    zoho.faults.add(endpoint="users", kind="status", times=None)
    browser.log_in(ANA)
    other = Browser(desk)
    other.log_in(BEN)
    page = browser.get("/leads/new")
    browser.desk.withdraw(ANA)
    answer = sent(browser, page, Last_Name="Ana's")

    assert "What you typed is kept" not in answer.text
    assert (answer.value("Last_Name"), answer.value("draft")) == ("Ana's", "")
    assert "Somebody Zoho did not name" in other.get("/leads").text


def test_ended_again_before_it_was_shown(browser):
    """A login that ends before the form was on a page loses nothing: the next one leads there."""
    browser.log_in(ANA)
    gone = refused(browser, Last_Name="Kept")
    back = log_in_from(browser, gone, ANA)
    browser.desk.withdraw(ANA)
    once_more = browser.get("/leads")
    assert once_more.trouble == "login-needed"
    assert "draft=" in back.location

    again = log_in_from(browser, once_more, ANA)

    assert browser.get(again.location).value("Last_Name") == "Kept"


def test_an_answer_that_got_lost(browser):
    """Zoho's answer is used, and what the desk said to it never arrived."""
    browser.log_in(ANA)
    gone = refused(browser, Last_Name="Kept")
    address = browser.send(gone, "/login", draft=gone.value("draft"), data_center="").location
    answer = consent(address, user=ANA)
    before = dict(browser.cookies)
    browser.callback(answer)
    browser.cookies = before
    late = browser.callback(answer)
    assert late.trouble == "not-this-login"

    back = log_in_from(browser, late, ANA)

    assert browser.get(back.location).value("Last_Name") == "Kept"


def test_the_lead_is_gone(browser, zoho):
    """What was typed is shown all the same."""
    browser.log_in(ANA)
    browser.add_lead("Edited")
    [lead_id] = [k for k, name in browser.get("/leads").leads.items() if "Edited" in name]
    page = browser.get(f"/leads/{lead_id}")
    browser.desk.withdraw(ANA)
    gone = browser.send(page, f"/leads/{lead_id}", Last_Name="Edited", Company="Long text")
    back = log_in_from(browser, gone, ANA)
    zoho.records(ANA).clear()

    shown = browser.get(back.location)

    assert (shown.trouble, shown.value("Company")) == ("no-such-lead", "Long text")
