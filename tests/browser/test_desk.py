"""The sample application as people see it: for eyes, ears, phones and slow lines."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

LONG = 20_000
"""Longer than an access token lives here, in milliseconds."""
LONG_NAME = "Hubert-Blaine-Wolfeschlegelsteinhausenbergerdorff"
WIDTHS = (360, 768, 1600)
LARGEST = 50_000
"""A page with all it loads, in bytes."""

SIZES = """
() => performance.getEntries()
    .filter(each => each.entryType === "navigation" || each.entryType === "resource")
    .map(each => each.encodedBodySize + 500)
"""
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_two_people(visit, add_user, zoho):
    """Log in, read, add, change, delete, leave: each in their data centre, among their leads."""
    ana = visit(add_user("Ana", "us", [f"Alvarez {n:02}" for n in range(12)]))
    eva = visit(add_user("Eva", "eu", [f"Ekström {n:02}" for n in range(3)]))
    both = (ana, "Alvarez", "us"), (eva, "Ekström", "eu")
    for person, name, where in both:
        person.log_in(data_center=where)
        assert all(each.startswith(name) for each in person.leads())
        expect(person.fact("Data centre")).to_have_text(f"{where}, production")

    # Ten on a page.
    seen = ana.leads()
    ana.page.get_by_role("link", name="Next").click()
    expect(ana.page.get_by_text("Page 2", exact=True)).to_be_visible()
    assert len(seen) == 10
    assert sorted(seen + ana.leads()) == [f"Alvarez {n:02}" for n in range(12)]
    expect(ana.page.get_by_role("link", name="Next")).to_have_count(0)
    expect(eva.page.get_by_role("navigation", name="Pages")).to_have_count(0)

    ana.open("/leads")
    for person, name, _ in both:
        person.page.get_by_role("link", name="New lead").click()
        person.fill(First_name="New", Last_name=f"{name} & Söhne")
        person.press("Save")
        expect(person.page.get_by_role("status").first).to_have_text("The lead was added.")
        person.lead(f"{name} & Söhne").click()
        person.fill(Last_name=f"{name} the Second")
        person.press("Save")
        expect(person.page.get_by_role("status").first).to_have_text("The lead was changed.")
        person.lead(f"{name} the Second").click()
        person.press("Delete this lead")
        expect(person.page.get_by_role("status").first).to_have_text("The lead was deleted.")
    assert [len(zoho.records(each.user)) for each in (ana, eva)] == [12, 3]
    ana.press("Log out")
    expect(ana.page.get_by_role("status")).to_have_text("You are logged out of this browser.")
    eva.press("Disconnect from Zoho")
    expect(eva.page.get_by_role("status")).to_contain_text("Zoho has revoked")


def test_panel(visit, add_user, zoho):
    """It says that the token has expired and is renewed, without a reload of the page."""
    zoho.options.access_token_life = 6
    person = visit(add_user(leads=["Alvarez"])).arrive()
    person.page.evaluate("window.isTheSame = true")
    expect(person.fact("Access token").first).to_have_text("valid")
    expect(person.fact("Access token").first).to_contain_text("expired", timeout=LONG)
    zoho.options.access_token_life = 3600
    person.new_tab("/leads")

    expect(person.fact("Access token").first).to_have_text("valid")
    expect(person.fact("Ends")).to_have_text(re.compile(r"in 3\d\d\d s"))
    expect(person.fact("History")).to_contain_text("renewed")
    assert person.page.evaluate("window.isTheSame")
    assert zoho.counters.token_calls("refresh_token") == 1


def test_pressed_twice(person, zoho):
    """While an answer takes its time, a button that is pressed twice sends one lead."""
    person.open("/leads/new")
    person.fill(Last_name="Typed")
    zoho.faults.add(endpoint="records", kind="slow", delay=1.0, times=None)
    button = person.page.get_by_role("button", name="Save")
    button.evaluate("button => { button.click(); setTimeout(() => button.click(), 300) }")
    expect(person.lead("Typed")).to_be_visible()

    names = [each["Last_Name"] for each in zoho.records(person.user).values()]
    assert sorted(names) == ["Alvarez", "Typed"]


# Each of these goes to several pages, and yields at each.


def without_a_login(person, _zoho):
    yield person.open()
    person.ask_zoho()
    yield person.press("Reject")
    yield person.open("/leads")
    yield person.open("/nowhere")


def with_a_login(person, zoho):
    yield person.arrive()
    person.make_happen("Back to normal")
    yield person.open("/leads/new")
    person.open("/leads")
    yield person.lead(LONG_NAME).click()
    zoho.faults.add(endpoint="crm", kind="status", times=None)
    person.press("Save")
    yield expect(person.page.get_by_role("alert")).to_contain_text("did not answer")
    yield person.open("/leads")


@pytest.mark.parametrize("walk", [without_a_login, with_a_login])
def test_pages(visit, add_user, zoho, walk):
    """Nothing for axe to find in light and dark, nothing wider than the screen, and small."""
    user = add_user(leads=[*(f"Alvarez {n}" for n in range(11)), LONG_NAME])
    [*_, lead] = zoho.records(user).values()
    lead.update(Company="", Email=f"{LONG_NAME}@{LONG_NAME}.example")
    person = visit(user, reduced_motion="reduce")
    page = person.page
    for _ in walk(person, zoho):
        assert page.locator("h1").count() == 1
        sizes = page.evaluate(SIZES)
        assert len(sizes) >= 3
        assert sum(sizes) < LARGEST
        page.emulate_media(color_scheme="light")
        found = violations(page)
        page.emulate_media(color_scheme="dark")
        found += violations(page, runOnly=["color-contrast"])
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 740})
            found += [(width, page.evaluate(SIDEWAYS))] if page.evaluate(SIDEWAYS) else []
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
