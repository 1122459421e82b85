"""What an open page says and does while its login changes elsewhere, or its answer is late."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

GONE = "This login is not there any more"


@pytest.fixture
def person(visit, add_user):
    return visit(add_user(leads=["Alvarez"])).arrive()


def test_logged_out_in_another_tab(person):
    """The panel says that the login is gone, and nothing of it is shown anew."""
    tab = person.new_tab("/leads")
    person.menu("Log out of this browser")

    expect(tab.locator("#panel .state")).to_have_text(GONE)
    expect(tab.get_by_role("status").get_by_text(GONE)).to_be_attached()


def test_disconnected_in_another_browser(person, visit):
    """The same when it was disconnected, wherever that was."""
    elsewhere = visit(person.user).arrive()
    elsewhere.open("/account/disconnect")
    elsewhere.press("Revoke and delete")
    expect(elsewhere.page.get_by_role("status").first).to_contain_text("Zoho has revoked")

    expect(person.panel().locator(".state")).to_have_text(GONE)


def test_another_login_in_another_tab(person, add_user):
    """A page of one login never shows what is behind another; back in use, its own comes back."""
    ben = add_user("Ben", leads=["Okafor"])
    page, mine = person.page, person.fact("Token id").inner_text()
    before = person.email
    person.page = person.new_tab("/leads")
    person.log_in(ben)
    state = page.locator("#panel .state")
    expect(state).to_have_text(re.compile("This page is of another login"))
    expect(page.locator("#panel code")).to_have_text(mine)
    expect(page.get_by_role("status").get_by_text("was renewed")).to_have_count(0)

    person.menu(f"Switch to {before}")
    expect(person.lead("Alvarez")).to_be_visible()
    expect(state).to_contain_text("Access token valid")


class Held:
    """Hold back what answers a navigation to the leads."""

    def __init__(self, person):
        self.page = person.page
        self.asked = []
        self.page.route("**/leads", self.hold)

    def hold(self, route):
        self.asked.append(route)

    def first(self):
        while not self.asked:
            self.page.wait_for_timeout(50)
        return self.asked[0]


def test_a_page_that_waited_goes_on_once(person):
    """However late the next page is, it is asked for once: asking again would stop it."""
    person.make_happen("Too many requests")
    person.page.clock.install()
    person.page.reload()
    person.expect_trouble("rate-limit", "This page goes on by itself then.")
    held = Held(person)
    person.page.clock.fast_forward("10:00")
    first = held.first()
    # Many ticks of the page: it is still there.
    person.page.wait_for_timeout(3000)
    first.continue_()

    expect(person.panel().locator(".state")).to_contain_text("Zoho is asked again in")
    assert held.asked == [first]


def sent_in_vain(person, *, escape=False):
    """Send a lead, and let the browser stop before there is an answer; return the button."""
    person.page.clock.install()
    person.open("/leads/new")
    person.fill(Last_name="Typed")
    held = Held(person)
    button = person.page.get_by_role("button", name="Add the lead")
    button.evaluate("button => { setTimeout(() => button.click()) }")
    first = held.first()
    if escape:
        person.page.keyboard.press("Escape")
    first.abort("aborted")
    return button


def test_sending_is_stopped(person):
    """Whoever stops it with Escape can send it again, and is told to look first."""
    button = sent_in_vain(person, escape=True)

    expect(button).to_be_enabled()
    hint = person.page.locator("form.fields [role=status]")
    expect(hint).to_have_text(re.compile("^It was stopped.* look in another tab before"))
    expect(person.page.get_by_label("Last name")).to_have_value("Typed")


def test_sending_takes_long(person, zoho):
    """A form that gets no answer can be sent again after a while, and is sent once then."""
    button = sent_in_vain(person)
    person.page.clock.run_for(5000)
    expect(button).to_be_disabled()
    person.page.clock.run_for(6000)
    expect(person.page.locator("form.fields [role=status]")).to_contain_text("no answer yet")
    person.page.unroute("**/leads")
    person.press("Add the lead")

    expect(person.lead("Typed")).to_be_visible()
    assert len(zoho.records(person.user)) == 2
