"""What happens behind a page, seen beside it while it happens."""

from __future__ import annotations

import re

from desk_driver import secrets_of
from playwright.sync_api import expect

LONG = 20_000
"""Longer than an access token lives here, in milliseconds."""


def test_expiry_and_renewal(visit, add_user, zoho, desk):
    """The panel counts down, says that the token has expired, and is renewed; without a reload."""
    zoho.options.access_token_life = 6
    person = visit(add_user(leads=["Alvarez"])).arrive()
    state = person.panel().locator(".state")
    person.page.evaluate("window.isTheSame = true")

    expect(state).to_have_text(re.compile(r"Access token valid: [1-6] s"))
    expect(person.fact("Renewed last")).to_have_text("not yet")
    expect(person.panel().locator(".facts")).to_have_attribute(
        "data-state", "expired", timeout=LONG
    )
    expect(state).to_contain_text("Access token expired; the next call renews it")
    zoho.options.access_token_life = 3600
    person.new_tab("/leads")

    expect(state).to_have_text(re.compile(r"Access token valid: (59 min|1 h)"))
    expect(person.fact("Calls to the token endpoint")).to_have_text(
        "2 (logins 1, renewals 1, refused 0)"
    )
    expect(person.fact("Renewed last")).to_have_text(
        re.compile(r"(just now|\d+ s ago) by process")
    )
    expect(person.panel().get_by_role("listitem").first).to_contain_text("Access token renewed")
    # For those who hear it instead.
    expect(person.page.get_by_role("status").get_by_text("was renewed")).to_be_attached()
    assert person.page.evaluate("window.isTheSame")
    # It asks every two seconds; the log has better things to tell.
    assert "GET /leads 200" in desk.log()
    assert "GET /panel 20" not in desk.log()
    assert zoho.counters.token_calls("refresh_token") == 1


def test_expired_before_its_time(visit, add_user, zoho):
    """'Expire now' while a lead is typed: it is sent all the same, once, after one renewal."""
    person = visit(add_user()).arrive()
    person.open("/leads/new")
    person.fill(Last_name="Once")
    person.make_happen("Expire now")
    expect(person.page.get_by_label("Last name")).to_have_value("Once")
    person.press("Add the lead")

    expect(person.lead("Once")).to_be_visible()
    assert person.leads() == ["Once"]
    events = person.panel().get_by_role("listitem")
    expect(events.first).to_contain_text("Access token renewed")
    expect(events.nth(1)).to_contain_text("Zoho refused the access token")
    expect(events.nth(2)).to_contain_text("Emulator: access token expired")
    assert zoho.counters.token_calls("refresh_token") == 1


def test_no_secret_beside_the_page(visit, add_user, zoho, desk):
    """Neither the page, nor the panel, nor what a script can read holds a token."""
    person = visit(add_user()).log_in()
    person.make_happen("Expire now")
    with person.page.expect_response(re.compile(r"/panel\?")):
        person.page.bring_to_front()
    readable = person.page.content() + person.page.evaluate("document.cookie")

    assert [secret for secret in secrets_of(zoho, desk) if secret in readable] == []
    [cookie] = person.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
