"""What has to be true of every page: for eyes, ears, phones and slow lines."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

LONG_NAME = "Hubert-Blaine-Wolfeschlegelsteinhausenbergerdorff"
WIDTHS = (360, 768, 1600)
LARGEST = 100_000
"""A page with all it loads, in bytes."""

SIZES = """
() => performance.getEntries()
    .filter(each => each.entryType === "navigation" || each.entryType === "resource")
    .map(each => each.encodedBodySize + 500)
"""
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
CUT_OFF = """
() => [...document.querySelectorAll("main *, aside *, header *, footer *")]
    .filter(each => each.checkVisibility() && !each.closest(".visually-hidden"))
    .filter(each => each.getBoundingClientRect().right > innerWidth + 1)
    .map(each => each.outerHTML.slice(0, 80))
"""


# Each of these goes to several pages, and yields at each.


def without_a_login(person, _zoho):
    yield person.open()
    person.ask_zoho()
    yield person.press("Reject")
    yield person.expect_trouble("login-refused")
    person.arrive()
    person.menu("Log out of this browser")
    yield expect(person.page.get_by_role("status")).to_be_visible()
    person.open("/leads")
    yield person.expect_trouble("not-logged-in")


def with_a_login(person, _zoho):
    yield person.arrive()
    person.make_happen("Slow")
    yield person.page.locator("summary").click()
    yield person.open("/leads/new")
    person.page.locator("form.fields").evaluate("form => { form.noValidate = true }")
    person.press("Add the lead")
    yield expect(person.page.get_by_role("alert")).to_contain_text("Last name is missing")
    person.open("/leads")
    person.lead(LONG_NAME).get_by_role("link").click()
    yield expect(person.heading(LONG_NAME)).to_be_visible()
    person.page.get_by_role("link", name="Delete…").click()
    yield expect(person.heading(f"Delete {LONG_NAME}?")).to_be_visible()
    yield person.open("/account/disconnect")
    yield person.open("/nowhere")


def in_trouble(person, zoho):
    person.arrive()
    zoho.options.mints_per_window = 0
    person.desk.expire(person.user)
    for path in ("/leads", "/leads/new"):
        yield send_or_read(person, path, "rate-limit")
    zoho.options.reset()
    person.arrive()  # a new login has not to wait
    person.desk.withdraw(person.user)
    for path in ("/leads/new", "/leads"):
        yield send_or_read(person, path, "login-needed")


def send_or_read(person, path, trouble):
    person.open(path)
    if path == "/leads/new":
        person.fill(Last_name="Typed")
        person.press("Add the lead")
    person.expect_trouble(trouble)


@pytest.mark.parametrize("walk", [without_a_login, with_a_login, in_trouble])
def test_pages(visit, add_user, zoho, walk):
    """Nothing for axe to find in light and dark, nothing wider than the screen, and small."""
    user = add_user(leads=[*(f"Alvarez {n}" for n in range(11)), LONG_NAME])
    [*_, lead] = zoho.records(user).values()
    lead.update(Company="", Email=f"{LONG_NAME}@{LONG_NAME}.example")
    person = visit(user, reduced_motion="reduce")
    page = person.page
    for _ in walk(person, zoho):
        assert page.locator("h1").count() == 1
        assert page.locator("html").get_attribute("lang") == "en"
        sizes = page.evaluate(SIZES)
        assert len(sizes) >= 4
        assert sum(sizes) < LARGEST
        page.emulate_media(color_scheme="light")
        found = violations(page)
        page.emulate_media(color_scheme="dark")
        found += violations(page, runOnly=["color-contrast"])
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 740})
            found += [(width, page.evaluate(SIDEWAYS))] if page.evaluate(SIDEWAYS) else []
            found += [(width, each) for each in page.evaluate(CUT_OFF)]
        assert found == [], page.url


def violations(page, **options):
    """Return what axe finds wrong, serious or not: its rule, where, and why."""
    return [
        (each["id"], each["impact"], node["html"][:120], node.get("failureSummary", "")[:200])
        for each in Axe()
        .run(page, options={"resultTypes": ["violations"], **options})
        .response["violations"]
        for node in each["nodes"]
    ]
