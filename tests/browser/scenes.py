"""Every kind of page, and how a person comes to it."""

from __future__ import annotations

from playwright.sync_api import expect

LONG_NAME = "Hubert-Blaine-Wolfeschlegelsteinhausenbergerdorff"


def start(person, _zoho):
    person.open()


def leads(person, _zoho):
    person.arrive()


def menu(person, _zoho):
    person.arrive()
    person.page.locator("summary").click()


def pressed(person, _zoho):
    person.arrive()
    person.make_happen("Slow")


def new_lead(person, _zoho):
    person.arrive()
    person.open("/leads/new")


def lead(person, _zoho):
    person.arrive()
    person.lead(LONG_NAME).get_by_role("link").click()
    expect(person.heading(LONG_NAME)).to_be_visible()


def invalid(person, zoho):
    new_lead(person, zoho)
    person.page.locator("form.fields").evaluate("form => { form.noValidate = true }")
    person.press("Add the lead")
    expect(person.page.get_by_role("alert")).to_contain_text("Last name is missing")


def delete(person, zoho):
    lead(person, zoho)
    person.page.get_by_role("link", name="Delete…").click()
    expect(person.heading(f"Delete {LONG_NAME}?")).to_be_visible()


def disconnect(person, _zoho):
    person.arrive()
    person.open("/account/disconnect")


def nothing_here(person, _zoho):
    person.arrive()
    person.open("/nowhere")
    person.expect_trouble("not-here")


def logged_out(person, _zoho):
    person.arrive()
    person.menu("Log out of this browser")
    expect(person.page.get_by_role("status")).to_be_visible()


def not_logged_in(person, _zoho):
    person.open("/leads")
    person.expect_trouble("not-logged-in")


def refused_login(person, _zoho):
    person.open()
    person.ask_zoho()
    person.press("Reject")
    person.expect_trouble("login-refused")


def wait(person, zoho):
    person.arrive()
    zoho.options.mints_per_window = 0
    person.desk.expire(person.user)
    person.page.reload()
    person.expect_trouble("rate-limit")


def wait_with_a_form(person, zoho):
    new_lead(person, zoho)
    person.fill(Last_name="Typed")
    zoho.options.mints_per_window = 0
    person.desk.expire(person.user)
    person.press("Add the lead")
    person.expect_trouble("rate-limit")


def ended_login(person, _zoho):
    person.arrive()
    person.desk.withdraw(person.user)
    person.page.reload()
    person.expect_trouble("login-needed")


def ended_login_with_a_form(person, zoho):
    new_lead(person, zoho)
    person.fill(Last_name="Typed")
    person.desk.withdraw(person.user)
    person.press("Add the lead")
    person.expect_trouble("login-needed")


SCENES = (
    start,
    leads,
    menu,
    pressed,
    new_lead,
    lead,
    invalid,
    delete,
    disconnect,
    nothing_here,
    logged_out,
    not_logged_in,
    refused_login,
    wait,
    wait_with_a_form,
    ended_login,
    ended_login_with_a_form,
)
