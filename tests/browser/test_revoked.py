"""Consent withdrawn elsewhere: a page says so, and after the login all typed is still there."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

TYPED = {"First_name": "Zoë", "Last_name": "Typed", "Company": "Typed & Söhne"}
LINES = "Line 1\n\n  Line 2 <b>"


@pytest.fixture
def person(visit, add_user):
    return visit(add_user(leads=["Alvarez"])).arrive()


def test_a_new_lead(person, zoho):
    """The form is kept over the login, as it was typed, and can be sent then."""
    person.open("/leads/new")
    person.fill(**TYPED, Description=LINES)
    person.desk.withdraw(person.user)
    person.press("Add the lead")
    person.expect_trouble("login-needed", "Zoho has ended your login", "Log in again to go on.")
    expect(person.page.get_by_text("What you typed is kept")).to_be_visible()

    person.ask_zoho()
    person.accept()
    expect(person.heading("New lead")).to_be_visible()
    for label, value in {**TYPED, "Description": LINES}.items():
        expect(person.page.get_by_label(label.replace("_", " "))).to_have_value(value)
    person.press("Add the lead")
    expect(person.lead("Zoë Typed")).to_be_visible()
    assert len(zoho.records(person.user)) == 2


def test_a_changed_lead(person, zoho):
    """The same for a lead that was being changed; nobody else is shown what was typed."""
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


def test_a_page(person):
    """Who was only reading is told on a page, with the way back on it."""
    person.desk.withdraw(person.user)
    person.page.reload()
    person.expect_trouble("login-needed", "Nothing is wrong with your data.")
    expect(person.panel().locator(".state")).to_have_text("A login is needed")
    person.ask_zoho()
    person.accept()

    expect(person.lead("Alvarez")).to_be_visible()


def test_the_draft_of_somebody_else(person, visit, add_user):
    """Another person who comes by the same address finds an empty form."""
    person.open("/leads/new")
    person.fill(**TYPED)
    person.desk.withdraw(person.user)
    person.press("Add the lead")
    person.expect_trouble("login-needed")
    person.ask_zoho()
    person.accept()
    expect(person.page.get_by_label("Company")).to_have_value(TYPED["Company"])
    other = visit(add_user("Ben")).arrive()
    other.page.goto(person.page.url)

    expect(other.page.get_by_label("Company")).to_have_value("")
