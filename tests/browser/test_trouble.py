"""What can go wrong, in plain words: each has its page or banner, and nothing typed is lost."""

from __future__ import annotations

import re
import time

from playwright.sync_api import expect

AGAIN = re.compile("Try again")
TYPED = {"First_name": "Zoë", "Last_name": "Typed", "Company": "Typed & Söhne"}
LINES = "Line 1\n\n  Line 2 <b>"


def typed(person):
    """Have a lead typed, ready to be sent."""
    person.open("/leads/new")
    person.fill(**TYPED)
    return person


def still_there(person):
    for label, value in TYPED.items():
        expect(person.page.get_by_label(label.replace("_", " "))).to_have_value(value)


# Logins that are refused, or have ended


def test_login_refused(visit, add_user, zoho):
    """Who says no at Zoho reads that nothing was stored, and may try again."""
    person = visit(add_user(leads=["Alvarez"]))
    person.open()
    person.ask_zoho()
    person.press("Reject")
    person.expect_trouble("login-refused", "You did not give access", "has stored nothing")
    person.page.get_by_role("link", name="To the leads").click()
    person.expect_trouble("not-logged-in")
    assert zoho.counters.token_calls() == 0
    person.ask_zoho()
    person.accept()

    expect(person.lead("Alvarez")).to_be_visible()


def test_revoked_while_typing(person, visit, add_user, zoho):
    """The form is kept over the login, as it was typed, for the same person only."""
    typed(person).fill(Description=LINES)
    person.desk.withdraw(person.user)
    person.press("Add the lead")
    person.expect_trouble("login-needed", "Zoho has ended your login", "Log in again to go on.")
    expect(person.page.get_by_text("What you typed is kept")).to_be_visible()

    person.ask_zoho()
    person.accept()
    expect(person.heading("New lead")).to_be_visible()
    still_there(person)
    expect(person.page.get_by_label("Description")).to_have_value(LINES)
    other = visit(add_user("Ben")).arrive()
    other.page.goto(person.page.url)
    expect(other.page.get_by_label("Company")).to_have_value("")
    person.press("Add the lead")
    expect(person.lead("Zoë Typed")).to_be_visible()
    assert len(zoho.records(person.user)) == 2


def test_revoked_while_changing(person, zoho):
    """The same for a lead that was being changed."""
    person.lead("Alvarez").get_by_role("link").click()
    person.fill(Company="Changed")
    person.make_happen("Revoke from outside")
    person.press("Save")
    person.expect_trouble("login-needed")
    person.ask_zoho()
    person.accept()

    expect(person.heading("Alvarez")).to_be_visible()
    expect(person.page.get_by_label("Company")).to_have_value("Changed")
    [lead] = zoho.records(person.user).values()
    assert lead["Company"] == "Acme"
    person.press("Save")
    expect(person.page.get_by_role("cell", name="Changed")).to_be_visible()


def test_revoked_while_reading(person):
    """Who was only reading is told on a page, with the way back on it."""
    person.desk.withdraw(person.user)
    person.page.reload()
    person.expect_trouble("login-needed", "Nothing is wrong with your data.")
    expect(person.panel().locator(".state")).to_have_text("A login is needed")
    person.ask_zoho()
    person.accept()

    expect(person.lead("Alvarez")).to_be_visible()


# Servers that do not answer, or ask to wait


def test_login_server_down(person, zoho):
    """A good token goes on working; then a page says so, a form is kept, and both go on."""
    person.make_happen("Login server down")
    person.page.reload()
    expect(person.lead("Alvarez")).to_be_visible()
    typed(person)
    person.desk.expire(person.user)
    person.press("Add the lead")
    person.expect_trouble("provider-down", "does not answer", "You don't have to log in again.")
    still_there(person)
    tab = person.new_tab("/leads")
    expect(tab.locator("[data-trouble=provider-down]")).to_contain_text("Your login is safe")

    person.make_happen("Back to normal")
    # Not "valid": that is what it would be by the clock alone.
    expect(tab.locator("#panel .state")).to_have_text(
        "The last renewal failed; the next call tries again"
    )
    deadline = time.monotonic() + 20
    while not tab.get_by_role("rowheader").count():
        assert time.monotonic() < deadline
        tab.get_by_role("link", name=AGAIN).click()
        tab.wait_for_load_state()
    person.press("Add the lead")
    expect(person.lead("Zoë Typed")).to_be_visible()
    assert len(zoho.records(person.user)) == 2


def test_crm_down(person, zoho):
    """A page for reading; for a form, that it is not known whether it was done."""
    typed(person).make_happen("CRM down")
    person.press("Add the lead")
    person.expect_trouble("crm-silent-writing", "it is not known whether", "in another tab")
    still_there(person)
    person.open("/leads")
    person.expect_trouble("crm-silent", "Zoho CRM does not answer")
    zoho.faults.clear()
    person.page.get_by_role("link", name=AGAIN).click()

    expect(person.lead("Alvarez")).to_be_visible()


def test_too_many_requests(person, zoho):
    """The page says until when to wait, counts down and goes on by itself; a form only says it."""
    typed(person).make_happen("Too many requests")
    person.press("Add the lead")
    person.expect_trouble("rate-limit", "Zoho asks us to wait")
    expect(person.trouble()).to_contain_text(
        re.compile(r"It can be sent again at \d\d:\d\d:\d\d, in (10 min|9 min \d+ s)\.")
    )
    still_there(person)

    person.page.clock.install()
    answer = person.open("/leads")
    assert (answer.status, 500 < int(answer.headers["retry-after"]) <= 600) == (429, True)
    person.expect_trouble("rate-limit", "This page goes on by itself then.")
    expect(person.trouble()).to_contain_text(re.compile(r"in\s+(10 min|9 min \d+ s)\."))
    with person.page.expect_navigation(url=f"{person.desk.url}/leads"):
        person.page.clock.fast_forward("10:00")
    expect(person.panel().locator(".state")).to_contain_text("Zoho is asked again in")
    assert zoho.counters.token_calls("refresh_token") == 1


# Pressed twice


def test_slow(person, zoho):
    """While an answer takes its time, a button that is pressed twice sends one lead."""
    typed(person)
    zoho.faults.add(endpoint="records", kind="slow", delay=1.0, times=None)
    button = person.page.get_by_role("button", name="Add the lead")
    button.evaluate("button => { button.click(); setTimeout(() => button.click(), 300) }")
    expect(person.lead("Zoë Typed")).to_be_visible()

    names = [each["Last_Name"] for each in zoho.records(person.user).values()]
    assert sorted(names) == ["Alvarez", "Typed"]


def test_sending_takes_long(person, zoho):
    """A form that gets no answer can be sent again after a while, and is sent once then."""
    person.page.clock.install()
    typed(person)
    held = []

    def hold(route):
        held.append(route)

    person.page.route("**/leads", hold)
    button = person.page.get_by_role("button", name="Add the lead")
    button.evaluate("button => { setTimeout(() => button.click()) }")
    while not held:
        person.page.wait_for_timeout(50)
    held[0].abort("aborted")
    person.page.clock.run_for(5000)
    expect(button).to_be_disabled()
    person.page.clock.run_for(6000)
    expect(person.page.locator("form.fields [role=status]")).to_contain_text("no answer yet")
    person.page.unroute("**/leads")
    person.press("Add the lead")

    expect(person.lead("Zoë Typed")).to_be_visible()
    assert len(zoho.records(person.user)) == 2
