"""What can go wrong, in plain words: each has its page or banner, and nothing typed is lost."""

from __future__ import annotations

import re
import time

import pytest
from desk_driver import DeskServer
from playwright.sync_api import expect

import tokenkeep

from .conftest import serving

AGAIN = re.compile("Try again")


@pytest.fixture
def person(visit, add_user):
    return visit(add_user(leads=["Alvarez"])).arrive()


def typed(person):
    """Have a lead typed, ready to be sent."""
    person.open("/leads/new")
    person.fill(Last_name="Typed", Company="Typed & Co")
    return person


def still_there(person):
    expect(person.page.get_by_label("Last name")).to_have_value("Typed")
    expect(person.page.get_by_label("Company")).to_have_value("Typed & Co")


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


def test_login_server_down(person, zoho):
    """A good token goes on working; then a page says so, a form is kept, and both go on."""
    person.make_happen("Login server down")
    person.page.reload()
    expect(person.lead("Alvarez")).to_be_visible()
    expect(person.page.get_by_role("button", name="Login server down")).to_have_attribute(
        "aria-pressed", "true"
    )
    typed(person)
    person.desk.expire(person.user)
    person.press("Add the lead")
    person.expect_trouble("provider-down", "does not answer", "You don't have to log in again.")
    still_there(person)
    tab = person.new_tab("/leads")
    expect(tab.locator("[data-trouble=provider-down]")).to_contain_text("Your login is safe")
    expect(tab.locator("#panel .state")).to_contain_text(
        re.compile("Zoho is asked again in|The last renewal failed")
    )

    person.make_happen("Back to normal")
    # Not "valid": that is what it would be by the clock alone.
    expect(tab.locator("#panel .state")).to_have_text(
        "The last renewal failed; the next call tries again"
    )
    again_until(tab.get_by_role("link", name=AGAIN), tab.get_by_role("rowheader"))
    person.press("Add the lead")
    expect(person.lead("Typed")).to_be_visible()
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
    person.open("/leads")
    person.expect_trouble("rate-limit", "This page goes on by itself then.")
    expect(person.trouble()).to_contain_text(re.compile(r"in\s+(10 min|9 min \d+ s)\."))
    with person.page.expect_navigation(url=f"{person.desk.url}/leads"):
        person.page.clock.fast_forward("10:00")
    expect(person.panel().locator(".state")).to_contain_text("Zoho is asked again in")
    assert zoho.counters.token_calls("refresh_token") == 1


def test_too_many_for_the_crm(person, zoho):
    """When Zoho CRM takes no more calls, it says that Zoho does not say for how long."""
    typed(person)
    zoho.options.api_credits = 0
    person.press("Add the lead")
    person.expect_trouble("crm-busy", "takes no more calls now", "Try again in a minute.")

    still_there(person)


def test_refused_by_the_crm(person, zoho):
    """Whoever may not do it in Zoho CRM is told whom to ask."""
    zoho.options.no_api_access = (person.user.name,)
    typed(person)
    person.press("Add the lead")

    person.expect_trouble("no-permission", "Ask the administrator of your Zoho CRM.")
    still_there(person)


def test_slow(person, zoho):
    """While an answer takes its time, a button that is pressed twice sends one lead."""
    typed(person)
    zoho.faults.add(endpoint="records", kind="slow", delay=1.0, times=None)
    button = person.page.get_by_role("button", name="Add the lead")
    button.evaluate("button => { button.click(); setTimeout(() => button.click(), 300) }")
    expect(person.lead("Typed")).to_be_visible()

    assert sorted(each["Last_Name"] for each in zoho.records(person.user).values()) == [
        "Alvarez",
        "Typed",
    ]


@pytest.fixture
def desk_on_redis(zoho, redis_server, tmp_path):
    """A desk whose store is a server, which can go away."""
    environ = {
        "TOKENKEEP_STORE": redis_server.url(),
        "TOKENKEEP_KEYS": tokenkeep.generate_key(),
    }
    yield from serving(DeskServer(zoho, tmp_path, environ=environ))


def test_store_unreachable(visit, add_user, desk_on_redis, redis_server):
    """Without its store the desk says so and keeps what is typed; then all goes on as before."""
    person = visit(add_user(leads=["Alvarez"]), at=desk_on_redis).arrive()
    expect(person.page.locator("footer")).to_contain_text("Redis")
    tab = typed(person).new_tab("/leads")
    redis_server.stop()
    try:
        # A token is handed out for a moment without asking the server.
        gone = tab.locator("[data-trouble=store-unavailable]")
        reload_until(tab, gone)
        expect(gone).to_contain_text("It is safe where it is.")
        person.press("Add the lead")
        person.expect_trouble("store-unavailable", "The token store can't be reached")
        still_there(person)
    finally:
        redis_server.start()
    again_until(tab.get_by_role("link", name=AGAIN), tab.get_by_role("rowheader"))
    person.press("Add the lead")

    expect(person.lead("Typed")).to_be_visible()
    assert redis_server.password not in person.page.content() + desk_on_redis.log()


def again_until(link, seen):
    """Follow a link until what is looked for is there."""
    _until(seen, link.click)


def reload_until(page, seen):
    _until(seen, page.reload)


def _until(seen, act):
    deadline = time.monotonic() + 20
    while not seen.count():
        assert time.monotonic() < deadline
        act()
        seen.page.wait_for_load_state()
