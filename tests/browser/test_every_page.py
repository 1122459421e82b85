"""What has to be true of every page: for eyes, ears, phones and slow lines."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from .scenes import LONG_NAME, SCENES

WIDTHS = (360, 768, 1600)
LARGEST = 100_000
"""A page with all it loads, in bytes."""

ONLY = {"resultTypes": ["violations"]}

SIZES = """
() => performance.getEntries()
    .filter(each => each.entryType === "navigation" || each.entryType === "resource")
    .map(each => [each.name, each.encodedBodySize])
"""
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
CUT_OFF = """
() => [...document.querySelectorAll("main *, aside *, header *, footer *")]
    .filter(each => each.checkVisibility() && !each.closest(".visually-hidden"))
    .filter(each => each.getBoundingClientRect().right > innerWidth + 1)
    .map(each => each.outerHTML.slice(0, 80))
"""


@pytest.fixture
def person(visit, add_user, zoho):
    user = add_user(leads=[*(f"Alvarez {n}" for n in range(11)), LONG_NAME])
    [*_, lead] = zoho.records(user).values()
    lead.update(Company="", Email=f"{LONG_NAME}@{LONG_NAME}.example")
    return visit(user, reduced_motion="reduce")


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_page(person, zoho, scene):
    """Nothing for axe to find in light and dark, nothing wider than the screen, and small."""
    scene(person, zoho)
    page, found = person.page, []
    assert page.locator("h1").count() == 1
    assert page.locator("html").get_attribute("lang") == "en"
    sizes = page.evaluate(SIZES)
    assert len(sizes) >= 4
    assert sum(size + 500 for _, size in sizes) < LARGEST
    page.emulate_media(color_scheme="light")
    found += violations(page)
    page.emulate_media(color_scheme="dark")
    found += [("dark", *each) for each in violations(page, runOnly=["color-contrast"])]
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 740})
        found += [(width, page.evaluate(SIDEWAYS))] if page.evaluate(SIDEWAYS) else []
        found += [(width, each) for each in page.evaluate(CUT_OFF)]

    assert found == []


def violations(page, **options):
    """Return what axe finds wrong, serious or not: its rule, where, and why."""
    return [
        (each["id"], each["impact"], node["html"][:120], node.get("failureSummary", "")[:200])
        for each in Axe().run(page, options={**ONLY, **options}).response["violations"]
        for node in each["nodes"]
    ]
